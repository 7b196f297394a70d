"""SAP's order for one reading of one register, from acceptance to the confirmed result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, Final

from mdus.domain.meter_reading_selection import reason_number
from mdus.domain.reading import MeterReading
from mdus.domain.value import Value, type_key

#: Kinds of exception cases of a result: SAP refused it for good, or never answered.
RESULT_REFUSED: Final = "reading_result_refused"
RESULT_UNCONFIRMED: Final = "reading_result_unconfirmed"


class DocumentStatus(StrEnum):
    """The state of a meter reading document."""

    ORDERED = "ordered"  # accepted, its value is not there yet
    READ = "read"  # a value is chosen, the result is due to SAP
    AVAILABLE = "available"  # a value is chosen, for the REST client that ordered it to read
    RESULT_SENT = "result_sent"  # the result message is stored for sending
    CONFIRMED = "confirmed"  # SAP took the result
    REJECTED = "rejected"  # SAP refused the result for good: a case is open
    ENTERED = "entered"  # a person has read the value and SAP has sent it: no result goes back
    CANCELLED = "cancelled"  # taken back by SAP before its result was confirmed
    FAILED = "failed"  # no value could be had: a smart meter event is due


def document_arrival(sender_system: str, document_id: str) -> str:
    """Return the name under which a cancellation waits for the order it cancels."""
    # The document first: names that begin with sender and ordering key are taken to come in order with the item, and
    # cancellations are ordered by document, orders by device.
    return f"meter_reading_document/{document_id}/{sender_system}"


@dataclass(frozen=True, kw_only=True, slots=True)
class MeterReadingDocument(Value):
    """One reading order, from SmartMeterMeterReadingDocumentERPCreateRequest (SAP contract 3.5).

    A reading that SAP sends without having ordered it is one too, ENTERED from the start.
    `due_at` is the business instant that is meant, `window_from` and `window_until` are the first and the last at which
    a value counts. `next_try_at` is when to look for a value again, or to send a refused result again.
    `order_item_id` and `order_uuid` name the order it came with: its result must not overtake that confirmation.
    `value` is as shown on the register, cut to its decimals; `measured_at` the instant it was read. Of an order that a
    REST client gave (`client`) SAP is told nothing.

    An estimated value says what it was made from (`estimate`, JSON) and what is taken to be used since the reading
    before (`estimated_usage`). It goes out under a `type_code` of its own, and is no `MeterReading`: nothing that looks
    for readings of the meter finds it.
    """

    KEY: ClassVar[tuple[str, ...]] = ("sender_system", "document_id")

    sender_system: str
    document_id: str
    device_id: str
    measurement_task_id: str
    obis_text: str
    reading_type: str
    reason_code: str
    scheduled_on: date
    data_source_code: str | None = None
    ams_id: str | None = None
    point_of_delivery_id: str | None = None
    on_demand: bool = False
    time_zone: str  # IANA zone of the sender system: results carry its local date and time
    status: DocumentStatus = DocumentStatus.ORDERED
    due_at: datetime
    window_from: datetime
    window_until: datetime
    next_try_at: datetime | None = None
    attempts: int = 0
    order_item_id: int
    order_uuid: str | None = None
    order_id: str | None = None
    bulk: bool = False  # the order came in a bulk
    value: Decimal | None = None
    unit: str | None = None
    measured_at: datetime | None = None
    result_attempts: int = 0  # result messages made so far
    note: str | None = None  # why it failed or was rejected
    client: str | None = None
    type_code: str | None = None  # MeterReadingTypeCode of its value, None of one that was read
    estimate: str | None = None
    estimated_usage: Decimal | None = None

    @property
    def wakes(self) -> tuple[str, ...]:
        """Return the one name a cancellation that came too early waits for."""
        return (document_arrival(self.sender_system, self.document_id),)

    def entered(self, reading: MeterReading, *, by_client: bool = False) -> MeterReadingDocument:
        """Return the document as it ends with a reading that a person has made and SAP has sent itself.

        If a REST client sent it instead (`by_client`), SAP gets it as the result of an order it still waits for.
        """
        return replace(
            self,
            status=DocumentStatus.READ if by_client and self.is_awaited else DocumentStatus.ENTERED,
            next_try_at=None,
            reading_type=reading.reading_type,
            value=reading.value,
            unit=reading.unit,
            measured_at=reading.measured_at,
            note=None,
            type_code=None,
            estimate=None,
            estimated_usage=None,
        )

    @property
    def is_estimated(self) -> bool:
        """Tell whether its value was estimated."""
        return self.estimate is not None

    @property
    def is_given_up(self) -> bool:
        """Tell whether its result is sent no more by itself: SAP has refused it for good, or never answered it."""
        is_noted = self.status is DocumentStatus.RESULT_SENT and self.next_try_at is None and self.note is not None
        return is_noted or self.status is DocumentStatus.REJECTED

    @property
    def is_awaited(self) -> bool:
        """Tell whether SAP has ordered it and knows of no reading yet."""
        return self.client is None and self.status in (DocumentStatus.ORDERED, DocumentStatus.FAILED)

    def is_for(self, *, device_id: str, measurement_task_id: str, reason_code: str) -> bool:
        """Tell whether it is about this register of this device, and for this reason; codes may have leading zeros."""
        return (self.device_id, self.measurement_task_id) == (device_id, measurement_task_id) and reason_number(
            self.reason_code
        ) == reason_number(reason_code)

    @property
    def reading_key(self) -> type_key:
        """Return the key of the `MeterReading` that its value is, where a person has read it."""
        return (self.sender_system, self.device_id, self.reading_type, self.measured_at, self.value)
