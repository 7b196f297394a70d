"""SAP's confirmations of what MDUS asks: each message is confirmed once, as the scenes of its objects want it.

A message may carry objects of several scenes. The confirmation is one all the same: it is sent twice if one of them is
to see a duplicate, and so on; each scene judges the answers to what was sent for it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from simulators.conformance import bodies
from simulators.conformance.calling import Caller
from simulators.conformance.contract import ROOTS, SERVICES, Form, Kind
from simulators.conformance.ledger import Posting, Received
from simulators.conformance.subjects import Subjects
from simulators.conformance.verdicts import Variant
from simulators.conformance.writing import SPOILS, Item, Message
from simulators.sap_cis.checks import overall_code, text


@dataclass(slots=True, kw_only=True)
class Confirmed:
    """What was sent as confirmation of one object: what must be taken, and what must be refused."""

    taken: list[Posting] = field(default_factory=list)
    refused: list[Posting] = field(default_factory=list)


class Confirmer:
    """This will confirm messages of MDUS; an object no scene has planned for is confirmed as done."""

    def __init__(self, subjects: Subjects, *, sender: str) -> None:
        self._subjects = subjects
        self._sender = sender
        self._caller: Caller | None = None
        self._plans: dict[tuple[str, str], tuple[Variant, str]] = {}
        self._begun: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.confirmed: defaultdict[tuple[str, str], Confirmed] = defaultdict(Confirmed)

    def begin(self, caller: Caller) -> None:
        """This will confirm through this caller from now on."""
        self._caller = caller

    def plan(self, service: str, key: str, variant: Variant, *, sender: str) -> None:
        """This will put the confirmation of an object through a variant."""
        self._plans[service, key] = (variant, sender)

    async def taken(self, received: Received) -> None:
        """This will see to the confirmation of a message that was taken, beside whatever else goes on."""
        if self._begin(received):
            task = asyncio.create_task(self._confirm(received))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def before_receipt(self, received: Received) -> None:
        """This will confirm a message before its delivery is answered as taken."""
        if self._begin(received):
            await self._confirm(received)

    async def ended(self) -> None:
        """This will wait until every confirmation under way is answered."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def _begin(self, received: Received) -> bool:
        service, _, answers = ROOTS[received.root]
        if service.kind is not Kind.STARTED or answers or not received.uuid or received.uuid in self._begun:
            return False
        self._begun.add(received.uuid)
        return True

    async def _confirm(self, received: Received) -> None:
        assert self._caller is not None
        service, form, _ = ROOTS[received.root]
        objects = [(service.name, item.key) for item in received.items]
        plans = [self._plans.get(one, (Variant.OK, self._sender)) for one in objects]
        wanted = {variant for variant, _ in plans}
        sender = plans[0][1] if plans else self._sender
        codes = ["5" if variant is Variant.BUSINESS_ERROR else "3" for variant, _ in plans]
        message = self._message(received, service.name, form, codes)
        records = [self.confirmed[one] for one in objects]

        if Variant.MALFORMED in wanted:
            for how in SPOILS:
                spoiled = await self._caller.send_spoiled(self._again(message), how, sender=sender)
                for record in records:
                    record.refused.append(spoiled)
        posting = self._caller.written(message, sender=sender)
        for record in records:
            record.taken.append(posting)
        await self._caller.post(posting)
        if Variant.DUPLICATE in wanted:
            await asyncio.gather(self._caller.post(posting), self._caller.post(posting))
        if Variant.CHANGED_DUPLICATE in wanted:
            turned = ["3" if code == "5" else "5" for code in codes]
            changed = replace(self._message(received, service.name, form, turned), uuid=message.uuid)
            refused = await self._caller.send_changed(changed, sender=sender)
            for record in records:
                record.refused.append(refused)

    def _message(self, received: Received, service: str, form: Form, codes: Sequence[str]) -> Message:
        items = tuple(
            Item(
                key=item.key,
                uuid=self._subjects.uuid(),
                reference=item.uuid or None,
                content=bodies.confirmation(
                    service,
                    {
                        "key": item.key,
                        "device": text(item.element, _DEVICE_OF_RESULT) or "",
                        "event": text(item.element, "UtilitiesSmartMeterEvent/ID") or "",
                    },
                    code,
                ),
            )
            for item, code in zip(received.items, codes, strict=True)
        )
        return Message(
            root=SERVICES[service].confirmations[form],
            uuid=self._subjects.uuid(),
            items=items,
            reference=received.uuid,
            log={"BusinessDocumentProcessingResultCode": overall_code(codes)} if form is Form.BULK else None,
        )

    def _again(self, message: Message) -> Message:
        """The same under UUIDs of its own."""
        items = tuple(replace(item, uuid=self._subjects.uuid()) for item in message.items)
        return replace(message, uuid=self._subjects.uuid(), items=items)


_DEVICE_OF_RESULT = "MeterReadingDocument/UtiltiesMeasurementTask/UtiltiesDevice/UtilitiesDeviceID"
