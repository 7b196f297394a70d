"""MDUS between meters with load profiles and SAP systems that assign profiles: what a test says and sees.

Messages come in through SOAP; interval values come in as the readings worker takes them in; the job and the workers are
turned by hand. A SAP keeps what it is sent and answers when it is told to.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from lxml import etree

from mdus.bootstrap.discovery import discover
from mdus.cis.client import Delivery
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import parse
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import FieldIntervals
from mdus.domain.quantities import Qualities, Quantities
from mdus.domain.register import Register
from mdus.domain.value import Value
from mdus.messaging.retry import RetryPolicy
from mdus.storage.session import TABLES
from mdus.vee.rule_set import NO_RULES
from mdus.workers import interval_export
from mdus.workers.inbox import InboxWorker
from mdus.workers.interval_intake import take_intervals
from mdus.workers.outbox import OutboxWorker
from mdus.workers.told import Told
from mdus.workers.validation import ValidationWorker
from tests.flows.intake.installation import Installation

SENDER: Final = "P11"
ENERGY: Final = "1-0:1.8.0*255"
INTERVALS: Final = "1-0:1.29.0*255"
DEVICE: Final = "000000000000000042"
TASK: Final = "000000000000100042"
PROFILE: Final = "000000000000000815"

ASSIGN: Final = "UtilitiesTimeSeriesERPMeasurementTaskAssignmentChangeRequest"
ASSIGNED: Final = "UtilitiesTimeSeriesERPMeasurementTaskAssignmentChangeConfirmation"
CREATE: Final = "UtilitiesTimeSeriesERPItemBulkCreateRequest"
CHANGE: Final = "UtilitiesTimeSeriesERPItemBulkChangeRequest"
CODE: Final = "Log/BusinessDocumentProcessingResultCode"

_ROOTS: Final = "http://sap.com/xi/SAPGlobal20/Global"
_SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
_ITEMS: Final[Mapping[str, str]] = {
    CREATE: "UtilitiesTimeSeriesERPItemCreateRequestMessage",
    CHANGE: "UtilitiesTimeSeriesERPItemChangeRequestMessage",
}
_QUARTER: Final = timedelta(minutes=15)


class Clock:
    """Business time that a test moves."""

    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        return self.instant


class Sap:
    """Takes every message of MDUS; each must validate against its schema."""

    def __init__(self) -> None:
        self.received: list[tuple[str, etree._Element, bytes]] = []  # sender system, message, bytes

    def post(self, body: bytes, *, interface: str, sender_system: str) -> Delivery:
        """Take one message."""
        element = parse(body)
        root = catalog().root(etree.QName(element).localname)
        catalog().schema(root).assertValid(element)
        assert root.interface == interface
        self.received.append((sender_system, element, body))
        return Delivery(delivered=True)

    def close(self) -> None:
        """Nothing is open."""

    def messages(self, root: str, *, sender: str = SENDER) -> list[etree._Element]:
        """Return the messages of one root to a system, oldest first."""
        return [each for system, each, _ in self.received if system == sender and etree.QName(each).localname == root]


class Metering:
    """One installation of MDUS, with SAP systems on one side and values of meters on the other."""

    def __init__(self, url: str, folder: Path, *, now: datetime, settings: str = "", **environ: str) -> None:
        (folder / "profiles.toml").write_text(settings)
        self.clock, self.sap = Clock(now), Sap()
        found = discover()
        values = {"MDUS_CONFIG": str(folder), "MDUS_TIME_ZONE": "Europe/Berlin", **environ}
        self.mdus = Installation(url, environ=values, clock=self.clock, services=found.services)
        self.settings, self.database = self.mdus.runtime.settings, self.mdus.database
        shared: dict[str, Any] = {"database": self.database, "settings": self.settings, "clock": self.clock}
        retry = RetryPolicy(base=timedelta(0), cap=timedelta(0), attempts=3)
        self.inbox = InboxWorker(**shared, services=found.services, retry=RetryPolicy(attempts=1))
        self.outbox = OutboxWorker(
            **shared,
            services=found.services,
            retry=retry,
            contract=catalog(),
            client=self.sap,  # type: ignore[arg-type]
        )
        self.validation = ValidationWorker(**shared, rule_sets=lambda _: lambda *_: NO_RULES)
        self._ran_at = now
        self._answered = 0

    def close(self) -> None:
        """Let go of everything."""
        self.outbox.close()
        self.database.close()

    # ---- what happens ------------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Turn inbox and outbox until neither has anything left to do."""
        for _ in range(200):
            if self.inbox.turn() + self.outbox.turn() == 0:
                return
        raise AssertionError("the workers never come to rest")

    def export(self, *, at: datetime | None = None, refused_on: date | None = None) -> str:
        """Let the job run, now or at an instant, and send what is then due; returns what it did."""
        self.clock.instant = at or self.clock.instant
        now, since = self.clock.instant, self._ran_at
        done = interval_export.run(self.database, settings=self.settings, now=now, since=since, refused_on=refused_on)
        self._ran_at = self.clock.instant
        self.rest()
        return done

    def tell(self, root: str, body: str, *, sender: str = SENDER, references: str | None = None) -> str:
        """Post a message of SAP; returns its UUID in lower case."""
        made = str(uuid.uuid4())
        answer = self.mdus.post(envelope(root, header(made, sender=sender, references=references) + body))
        assert (answer.status_code, answer.content) == (202, b""), answer.text
        return made

    def assign(self, *roles: str, **facts: Any) -> list[str]:
        """Let SAP assign a profile; returns the result code and the TypeIDs of its log."""
        sender = facts.pop("sender", SENDER)
        self.tell(ASSIGN, time_series(*roles, **facts), sender=sender)
        self.rest()
        return texts(self.sap.messages(ASSIGNED, sender=sender)[-1], CODE, "Log/Item/TypeID")

    def meter(
        self,
        device: str = DEVICE,
        *,
        task: str = TASK,
        sender: str = SENDER,
        valid_from: date = date(2026, 1, 1),
        valid_to: date | None = None,
        registered: bool = True,
        **register: Any,
    ) -> None:
        """Store a device with a register, as SAP's messages would."""
        facts: dict[str, Any] = {"reading_type": ENERGY, "unit": "KWH", "total_digits": 8, "fraction_digits": 2}
        self.save(
            EndDevice(
                sender_system=sender,
                device_id=device,
                serial_id=f"{sender}-{device}",
                material_id="LX100",
                valid_from=date(2026, 1, 1),
                ams_id="AM01",
                head_end="city",
            ),
            EndDeviceStatus(
                sender_system=sender,
                device_id=device,
                registered_at=datetime(2026, 1, 1, tzinfo=UTC) if registered else None,
            ),
            Register(
                sender_system=sender,
                device_id=device,
                measurement_task_id=task,
                valid_from=valid_from,
                valid_to=valid_to,
                **{**facts, **register},
            ),
        )

    def deliver(
        self,
        start: datetime,
        values: Sequence[str | int | None],
        *,
        device: str = DEVICE,
        sender: str = SENDER,
        qualities: Sequence[str | None] = (),
        unit: str = "kWh",
        minutes: int = 15,
    ) -> None:
        """Let interval values of a meter come in."""
        with self.database.begin() as uow:
            (owner,) = uow.load(EndDevice, EndDevice.KEY, [(sender, device)])
            intervals = FieldIntervals(
                serial_id=owner.serial_id,
                reading_type=INTERVALS,
                unit=unit,
                interval_minutes=minutes,
                start_at=start,
                values=Quantities.of(None if value is None else Decimal(value) for value in values),
                qualities=Qualities.of(qualities),
            )
            now = self.clock.now()
            told = Told(delivery_id=1, head_end="city", received_at=now, events=(intervals,))
            assert take_intervals(uow, [told], {("city", owner.serial_id): owner}, now=now).unplaced == {}
        while self.validation.turn():
            pass

    def confirm(self, *, code: str = "3", overall: str | None = "same", type_id: str = "001(EL)") -> int:
        """Let SAP answer all values it has not answered yet; returns how many messages."""
        told, note = 0, "" if code == "3" else "as told"
        for sender, message, _ in list(self.sap.received[self._answered :]):
            root = etree.QName(message).localname
            if root in (CREATE, CHANGE):
                given = code if overall == "same" else overall
                self.tell(
                    root.replace("Request", "Confirmation"),
                    answer_to(message, code=code, overall=given, note=note, type_id=type_id),
                    sender=sender,
                    references=message.findtext("MessageHeader/UUID"),
                )
                told += 1
        self._answered = len(self.sap.received)
        self.rest()
        return told

    # ---- what is there -----------------------------------------------------------------------------------------------

    def save(self, *values: Value) -> None:
        """Store values in a transaction of their own."""
        with self.database.begin() as uow:
            uow.save(values)

    def all(self, kind: type[Any]) -> list[Any]:
        """Return all stored values of a kind, oldest first."""
        with self.database.read() as uow:
            return list(TABLES[kind].fetch(uow.connection, TABLES[kind].select().order_by(TABLES[kind].table.c.id)))

    def cases(self, *, is_open: bool = True) -> list[str]:
        """Return the kinds of the cases that are open, or closed."""
        return [case.kind for case in self.all(ExceptionCase) if (case.closed_at is None) == is_open]

    def sent(self, root: str, *, profile: str = PROFILE, sender: str = SENDER) -> dict[str, str]:
        """Return all values SAP was sent in one way: by the start of the interval, with end, value, unit and status."""
        found: dict[str, str] = {}
        for message in self.sap.messages(root, sender=sender):
            for item in items_of(message, profile):
                start, told = item
                assert root == CHANGE or start not in found, f"{start} was created twice"
                found[start] = told
        return found


def items_of(message: etree._Element, profile: str = PROFILE) -> Iterable[tuple[str, str]]:
    """Yield (start, "end value unit status") of the values of a profile in a message."""
    for series in message.iterfind(f"{_ITEMS[etree.QName(message).localname]}/UtilitiesTimeSeries"):
        if series.findtext("ID") != profile:
            continue
        for item in series.iterfind("Item"):
            quantity = item.find("Quantity")
            assert quantity is not None
            statuses = texts(item, "ItemStatus/UtilitiesTimeSeriesItemTypeCode")
            start, end = texts(item, "UTCValidityStartDateTime", "UTCValidityEndDateTime")
            yield start, f"{end} {quantity.text} {quantity.get('unitCode')} {' '.join(statuses)}"


def answer_to(
    message: etree._Element, *, code: str, overall: str | None, note: str = "", type_id: str = "001(EL)"
) -> str:
    """Return SAP's confirmation of values: each profile with a code, and the message as a whole with another."""
    request = _ITEMS[etree.QName(message).localname]
    remark = f"<Item><TypeID>{type_id}</TypeID><Note>{note}</Note></Item>" if note else ""
    parts = [
        f"<{request.replace('Request', 'Confirmation')}>{header(str(uuid.uuid4()))}"
        f"<UtilitiesTimeSeries><ID>{item.findtext('UtilitiesTimeSeries/ID')}</ID></UtilitiesTimeSeries>"
        f"{log(code, remark)}</{request.replace('Request', 'Confirmation')}>"
        for item in message.iterfind(request)
    ]
    return "".join(parts) + log(overall)


def log(code: str | None, remark: str = "") -> str:
    """Return a Log with a result code."""
    inside = f"<BusinessDocumentProcessingResultCode>{code}</BusinessDocumentProcessingResultCode>" if code else ""
    return f"<Log>{inside}{remark}</Log>"


def role(
    start: str = "2026-01-01T00:00:00",
    end: str = "9999-12-31T23:59:59",
    *,
    task: str = TASK,
    code: str = "01",
    ams: str = "AM01",
) -> str:
    """Return one role of an assignment, its bounds as SAP writes them: local date and time."""
    (start_on, start_time), (end_on, end_time) = start.split("T"), end.split("T")
    return (
        f"<MeasurementTaskAssignmentRole><StartDate>{start_on}</StartDate><StartTime>{start_time}</StartTime>"
        f"<EndDate>{end_on}</EndDate><EndTime>{end_time}</EndTime>"
        f"<UtilitiesTimeSeriesAssignmentRoleCode>{code}</UtilitiesTimeSeriesAssignmentRoleCode>"
        f"<UtilitiesMeasurementTaskID>{task}</UtilitiesMeasurementTaskID><UtilitiesDeviceSmartMeter>"
        f"<UtilitiesAdvancedMeteringSystemID>{ams}</UtilitiesAdvancedMeteringSystemID></UtilitiesDeviceSmartMeter>"
        f"</MeasurementTaskAssignmentRole>"
    )


def time_series(
    *roles: str,
    profile: str = PROFILE,
    complete: bool = True,
    recurrence: str | None = "15",
    unit: str | None = "KWH",
    decimals: int | None = 3,
    remotely_stored: bool = False,
) -> str:
    """Return a profile with its assignments."""
    parts = [
        f"<ID>{profile}</ID>",
        f"<UtilitiesMeasurementRecurrenceCode>{recurrence}</UtilitiesMeasurementRecurrenceCode>" if recurrence else "",
        f"<MeasureUnitCode>{unit}</MeasureUnitCode>" if unit else "",
        ""
        if decimals is None
        else "<DecimalValuePrecision><TotalDigitNumberValue>14</TotalDigitNumberValue>"
        f"<FractionDigitNumberValue>{decimals}</FractionDigitNumberValue></DecimalValuePrecision>",
        "<ItemsRemotelyStoredIndicator>true</ItemsRemotelyStoredIndicator>" if remotely_stored else "",
    ]
    indicator = f'measurementTaskAssignmentRoleListCompleteTransmissionIndicator="{str(complete).lower()}"'
    return f"<UtilitiesTimeSeries {indicator}>{''.join(parts)}{''.join(roles)}</UtilitiesTimeSeries>"


def header(made: str, *, sender: str = SENDER, references: str | None = None) -> str:
    """Return a header of SAP's."""
    reference = f"<ReferenceUUID>{references}</ReferenceUUID>" if references else ""
    return (
        f"<MessageHeader><UUID>{made}</UUID>{reference}<CreationDateTime>2026-03-28T10:00:00Z</CreationDateTime>"
        f"<SenderBusinessSystemID>{sender}</SenderBusinessSystemID></MessageHeader>"
    )


def envelope(root: str, content: str) -> bytes:
    """Return a message in its envelope."""
    text = f'<n0:{root} xmlns:n0="{_ROOTS}">{content}</n0:{root}>'
    return f'<s:Envelope xmlns:s="{_SOAP}"><s:Body>{text}</s:Body></s:Envelope>'.encode()


def texts(element: etree._Element, *paths: str) -> list[str]:
    """Return the texts at some paths of a message."""
    return [found.text or "" for path in paths for found in element.iterfind(path)]


def starts(first: datetime, count: int, *, every: timedelta = _QUARTER) -> list[str]:
    """Return the starts of consecutive intervals as they stand on the wire."""
    return [f"{first + place * every:%Y-%m-%dT%H:%M:%SZ}" for place in range(count)]
