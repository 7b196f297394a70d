"""What every stored value has in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.value import changed

NOON = datetime(2026, 3, 27, 11, tzinfo=UTC)
DOCUMENT = MeterReadingDocument(
    sender_system="P11",
    document_id="00000000000000000007",
    device_id="000000000000000042",
    measurement_task_id="000000000000100042",
    obis_text="1-0:1.8.0*255",
    reading_type="1-0:1.8.0*255",
    reason_code="01",
    scheduled_on=date(2026, 3, 27),
    time_zone="Europe/Berlin",
    due_at=NOON,
    window_from=NOON,
    window_until=NOON,
    order_item_id=1,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Does more when it is made than to set its fields."""

    note: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "note", self.note[:3])


class TestChanged:
    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({}, id="nothing"),
            pytest.param({"attempts": 2}, id="one field"),
            pytest.param({"status": DocumentStatus.READ, "next_try_at": None, "unit": "KWH"}, id="several"),
        ],
    )
    def test_does_what_replace_does(self, changes: dict[str, Any]) -> None:
        made = changed(DOCUMENT, **changes)

        assert made == replace(DOCUMENT, **changes)
        assert hash(made) == hash(replace(DOCUMENT, **changes))

    def test_leaves_the_value_as_it_is(self) -> None:
        before = replace(DOCUMENT)
        changed(DOCUMENT, attempts=9)

        assert before == DOCUMENT

    def test_refuses_a_name_that_is_no_field(self) -> None:
        with pytest.raises(TypeError, match="has no field attempt"):
            changed(DOCUMENT, attempt=2)

    def test_refuses_a_kind_that_does_more_when_it_is_made(self) -> None:
        with pytest.raises(TypeError, match="__post_init__"):
            changed(Cut(note="long"), note="longer")
