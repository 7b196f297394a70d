"""What a meter shows against an estimate that SAP was told: the outcome stays, but somebody has to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import ClassVar

from mdus.domain.end_device_event import LateFailure, late_failure
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_collection import document_owner
from mdus.domain.meter_reading_document import MeterReadingDocument
from mdus.domain.reading import MeterReading, ReadingOrigin
from mdus.domain.unit import Units
from mdus.domain.value import Value
from mdus.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance(Value):
    """How far a reading may be from an estimate: a part of the usage estimated, and an amount in any case."""

    KEY: ClassVar[tuple[str, ...]] = ()

    percent: Decimal = Decimal(20)
    least: Decimal = Decimal(1)
    units: Units = field(default_factory=Units)

    @classmethod
    def of(cls, settings: Settings) -> Tolerance:
        """Return what the section `reading` says."""
        reading = settings.reading
        return cls(
            percent=Decimal(str(reading.estimate_tolerance_percent)),
            least=Decimal(str(reading.estimate_tolerance)),
            units=Units.of(settings),
        )

    def around(self, document: MeterReadingDocument) -> Decimal:
        """Return how far from a document's estimate a reading at its instant may be."""
        return max(self.least, (document.estimated_usage or Decimal(0)) * self.percent / 100)


def contradictions(
    documents: Iterable[MeterReadingDocument], readings: Iterable[MeterReading], *, tolerance: Tolerance, now: datetime
) -> Iterator[Value]:
    """Yield the event and the case of each reading that contradicts a document's estimate.

    A register only counts up: at the estimate's instant or later it shows no less than estimated, at it or before no
    more. Readings outside the document's window say nothing of it. Of an order that a REST client gave there is only
    the case: SAP was told nothing.
    """
    came = list(readings)
    for document in documents:
        for reading in came:
            note = _contradicted(document, reading, tolerance)
            if note is None:
                continue
            key = document_owner(document)
            kind = LateFailure.READING_CONTRADICTION
            if document.client is None:
                yield late_failure(
                    kind,
                    sender_system=document.sender_system,
                    device_id=document.device_id,
                    at=reading.measured_at,
                    told_at=now,
                    about=f"document/{document.document_id}",
                    note=note,
                    case_key=key,
                )
            yield ExceptionCase(kind=kind.value, case_key=key, opened_at=now, note=note)


def _contradicted(document: MeterReadingDocument, reading: MeterReading, tolerance: Tolerance) -> str | None:
    """Return what a reading says against a document's estimate, None where it may be right."""
    channel = (document.sender_system, document.device_id, document.reading_type)
    if (reading.sender_system, reading.device_id, reading.reading_type) != channel:
        return None
    if (
        reading.origin is ReadingOrigin.MANUAL
        or not document.window_from <= reading.measured_at <= document.window_until
    ):
        return None
    if document.value is None or document.measured_at is None or document.unit is None:
        return None
    shown = tolerance.units.converted(reading.value, told=reading.unit, wanted=document.unit)
    if shown is None:
        return None
    apart = shown - document.value
    is_less = reading.measured_at >= document.measured_at and apart < -tolerance.around(document)
    is_more = reading.measured_at <= document.measured_at and apart > tolerance.around(document)
    if not is_less and not is_more:
        return None
    return (
        f"The reading of document {document.document_id} was estimated as {document.value} {document.unit}, but at "
        f"{reading.measured_at:%Y-%m-%d %H:%M:%S} UTC the meter shows {reading.value}"
    )
