"""Scenes of what SAP starts: a request or notification put through each variant, and what MDUS makes of it.

Two rows are judged by one scene: the request by its HTTP answers, its confirmation by the messages that came.
"""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

from simulators.conformance import details
from simulators.conformance.contract import SERVICES, Form, Kind
from simulators.conformance.judging import ANY, DONE, FAILED, answer_findings, refusal_findings
from simulators.conformance.ledger import Posting, Received
from simulators.conformance.recipes import Recipe, Wrong
from simulators.conformance.scene import Cell, Scene
from simulators.conformance.stage import NO_METER, Stage
from simulators.conformance.subjects import Subject
from simulators.conformance.verdicts import Finding, Variant, Verdict, verdict
from simulators.conformance.writing import SPOILS, Content, Message, changed
from simulators.sap_cis.checks import text

#: Objects in a bulk.
_TOGETHER = 3


class Asking(Scene):
    """One service of SAP's in one form, put through one variant."""

    def __init__(self, recipe: Recipe, form: Form, variant: Variant, *, sender: str) -> None:
        super().__init__(recipe.service, form, variant)
        self._recipe = recipe
        self._sender = sender
        self._taken: list[Posting] = []
        self._refused: list[Posting] = []
        self._expected: list[tuple[Posting, dict[str, Collection[str]]]] = []

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The request's cell, and the confirmation's if there is one."""
        roots = [self.service.requests[self.form], self.service.confirmations.get(self.form)]
        return tuple((root, self.variant) for root in roots if root is not None)

    @property
    def meters(self) -> int:
        """How many meters of the field it can use."""
        if not self._uses_field or self.variant is Variant.MALFORMED:
            return 0
        return self._count

    @property
    def _uses_field(self) -> bool:
        return self._recipe.in_field or self.service.kind is Kind.TOLD

    @property
    def _count(self) -> int:
        wrongs = len(self._recipe.wrongs) if self.variant is Variant.BUSINESS_ERROR else 0
        if self.form is Form.SINGLE:
            return max(1, wrongs)
        return _TOGETHER - 1 + max(1, wrongs)

    async def play(self, stage: Stage) -> None:
        """This will put the service through the variant."""
        if self.variant is Variant.MALFORMED:
            await self._malformed(stage)
            return
        self.subjects = [stage.subjects.take(self._sender, field=self._uses_field) for _ in range(self._count)]
        match self.variant:
            case Variant.BUSINESS_ERROR:
                await self._business_error(stage)
            case Variant.REORDERED:
                await self._reordered(stage)
            case _:
                await stage.together(self._recipe.prepare(stage, subject) for subject in self.subjects)
                await self._right(stage)

    # -- what is sent --------------------------------------------------------------------------------------------------

    def _said(self, stage: Stage, subject: Subject, wrong: Wrong | None = None) -> tuple[str, Content]:
        said = self._recipe.right if wrong is None else wrong.said
        return self._recipe.key(subject), said(subject, stage.world)

    def _message(self, stage: Stage, said: Sequence[tuple[str, Content]]) -> Message:
        return stage.message(self.service.name, self.form, said)

    async def _right(self, stage: Stage) -> None:
        """Sent once, twice, or once more with other content under its UUID."""
        message = self._message(stage, [self._said(stage, subject) for subject in self.subjects])
        posting = stage.caller.written(message, sender=self._sender)
        self._taken.append(posting)
        self._expect(posting, {self._recipe.key(subject): self._codes(subject) for subject in self.subjects})
        if self.variant is Variant.DUPLICATE:
            await asyncio.gather(stage.caller.post(posting), stage.caller.post(posting))
        else:
            await stage.caller.post(posting)
        await self._settled(stage, posting)
        if self.variant is Variant.DUPLICATE:
            await stage.caller.post(posting)
        elif self.variant is Variant.CHANGED_DUPLICATE:
            first, *others = message.items
            other = replace(first, content=changed(first.content, *self._recipe.change))
            self._refused.append(
                await stage.caller.send_changed(replace(message, items=(other, *others)), sender=self._sender)
            )

    async def _business_error(self, stage: Stage) -> None:
        """Wrong objects: each by itself, or among right ones, whose fate must not be theirs."""
        wrongs: list[Wrong | None] = list(self._recipe.wrongs)
        if self.form is Form.BULK:
            wrongs = [None, *wrongs, None]
        pairs = list(zip(self.subjects, wrongs, strict=True))
        await stage.together(
            ((wrong and wrong.prepare) or self._recipe.prepare)(stage, subject) for subject, wrong in pairs
        )
        together = [pairs] if self.form is Form.BULK else [[pair] for pair in pairs]
        await stage.together(self._one_wrong(stage, some) for some in together)

    async def _one_wrong(self, stage: Stage, pairs: Sequence[tuple[Subject, Wrong | None]]) -> None:
        posting = await stage.caller.send(
            self._message(stage, [self._said(stage, subject, wrong) for subject, wrong in pairs]), sender=self._sender
        )
        self._taken.append(posting)
        codes = {self._recipe.key(subject): FAILED if wrong else self._codes(subject) for subject, wrong in pairs}
        self._expect(posting, codes)
        await self._settled(stage, posting)

    async def _reordered(self, stage: Stage) -> None:
        """What it depends on comes later; MDUS has had a moment to be rash."""
        posting = await stage.caller.send(
            self._message(stage, [self._said(stage, subject) for subject in self.subjects]), sender=self._sender
        )
        self._taken.append(posting)
        self._expect(posting, {self._recipe.key(subject): self._recipe.reordered for subject in self.subjects})
        await asyncio.sleep(stage.pause)
        await stage.together(self._recipe.prepare(stage, subject) for subject in self.subjects)
        await self._settled(stage, posting)

    async def _malformed(self, stage: Stage) -> None:
        """Nothing has to be there first: it must not even be looked at. Unspoiled, the like of it is taken."""
        for how in SPOILS:
            self._refused.append(await stage.caller.send_spoiled(self._unprepared(stage), how, sender=self._sender))
        self._taken.append(await stage.caller.send(self._unprepared(stage), sender=self._sender))

    def _unprepared(self, stage: Stage) -> Message:
        subjects = [stage.subjects.take(self._sender) for _ in range(1 if self.form is Form.SINGLE else _TOGETHER)]
        return self._message(stage, [self._said(stage, subject) for subject in subjects])

    def _expect(self, posting: Posting, codes: dict[str, Collection[str]]) -> None:
        if self.service.kind is Kind.ASKED:
            self._expected.append((posting, codes))

    def _codes(self, subject: Subject) -> Collection[str]:
        return ANY if self._recipe.in_field and not subject.in_field else DONE

    async def _settled(self, stage: Stage, posting: Posting) -> None:
        if self.service.kind is Kind.ASKED:
            await stage.confirmed(posting, self.service.name)

    # -- what came of it -----------------------------------------------------------------------------------------------

    def judge(self, stage: Stage) -> dict[Cell, Verdict]:
        """This will judge both rows."""
        request, *confirmation = self.cells
        postings = [*self._taken, *self._refused]
        asked = [*answer_findings(self._taken), *refusal_findings(self._refused), *self._events(stage)]
        verdicts = {request: verdict(asked, postings=postings, untriggered=self._unproven)}
        for cell in confirmation:
            received = [one for posting in postings for one in stage.confirmations(posting, self.service.name)]
            verdicts[cell] = verdict(
                self._confirmation_findings(stage), postings=postings, received=received, untriggered=self._unproven
            )
        return verdicts

    @property
    def _unproven(self) -> str:
        """Why nothing found proves nothing: without a meter nothing was carried out."""
        executed = self.variant not in (Variant.BUSINESS_ERROR, Variant.MALFORMED, Variant.REORDERED)
        without = any(not subject.in_field for subject in self.subjects)
        return NO_METER if self._recipe.in_field and executed and without else ""

    def _confirmation_findings(self, stage: Stage) -> Iterator[Finding]:
        again = self.variant is Variant.DUPLICATE
        for posting, codes in self._expected:
            received = stage.confirmations(posting, self.service.name)
            yield from stage.judge.confirmations(posting, received, codes, seconds=stage.seconds, again=again)
            yield from self._details(posting, received)
        if self.variant is Variant.MALFORMED:
            for posting in self._refused:
                if stage.confirmations(posting, self.service.name):
                    yield Finding(
                        expected=f"no confirmation of a message with {posting.spoiled}", came="one that refers to it"
                    )
        yield from self._consequences(stage)

    def _details(self, posting: Posting, received: Sequence[Received]) -> Iterator[Finding]:
        if self.service.name != "connection_order":
            return
        asked = {item.key: item.content for item in posting.message.items}
        for one in received:
            for item in one.items:
                if item.key in asked:
                    yield from details.switched(item.element, asked[item.key])

    def _consequences(self, stage: Stage) -> Iterator[Finding]:
        """What must not follow a cancellation that was confirmed as done."""
        forbidden = {
            "connection_cancellation": ("connection_order", "confirmations"),
            "reading_cancellation": ("reading_result", "requests"),
        }.get(self.service.name)
        if forbidden is None or self.variant is Variant.BUSINESS_ERROR:
            return
        name, kind = forbidden
        roots = tuple(getattr(SERVICES[name], kind).values())
        for posting, _ in self._expected:
            for one in stage.confirmations(posting, self.service.name):
                done = {
                    item.key
                    for item in one.items
                    if text(item.element, "Log/BusinessDocumentProcessingResultCode") in DONE
                }
                if stage.ledger.about(done, roots=roots):
                    yield Finding(expected="nothing more of an order cancelled", came=f"a message of {name}")

    def _events(self, stage: Stage) -> Iterator[Finding]:
        """A notification has no confirmation: that it failed is told by an event, if at all."""
        if self.service.kind is not Kind.TOLD or self.variant is Variant.BUSINESS_ERROR:
            return
        devices = [subject.device for subject in self.subjects if subject.in_field]
        for one in stage.ledger.about(devices, roots=SERVICES["event"].requests.values()):
            types = [text(item.element, "UtilitiesSmartMeterEvent/TypeCode") for item in one.items]
            yield Finding(expected="no event about a device nothing is wrong with", came=f"type {types}")
