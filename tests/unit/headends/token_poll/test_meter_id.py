"""Serial numbers and the ids of meters at the head end."""

from __future__ import annotations

import pytest

from mdus.headends.token_poll.meter_id import MeterIds, NotAddressable

WHOLE = MeterIds(template="2.16.840.1.114416.0.{serial}")
NUMBER = MeterIds(template="2.16.840.1.114416.0.{number}", digits=10)
BARE = MeterIds(template="2.16.840.1.114416.0.{number}")


class TestOf:
    @pytest.mark.parametrize(
        ("ids", "serial", "meter_id"),
        [
            pytest.param(WHOLE, "0000001234", "2.16.840.1.114416.0.0000001234", id="zeros stay"),
            pytest.param(WHOLE, "LG-7", "2.16.840.1.114416.0.LG-7", id="letters"),
            pytest.param(NUMBER, "0000001234", "2.16.840.1.114416.0.1234", id="zeros are taken off"),
            pytest.param(NUMBER, "0000000000", "2.16.840.1.114416.0.0", id="zero itself"),
            pytest.param(BARE, "1234", "2.16.840.1.114416.0.1234", id="no zeros to lose"),
            pytest.param(MeterIds(template="M{serial}-E"), "01", "M01-E", id="something behind"),
        ],
    )
    def test_is_read_back_as_the_same_serial_number(self, ids: MeterIds, serial: str, meter_id: str) -> None:
        assert ids.of(serial) == meter_id
        assert ids.serial(meter_id) == serial

    @pytest.mark.parametrize(
        ("ids", "serial"),
        [
            pytest.param(NUMBER, "000001234", id="too few digits"),
            pytest.param(NUMBER, "00000001234", id="too many digits"),
            pytest.param(NUMBER, "LG00000007", id="letters"),
            pytest.param(NUMBER, "００００００１２３４", id="other digits"),
            pytest.param(BARE, "0001234", id="zeros that would be lost"),
        ],
    )
    def test_refuses_what_could_not_be_read_back(self, ids: MeterIds, serial: str) -> None:
        with pytest.raises(NotAddressable, match="cannot be read back"):
            ids.of(serial)


class TestSerial:
    @pytest.mark.parametrize(
        "meter_id", ["", "2.16.840.1.114416.0.", "2.16.840.1.114416.1.1234", "1234", "M01", "x2.16.840.1.114416.0.1"]
    )
    def test_refuses_an_id_of_another_form(self, meter_id: str) -> None:
        with pytest.raises(NotAddressable, match="is not of the form"):
            WHOLE.serial(meter_id)
