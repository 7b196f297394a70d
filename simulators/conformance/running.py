"""One run: all scenes at once, then quiet, then judgement of everything that passed."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from simulators.conformance.answering import Confirmer
from simulators.conformance.asking import Asking
from simulators.conformance.calling import Caller
from simulators.conformance.contract import ROOTS, SERVICES, Contract, Form, Row
from simulators.conformance.judging import Judge
from simulators.conformance.ledger import Ledger, Received
from simulators.conformance.listening import Listener
from simulators.conformance.querying import Querying
from simulators.conformance.recipes import RECIPES
from simulators.conformance.scene import Cell, Scene
from simulators.conformance.stage import NotSetUp, Stage
from simulators.conformance.starting import STARTING
from simulators.conformance.subjects import Subjects, World
from simulators.conformance.triggering import Meter, NotTriggered, Trigger
from simulators.conformance.verdicts import Finding, State, Variant, Verdict, not_applicable, verdict
from simulators.conformance.writing import Writer

_log = logging.getLogger(__name__)

#: Scenes under way at once: MDUS is tested for what it says, not for how much it bears.
_TOGETHER = 60

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the command line says; see there."""

    url: str
    host: str
    port: int
    system: str
    world: World
    seconds: float
    material: str
    seed: int
    user: str | None = None
    password: str | None = None
    own_user: str | None = None
    own_password: str | None = None
    single_system: str | None = None
    trigger: str | None = None
    only: frozenset[str] = frozenset(SERVICES)
    settle: float = 3.0
    pause: float = 1.0


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run found: a verdict per row and column."""

    rows: Sequence[Row]
    cells: dict[Cell, Verdict] = field(default_factory=dict)
    seconds: float = 0.0
    address: str = ""
    sent: int = 0
    received: int = 0

    def count(self, state: State) -> int:
        """This will return how many cells ended so."""
        return sum(one.state is state for one in self.cells.values())


class Run:
    """This will play all scenes of the services asked for, and judge them."""

    def __init__(self, options: Options, contract: Contract) -> None:
        self._options = options
        self._contract = contract
        self._rows = [row for row in contract.rows if row.service.name in options.only]

    async def run(self, *, listening: Callable[[str], None], progress: Progress) -> Outcome:
        """This will listen, play, wait until all is quiet, and judge; OSError when it cannot listen."""
        options = self._options
        ledger = Ledger(self._contract)
        trigger = Trigger(options.trigger)
        senders = tuple(filter(None, (options.system, options.single_system)))
        caller = Caller(
            ledger,
            lambda sender: Writer(contract=self._contract, sender=sender),
            url=options.url,
            user=options.user,
            password=options.password,
            seconds=options.seconds,
        )
        subjects = Subjects(options.seed, material=options.material)
        confirmer = Confirmer(subjects, sender=options.system)
        listener = Listener(ledger, user=options.own_user, password=options.own_password, taken=confirmer.taken)
        scenes = self._scenes(confirmer)
        async with caller, listener.serving(options.host, options.port) as address:
            listening(f"{address}/{{interface}}")
            confirmer.begin(caller)
            subjects.meters = await self._meters(trigger, scenes)
            stage = Stage(
                contract=self._contract,
                world=options.world,
                ledger=ledger,
                caller=caller,
                listener=listener,
                trigger=trigger,
                subjects=subjects,
                judge=Judge(contract=self._contract, own_systems=senders),
                seconds=options.seconds,
                pause=options.pause,
            )
            untriggered, broken = await self._play(stage, scenes, progress)
            await confirmer.ended()
            await self._quiet(ledger)
            outcome = Outcome(rows=self._rows, address=address)
            self._judge(stage, outcome, scenes, untriggered, broken)
            self._judge_strays(stage, outcome, listener)
        outcome.seconds = ledger.clock()
        outcome.sent, outcome.received = len(ledger.postings), len(ledger.received)
        return outcome

    # -- playing -------------------------------------------------------------------------------------------------------

    def _scenes(self, confirmer: Confirmer) -> list[Scene]:
        """Every scene with a cell that is asked for and exists; those that wait longest first."""
        options = self._options
        scenes: list[Scene] = []
        for variant in Variant:
            for name, kind in STARTING.items():
                service = SERVICES[name]
                for form in service.forms:
                    sender = self._sender_for(name, form)
                    if sender is not None:
                        scenes.append(kind(service, form, variant, sender=sender, confirmer=confirmer))
            for recipe in RECIPES.values():
                scenes += [Asking(recipe, form, variant, sender=options.system) for form in recipe.service.forms]
            scenes.append(Querying(variant, sender=options.system))
        wanted = self._applicable()
        return [scene for scene in scenes if wanted & set(scene.cells)]

    def _sender_for(self, service: str, form: Form) -> str | None:
        """The sender system that gets this form: a notification's is the MDUS's setting per system."""
        if service == "registered" and form is Form.SINGLE:
            return self._options.single_system
        return self._options.system

    def _applicable(self) -> set[Cell]:
        return {(row.root, variant) for row in self._rows for variant in Variant if not not_applicable(row, variant)}

    async def _meters(self, trigger: Trigger, scenes: Iterable[Scene]) -> list[Meter]:
        count = sum(scene.meters for scene in scenes)
        if not count:
            return []
        try:
            return await trigger.meters(count)
        except NotTriggered as error:
            if trigger.is_there:
                _log.warning("no meters of the field: %s", error)
            return []

    async def _play(
        self, stage: Stage, scenes: Sequence[Scene], progress: Progress
    ) -> tuple[dict[Scene, str], dict[Scene, str]]:
        """Play all scenes; return why some were not triggered, and why some could not be set up."""
        untriggered: dict[Scene, str] = {}
        broken: dict[Scene, str] = {}
        free = asyncio.Semaphore(_TOGETHER)
        done = 0

        async def play(scene: Scene) -> None:
            nonlocal done
            async with free:
                try:
                    await scene.play(stage)
                except NotTriggered as error:
                    untriggered[scene] = str(error)
                except NotSetUp as error:
                    broken[scene] = str(error)
            done += 1
            progress(done, len(scenes))

        progress(0, len(scenes))
        await asyncio.gather(*(play(scene) for scene in scenes))
        return untriggered, broken

    async def _quiet(self, ledger: Ledger) -> None:
        """Wait until nothing has come for a while, at most as long as MDUS has for anything."""
        deadline = ledger.clock() + self._options.seconds
        while ledger.clock() < deadline:
            known = len(ledger.received)
            if not await ledger.until(lambda known=known: len(ledger.received) > known, self._options.settle):  # type: ignore[misc]
                return

    # -- judging -------------------------------------------------------------------------------------------------------

    def _judge(
        self,
        stage: Stage,
        outcome: Outcome,
        scenes: Sequence[Scene],
        untriggered: dict[Scene, str],
        broken: dict[Scene, str],
    ) -> None:
        for row in self._rows:
            for variant in Variant:
                if reason := not_applicable(row, variant):
                    outcome.cells[row.root, variant] = Verdict(state=State.NOT_APPLICABLE, reason=reason)
        for scene in scenes:
            judged = scene.judge(stage)
            missing = self._not_played(stage, scene, untriggered, broken)
            if missing is not None:
                # What went wrong all the same is told as well.
                wrong = {cell: said for cell, said in judged.items() if said.state is State.FAILED}
                judged = {cell: missing for cell in scene.cells if cell not in wrong}
                judged |= {cell: missing.merged(said) for cell, said in wrong.items()}
            for cell, said in judged.items():
                self._put(outcome, cell, said)
        for row in self._rows:
            for variant in Variant:
                reason = "MDUS sends the other form"
                if row.service.name == "registered" and row.form is Form.SINGLE and not self._options.single_system:
                    reason = "--single-system names a sender system that gets single messages"
                missing = verdict([], untriggered=reason)
                outcome.cells.setdefault((row.root, variant), missing)

    def _not_played(
        self, stage: Stage, scene: Scene, untriggered: dict[Scene, str], broken: dict[Scene, str]
    ) -> Verdict | None:
        """The verdict of a scene that did not get to its end, None of the others."""
        if scene in untriggered:
            return verdict([], untriggered=untriggered[scene])
        if scene not in broken:
            return None
        found = Finding(expected="what the cell needs first", came=broken[scene])
        postings, received = scene.exchange(stage)
        return verdict([found], postings=postings, received=received)

    def _put(self, outcome: Outcome, cell: Cell, said: Verdict) -> None:
        if cell[0] not in {row.root for row in self._rows}:
            return
        known = outcome.cells.get(cell)
        if known is None:
            outcome.cells[cell] = said
        elif known.state is not State.NOT_APPLICABLE:
            outcome.cells[cell] = known.merged(said)

    def _judge_strays(self, stage: Stage, outcome: Outcome, listener: Listener) -> None:
        """What is wrong with messages that belong to no cell is said of their row's first."""
        shown = {one.number for said in outcome.cells.values() for one in said.received}
        roots = {row.root for row in self._rows if not row.sent_by_sap}
        for one in stage.ledger.received:
            if one.number in shown:
                continue
            findings = [*stage.judge.message(one), *_unasked(stage, one)]
            if not findings:
                continue
            root = one.root if one.root in roots else min(roots, default="")
            known = ROOTS.get(one.root)
            if root and (known is None or known[0].name in self._options.only):
                self._put(outcome, (root, Variant.OK), verdict(findings, received=[one]))
        if listener.unauthorized:
            _log.warning("%s deliveries without the credentials of --own-user were refused", listener.unauthorized)


def _unasked(stage: Stage, received: Received) -> Iterable[Finding]:
    """A confirmation nobody has asked for."""
    known = ROOTS.get(received.root)
    if known is None or not known[2]:
        return
    references = {received.reference, *(item.reference for item in received.items)} - {""}
    sent: Collection[str] = {*stage.ledger.sent, *stage.ledger.sent_items}
    keys = {item.key for posting in stage.ledger.postings for item in posting.message.items}
    if references.isdisjoint(sent) and not any(item.key in keys for item in received.items):
        yield Finding(expected="a confirmation of a request of SAP", came=f"one of {received.reference or 'nothing'}")
