"""What scenes share: the wire in both directions, the field, and the set-up that most of them need first."""

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Sequence
from dataclasses import dataclass

from simulators.conformance import bodies
from simulators.conformance.calling import Caller, Outcome, outcome_of
from simulators.conformance.contract import SERVICES, Contract, Form
from simulators.conformance.judging import DONE, Judge
from simulators.conformance.ledger import Ledger, Posting, Received
from simulators.conformance.listening import Listener
from simulators.conformance.subjects import Subject, Subjects, World
from simulators.conformance.triggering import NotTriggered, Trigger
from simulators.conformance.writing import Content, Item, Message
from simulators.sap_cis.checks import text


class NotSetUp(Exception):
    """What a scene needs first did not come about; the text says what."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """The parts of one run. `seconds` is how long MDUS has for anything, `pause` how long SAP gives it to think."""

    contract: Contract
    world: World
    ledger: Ledger
    caller: Caller
    listener: Listener
    trigger: Trigger
    subjects: Subjects
    judge: Judge
    seconds: float
    pause: float

    # -- messages ------------------------------------------------------------------------------------------------------

    def message(
        self, service: str, form: Form, said: Sequence[tuple[str, Content]], *, uuid: str | None = None
    ) -> Message:
        """This will make a request of a service about (business key, content) pairs, with UUIDs of its own."""
        return Message(
            root=SERVICES[service].requests[form],
            uuid=uuid or self.subjects.uuid(),
            items=tuple(Item(key=key, uuid=self.subjects.uuid(), content=content) for key, content in said),
            # Bulks come as SAP's other way to write a root: both are one and the same.
            plain=form is Form.BULK,
        )

    def confirmations(self, posting: Posting, service: str) -> list[Received]:
        """This will return what came as a confirmation of a request: by reference, else by business key."""
        roots = SERVICES[service].confirmations.values()
        uuids = (posting.message.uuid, *(item.uuid for item in posting.message.items))
        found = self.ledger.referring_to(uuids, roots=roots)
        keys = {item.key for item in posting.message.items}
        for one in self.ledger.about(keys, roots=roots):
            references = {one.reference, *(item.reference for item in one.items)} - {""}
            if not any(uuid in self.ledger.sent or uuid in self.ledger.sent_items for uuid in references):
                found.append(one)
        return sorted({one.number: one for one in found}.values(), key=lambda one: one.number)

    async def confirmed(self, posting: Posting, service: str, *, keys: Collection[str] | None = None) -> bool:
        """This will wait until every item of a request is confirmed, or those with some keys; not if it was refused."""
        if not posting.answers or outcome_of(posting.answers[-1]) is not Outcome.TAKEN:
            return False
        wanted = {item.key for item in posting.message.items} if keys is None else set(keys)
        uuids = {item.uuid: item.key for item in posting.message.items}

        def all_told() -> bool:
            told = set()
            for one in self.confirmations(posting, service):
                for item in one.items:
                    told |= {item.key, uuids.get(item.reference, item.key)}
                if posting.message.form is Form.SINGLE:
                    told |= wanted
            return wanted <= told

        return await self.ledger.until(all_told, self.seconds)

    # -- set-up --------------------------------------------------------------------------------------------------------

    async def establish(self, service: str, subject: Subject, content: Content, *, key: str) -> Posting:
        """This will have a request carried out, or raise NotSetUp; SAP sends the next message only when it is."""
        message = self.message(service, Form.SINGLE, [(key, content)])
        posting = await self.caller.send(message, sender=subject.sender)
        if outcome_of(posting.answers[-1]) is not Outcome.TAKEN:
            raise NotSetUp(f"{message.root} was {outcome_of(posting.answers[-1])}")
        if not await self.confirmed(posting, service):
            raise NotSetUp(f"{message.root} was not confirmed within {self.seconds:g} s")
        for one in self.confirmations(posting, service):
            for item in one.items:
                code = text(item.element, "Log/BusinessDocumentProcessingResultCode")
                if code not in DONE:
                    note = text(item.element, "Log/Item/Note") or "no reason given"
                    raise NotSetUp(f"{message.root} failed with result code {code}: {note}")
        return posting

    async def device(self, subject: Subject) -> None:
        """This will make the device known."""
        await self.establish("device_create", subject, bodies.device_create(subject, self.world), key=subject.device)

    async def register(self, subject: Subject, *, intervals: bool = False) -> None:
        """This will make the device and its register known."""
        await self.device(subject)
        content = bodies.register_create(subject, self.world, intervals=intervals)
        await self.establish("register_create", subject, content, key=subject.device)

    async def usable(self, subject: Subject, *, intervals: bool = False) -> None:
        """This will have the device registered, so that SAP may use it; NotTriggered without a meter of the field."""
        if not subject.in_field:
            raise NotTriggered(NO_METER)
        await self.register(subject, intervals=intervals)
        await self.see(subject)
        if not await self.registered(subject):
            raise NotSetUp(f"the device {subject.device} was seen and not reported as registered")

    async def see(self, subject: Subject) -> None:
        """This will let the meter communicate for the first time."""
        await self.pull("seen", subject)

    async def registered(self, subject: Subject) -> bool:
        """This will wait for the device's registered notification."""
        roots = SERVICES["registered"].requests.values()
        return await self.ledger.until(
            lambda: any(one.taken for one in self.ledger.about([subject.device], roots=roots)), self.seconds
        )

    async def pull(self, stimulus: str, subject: Subject, **parameters: str) -> None:
        """This will stimulate the meter of a subject."""
        if not subject.in_field:
            raise NotTriggered(NO_METER if self.trigger.is_there else "needs a stimulus from the field: --trigger CMD")
        await self.trigger.pull(
            stimulus, serial=subject.meter.serial, device=subject.device, task=subject.task, **parameters
        )

    async def together(self, works: Iterable[Awaitable[object]]) -> None:
        """This will wait for several works at once, and raise the first thing that went wrong when all have ended."""
        for ended in await asyncio.gather(*works, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended


NO_METER = "needs a meter of the field: the trigger gave too few"
