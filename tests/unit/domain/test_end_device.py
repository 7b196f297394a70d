"""Smart meters: by which ids they are called."""

from __future__ import annotations

from datetime import date

import pytest

from mdus.domain.end_device import EndDevice


class TestIsCalled:
    @pytest.mark.parametrize(
        ("ours", "told", "is_so"),
        [
            pytest.param("000000000000000042", "000000000000000042", True, id="the same"),
            pytest.param("000000000000000042", "42", True, id="without zeros"),
            pytest.param("42", "0042", True, id="with more zeros"),
            pytest.param("000000000000000042", "420", False, id="another number"),
            pytest.param("000000000000000042", "", False, id="no number"),
            pytest.param("000000000000000042", None, False, id="none"),
            pytest.param("00A42", "00A42", True, id="the same name"),
            pytest.param("00A42", "A42", False, id="a name keeps its zeros"),
            pytest.param("000", "0", True, id="zero"),
            pytest.param("000", "", False, id="zero is a number"),
            pytest.param("42", "\u0664\u0662", False, id="digits of another script"),
        ],
    )
    def test_compares_numbers_and_names(self, ours: str, told: str | None, is_so: bool) -> None:
        device = EndDevice(
            sender_system="P11", device_id=ours, serial_id="7", material_id="LX100", valid_from=date(2026, 1, 1)
        )
        assert device.is_called(told) is is_so
