"""Scenes of what MDUS starts: something happens in the field, a message comes, SAP answers, and confirms.

Which form MDUS takes is its choice: the cells are those of the form that came. What must be had from the field is
pulled by the trigger; where it cannot be, a cell is not triggered, never passed.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import datetime, time, timedelta
from functools import partial
from typing import ClassVar

from simulators.conformance import bodies, details
from simulators.conformance.answering import Confirmer
from simulators.conformance.contract import ROOTS, SERVICES, Form, Service
from simulators.conformance.judging import answer_findings, distinct, redelivery_findings, refusal_findings
from simulators.conformance.ledger import Posting, Received, ReceivedItem
from simulators.conformance.listening import PAGE, UNAVAILABLE
from simulators.conformance.scene import Cell, Scene
from simulators.conformance.stage import NotSetUp, Stage
from simulators.conformance.subjects import Subject
from simulators.conformance.triggering import NotTriggered
from simulators.conformance.verdicts import Finding, Variant, Verdict, verdict
from simulators.conformance.writing import Content, stamp
from simulators.sap_cis.checks import text

#: What is answered to the first delivery, by variant.
_FIRST_ANSWER = {Variant.DUPLICATE: UNAVAILABLE, Variant.MALFORMED: PAGE}


class Starting(Scene):
    """One service MDUS starts, put through one variant; `form` is the one SAP expects to get."""

    #: How many subjects one play needs, by form.
    COUNT: ClassVar[Mapping[Form, int]] = {Form.SINGLE: 1, Form.BULK: 1}

    def __init__(self, service: Service, form: Form, variant: Variant, *, sender: str, confirmer: Confirmer) -> None:
        super().__init__(service, form, variant)
        self._sender = sender
        self._confirmer = confirmer
        self._expecting = False

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of the form expected."""
        return self._cells_of(self.form)

    @property
    def meters(self) -> int:
        """One meter of the field per subject."""
        return self.COUNT[self.form]

    def _cells_of(self, form: Form) -> tuple[Cell, ...]:
        roots = [self.service.requests[form], self.service.confirmations.get(form)]
        return tuple((root, self.variant) for root in roots if root is not None)

    async def play(self, stage: Stage) -> None:
        """This will bring the message about, and wait for it."""
        self.subjects = [stage.subjects.take(self._sender, field=True) for _ in range(self.COUNT[self.form])]
        for subject in self.subjects:
            key = self._key(subject)
            self._confirmer.plan(self.service.name, key, self.variant, sender=self._sender)
            for root in self.service.requests.values():
                if (first := _FIRST_ANSWER.get(self.variant)) is not None:
                    stage.listener.script(root, key, first)
                if self.variant is Variant.REORDERED:
                    stage.listener.before_receipt(root, key, self._confirmer.before_receipt)
        await self._stimulate(stage)
        self._expecting = True
        await stage.ledger.until(lambda: all(self._taken(stage, subject) for subject in self.subjects), stage.seconds)

    def _key(self, subject: Subject) -> str:
        """The business key of the message that comes."""
        return subject.device

    @staticmethod
    def _overtaking(
        stage: Stage, roots: Iterable[str], key: str, stimulate: Callable[[], Awaitable[None]]
    ) -> asyncio.Future[None]:
        """Stimulate while a message about an object is delivered, which SAP then does not take; done after it."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def hook(_: Received) -> None:
            try:
                await stimulate()
            except NotTriggered as error:
                done.set_exception(error)
            else:
                await asyncio.sleep(stage.pause)  # long enough to be overtaken
                done.set_result(None)

        for root in roots:
            stage.listener.script(root, key, UNAVAILABLE)
            stage.listener.at_delivery(root, key, hook)
        return done

    @staticmethod
    async def _over(stage: Stage, done: asyncio.Future[None]) -> None:
        try:
            async with asyncio.timeout(stage.seconds):
                await done
        except TimeoutError as error:
            raise NotSetUp(f"what was to be overtaken did not come within {stage.seconds:g} s") from error

    @abstractmethod
    async def _stimulate(self, stage: Stage) -> None:
        """What must happen so that the message comes."""

    def _deliveries(self, stage: Stage, subject: Subject) -> list[Received]:
        return stage.ledger.about([self._key(subject)], roots=self.service.requests.values())

    def _taken(self, stage: Stage, subject: Subject) -> list[Received]:
        return [one for one in self._deliveries(stage, subject) if one.taken]

    # -- judging -------------------------------------------------------------------------------------------------------

    def judge(self, stage: Stage) -> dict[Cell, Verdict]:
        """This will judge the message that came, and the answers to SAP's confirmation of it."""
        if not self._expecting:
            return {}
        received = {one.number: one for subject in self.subjects for one in self._deliveries(stage, subject)}
        listed = [received[number] for number in sorted(received)]
        form = ROOTS[listed[0].root][1] if listed else self.form
        findings = [finding for subject in self.subjects for finding in self._request_findings(stage, subject)]
        postings, answers = self._confirmations(listed)
        request, *confirmation = self._cells_of(form)
        context = self.exchange(stage)
        verdicts = {request: verdict(findings, received=listed or context.received, postings=context.postings)}
        for cell in confirmation:
            verdicts[cell] = verdict(
                answers, received=listed or context.received, postings=postings or context.postings
            )
        return verdicts

    def _confirmations(self, received: list[Received]) -> tuple[list[Posting], list[Finding]]:
        if not self.service.confirmations:
            return [], []
        postings: list[Posting] = []
        findings: list[Finding] = []
        for subject in self.subjects:
            confirmed = self._confirmer.confirmed[self.service.name, self._key(subject)]
            postings += [one for one in (*confirmed.taken, *confirmed.refused) if one not in postings]
            if not confirmed.taken:
                findings.append(
                    Finding(expected="a message that SAP could confirm", came="none" if not received else "none taken")
                )
            findings += answer_findings(confirmed.taken)
            if self.variant in (Variant.MALFORMED, Variant.CHANGED_DUPLICATE):
                findings += refusal_findings(confirmed.refused)
        return postings, findings

    def _request_findings(self, stage: Stage, subject: Subject) -> Iterator[Finding]:
        deliveries = self._deliveries(stage, subject)
        if not any(one.taken for one in deliveries):
            wanted = f"a message of {self.service.name} about {self._key(subject)} within {stage.seconds:g} s"
            came = "none"
            if deliveries:
                came = f"not again after it was answered {', '.join(str(one.status) for one in deliveries)}"
            yield Finding(expected=wanted, came=came)
            return
        for one in deliveries:
            yield from stage.judge.message(one)
        yield from redelivery_findings(deliveries)
        messages = distinct(deliveries)
        if len(messages) > 1 and self.variant is not Variant.BUSINESS_ERROR and self._once:
            yield Finding(expected=f"one message about {self._key(subject)}", came=f"{len(messages)} messages")
        if (first := _FIRST_ANSWER.get(self.variant)) is not None and len(deliveries) == 1:
            yield Finding(expected=f"sent again after it was answered with {first}", came="one delivery, taken at once")
        for one in messages:
            mine = [item for item in one.items if item.key == self._key(subject)]
            if self._once and len(mine) > 1:
                yield Finding(expected=f"{self._key(subject)} once in a message", came=f"{len(mine)} times")
            yield from self._item_findings(stage, subject, mine)
        yield from self._order_findings(stage, subject)

    #: Whether there is just one message about a subject.
    _once = True

    @abstractmethod
    def _item_findings(self, stage: Stage, subject: Subject, items: list[ReceivedItem]) -> Iterator[Finding]:
        """What is wrong with the items about a subject in one message."""

    def _order_findings(self, stage: Stage, subject: Subject) -> Iterator[Finding]:
        """What must have come before."""
        yield from ()


class Registered(Starting):
    """The registered notification: the meter is seen, once it is known with its register."""

    async def _stimulate(self, stage: Stage) -> None:
        (subject,) = self.subjects
        if self.variant is not Variant.REORDERED:
            await stage.register(subject)
            await stage.see(subject)
            return
        # The registers come first, and the meter is seen while SAP does not take the confirmation of the device.
        seen = self._overtaking(
            stage,
            SERVICES["device_create"].confirmations.values(),
            subject.device,
            lambda: stage.see(subject),
        )
        content = bodies.register_create(subject, stage.world)
        await stage.caller.send(
            stage.message("register_create", Form.SINGLE, [(subject.device, content)]), sender=subject.sender
        )
        await stage.device(subject)
        await self._over(stage, seen)

    def _item_findings(self, stage: Stage, subject: Subject, items: list[ReceivedItem]) -> Iterator[Finding]:
        for item in items:
            yield from details.registered(item.element, stage.world)

    def _order_findings(self, stage: Stage, subject: Subject) -> Iterator[Finding]:
        yield from _after(
            stage,
            self._deliveries(stage, subject),
            stage.ledger.about([subject.device], roots=SERVICES["device_create"].confirmations.values()),
            what="the device's confirmation",
        )


class Result(Starting):
    """The result of a reading order: on demand, of a meter that is registered."""

    COUNT: ClassVar[Mapping[Form, int]] = {Form.SINGLE: 1, Form.BULK: 2}

    def _key(self, subject: Subject) -> str:
        return subject.document

    def _content(self, stage: Stage, subject: Subject) -> Content:
        return bodies.reading_order(
            subject, stage.world, on=stage.world.today(), reason=bodies.CONTROL, source=bodies.ON_DEMAND
        )

    async def _stimulate(self, stage: Stage) -> None:
        await stage.together(stage.usable(subject) for subject in self.subjects)
        # The meters answer while SAP does not take the confirmation of the order.
        overtaking = [
            self._overtaking(
                stage,
                SERVICES["reading_order"].confirmations.values(),
                subject.document,
                partial(stage.pull, "reading", subject, document=subject.document),
            )
            for subject in self.subjects
            if self.variant is Variant.REORDERED
        ]
        said = [(subject.document, self._content(stage, subject)) for subject in self.subjects]
        order = await stage.caller.send(stage.message("reading_order", self.form, said), sender=self._sender)
        if not await stage.confirmed(order, "reading_order"):
            raise NotSetUp(f"{order.message.root} was not confirmed within {stage.seconds:g} s")
        if overtaking:
            await stage.together(self._over(stage, one) for one in overtaking)
            return
        for subject in self.subjects:
            await stage.pull("reading", subject, document=subject.document)

    def _item_findings(self, stage: Stage, subject: Subject, items: list[ReceivedItem]) -> Iterator[Finding]:
        for item in items:
            yield from details.read(item.element, subject, stage.world, self._content(stage, subject))

    def _order_findings(self, stage: Stage, subject: Subject) -> Iterator[Finding]:
        yield from _after(
            stage,
            self._deliveries(stage, subject),
            stage.ledger.about([subject.document], roots=SERVICES["reading_order"].confirmations.values()),
            what="the order's confirmation",
        )


class Event(Starting):
    """A smart meter event of a meter that is registered."""

    _once = False

    async def _stimulate(self, stage: Stage) -> None:
        (subject,) = self.subjects
        await stage.usable(subject)
        await stage.pull("event", subject)

    def _item_findings(self, stage: Stage, subject: Subject, items: list[ReceivedItem]) -> Iterator[Finding]:
        for item in items:
            yield from details.reported(item.element)

    def _order_findings(self, stage: Stage, subject: Subject) -> Iterator[Finding]:
        ids = [
            text(item.element, "UtilitiesSmartMeterEvent/ID")
            for one in distinct(self._deliveries(stage, subject))
            for item in one.items
            if item.key == subject.device
        ]
        if len(ids) != len(set(ids)) and self.variant is not Variant.BUSINESS_ERROR:
            yield Finding(expected="every event once", came=", ".join(map(str, ids)))


class Upload(Starting):
    """Interval values of a profile, of a whole local day: the one before yesterday, which nobody waits for any more."""

    _once = False

    def _key(self, subject: Subject) -> str:
        return subject.profile

    @staticmethod
    def day(stage: Stage) -> tuple[datetime, datetime]:
        """This will return the instants between which the values lie."""
        today, zone = stage.world.today(), stage.world.zone
        start, end = (datetime.combine(today - timedelta(days=days), time(), zone) for days in (2, 1))
        return start, end

    async def _assigned(self, stage: Stage, subject: Subject) -> None:
        await stage.usable(subject, intervals=True)
        content = bodies.measurement_task_assignment(subject, stage.world)
        await stage.establish("measurement_task_assignment", subject, content, key=subject.profile)

    async def _deliver(self, stage: Stage, subject: Subject, stimulus: str) -> None:
        start, end = map(stamp, self.day(stage))
        await stage.pull(stimulus, subject, profile=subject.profile, **{"from": start, "to": end})

    async def _stimulate(self, stage: Stage) -> None:
        (subject,) = self.subjects
        await self._assigned(stage, subject)
        await self._deliver(stage, subject, "interval_values")

    def _item_findings(self, stage: Stage, subject: Subject, items: list[ReceivedItem]) -> Iterator[Finding]:
        start, end = self.day(stage)
        yield from details.uploaded([item.element for item in items], start=start, end=end)


class Correction(Upload):
    """Other values for intervals that were uploaded: a change, after its create."""

    async def _stimulate(self, stage: Stage) -> None:
        (subject,) = self.subjects
        await self._assigned(stage, subject)
        roots = SERVICES["time_series_create"].requests.values()
        correct = partial(self._deliver, stage, subject, "interval_correction")
        if self.variant is Variant.REORDERED:
            # The values are corrected while SAP does not take those they correct.
            corrected = self._overtaking(stage, roots, subject.profile, correct)
            await self._deliver(stage, subject, "interval_values")
            await self._over(stage, corrected)
            return
        await self._deliver(stage, subject, "interval_values")
        if not await stage.ledger.until(
            lambda: any(one.taken for one in stage.ledger.about([subject.profile], roots=roots)), stage.seconds
        ):
            raise NotSetUp(f"no interval values of {subject.profile} came within {stage.seconds:g} s")
        await correct()

    def _order_findings(self, stage: Stage, subject: Subject) -> Iterator[Finding]:
        yield from _after(
            stage,
            self._deliveries(stage, subject),
            stage.ledger.about([subject.profile], roots=SERVICES["time_series_create"].requests.values()),
            what="the create of these intervals",
        )


def _after(stage: Stage, deliveries: list[Received], before: list[Received], *, what: str) -> Iterator[Finding]:
    """A message must not be delivered before SAP has taken another."""
    taken = [one.number for one in before if one.taken]
    if deliveries and (not taken or deliveries[0].number < taken[0]):
        yield Finding(expected=f"nothing before SAP has taken {what}", came="it was overtaken")


#: Service name -> the scenes of it.
STARTING: dict[str, Callable[..., Starting]] = {
    "registered": Registered,
    "reading_result": Result,
    "event": Event,
    "time_series_create": Upload,
    "time_series_change": Correction,
}
