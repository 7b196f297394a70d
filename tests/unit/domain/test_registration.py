"""Registration: what SAP is told of a device that answers."""

from __future__ import annotations

from datetime import date

import pytest

from mdus.domain.registration import registration
from tests.unit.services.device_initialization import known_device, known_register

TODAY = date(2026, 3, 28)


class TestTheStartDate:
    @pytest.mark.parametrize(
        ("spans", "start"),
        [
            pytest.param([(date(2026, 1, 1), None)], date(2026, 1, 1), id="of the only register"),
            pytest.param(
                [(date(2026, 2, 1), None), (date(2026, 1, 1), None)], date(2026, 1, 1), id="of the first of two"
            ),
            pytest.param([(date(2026, 5, 1), None)], date(2026, 5, 1), id="of one still to begin"),
            pytest.param(
                [(date(2026, 1, 1), TODAY), (date(2026, 2, 1), None)], date(2026, 2, 1), id="not of one that has ended"
            ),
            pytest.param([(date(2026, 1, 1), date(2026, 3, 29))], date(2026, 1, 1), id="of one that ends tomorrow"),
            pytest.param([], None, id="left out without register"),
        ],
    )
    def test_is(self, spans: list[tuple[date, date | None]], start: date | None) -> None:
        registers = [
            known_register(measurement_task_id=str(number), valid_from=first, valid_to=last)
            for number, (first, last) in enumerate(spans)
        ]
        assert registration(known_device(), registers=registers, today=TODAY).start_on == start
