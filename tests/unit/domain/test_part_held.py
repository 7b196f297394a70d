"""The part of its window in which the register of a reading order has its number."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from mdus.domain.end_device import EndDevice
from mdus.domain.meter_reading_collection import Collection, EstimatedReading, next_step, part_held, window_of
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.domain.meter_reading_selection import Instead, ReadingPolicies, ReadingPolicy
from mdus.domain.register import Register
from tests.unit.domain.test_meter_reading_collection import (
    DAY,
    DEVICE,
    DOCUMENT,
    DUE,
    NOW,
    REGISTER,
    document_of,
    ended,
    reading,
    step,
)


class TestAPartOfTheWindow:
    """The register has its number for a part of the days in which a value would count."""

    OTHER = replace(REGISTER, measurement_task_id="another")

    def part(self, *, removal: bool = False, device: EndDevice | None = DEVICE, others: list[Register]) -> list[int]:
        """Return where the part begins and ends, in days from what is meant."""
        whole = replace(DOCUMENT, window_from=DUE - 2 * DAY)
        [mine, *_] = others
        found = part_held(whole, device=device, register=mine, others=others, removal=removal)
        return [(at - DUE) // DAY for at in (found.starts_at, found.target_at, found.ends_at)]

    def test_ends_with_the_first_instant_of_another_number(self) -> None:
        ended = replace(REGISTER, valid_to=date(2026, 3, 11))
        others = [ended, replace(self.OTHER, valid_from=date(2026, 3, 11))]
        assert self.part(others=others) == self.part(others=others, removal=True) == [-2, 0, 0]
        assert self.part(others=[ended]) == [-2, 0, 0]
        assert self.part(others=[ended], removal=True) == [-2, 0, 3]

    def test_of_the_other_begins_with_that_instant(self) -> None:
        others = [replace(self.OTHER, valid_from=date(2026, 3, 11)), replace(REGISTER, valid_to=date(2026, 3, 11))]
        assert self.part(others=others) == [0, 0, 3]

    def test_is_all_of_it_within_spans_of_one_number(self) -> None:
        others = [
            replace(REGISTER, valid_to=date(2026, 3, 11)),
            replace(REGISTER, valid_from=date(2026, 3, 11), factor=Decimal(40)),
        ]
        assert self.part(others=others) == self.part(others=others[::-1]) == [-2, 0, 3]

    def test_ends_with_the_service_of_its_device_unless_it_is_removed(self) -> None:
        ended = replace(DEVICE, valid_to=date(2026, 3, 12))
        assert self.part(device=ended, others=[REGISTER]) == [-2, 0, 1]
        assert self.part(device=ended, others=[REGISTER], removal=True) == [-2, 0, 3]
        assert self.part(device=None, others=[REGISTER]) == [-2, 0, 3]

    def test_is_all_that_a_value_is_taken_from(self) -> None:
        part = window_of(DOCUMENT).within(None, DUE)
        late = reading(DUE + 2 * DAY)

        assert document_of(step(readings=[late], commands=[ended()])).status is DocumentStatus.READ
        assert document_of(step(readings=[late], commands=[ended()], part=part)).status is DocumentStatus.ORDERED
        assert document_of(step(readings=[late, reading()], part=part)).measured_at == DUE

    def test_is_what_an_estimate_is_of(self) -> None:
        policies = ReadingPolicies(by_reason={"1": ReadingPolicy(if_missing=Instead.ESTIMATE)})
        estimate = EstimatedReading(value=Decimal(7), usage=Decimal(1), basis="{}")
        due = Collection(
            document=replace(DOCUMENT, attempts=3),
            device=DEVICE,
            register=REGISTER,
            commands=[ended()],
            estimate=estimate,
            part=window_of(replace(DOCUMENT, window_from=DUE - DAY)).within(None, DUE - DAY),
        )
        assert document_of(next_step(due, policies=policies, now=NOW)).measured_at == DUE - DAY
