"""The ReadingTypes a head end is asked by."""

from __future__ import annotations

from mdus.domain.channel_map import ChannelMap
from mdus.domain.channel_name import Mrid
from mdus.headends.cim.asked_types import AskedTypes
from tests.unit.headends.cim.messages import ENERGY, QUARTERS, tables


class TestAskedTypes:
    def test_are_told_as_what_they_are_read_as(self) -> None:
        types, channels = AskedTypes({}), ChannelMap.of(tables())

        for mrid in (*types.of_registers, *types.of_intervals):
            found = channels.find(Mrid(mrid))
            assert found is not None
            assert types.mrid_of(found.reading_type) == mrid
            assert types.code_of(mrid) == found.reading_type

    def test_are_of_registers_or_of_intervals(self) -> None:
        types = AskedTypes({})

        assert (ENERGY in types.of_registers, ENERGY in types.of_intervals) == (True, False)
        assert (QUARTERS in types.of_registers, QUARTERS in types.of_intervals) == (False, True)

    def test_of_the_row_go_before_the_usual(self) -> None:
        types = AskedTypes({"1-0:1.9.0": ENERGY})

        assert (types.code_of(ENERGY), types.mrid_of("1-0:1.8.0*255")) == ("1-0:1.9.0*255", ENERGY)

    def test_know_a_channel_by_what_peers_write_differently(self) -> None:
        assert AskedTypes({}).code_of("0.0.0.1.1.1.12.0.0.0.0.1.0.0.0.0.72.0") == "1-0:1.8.1*255"

    def test_know_no_other(self) -> None:
        types = AskedTypes({})

        assert (types.code_of("1.2.3"), types.mrid_of("1-0:99.99.99*255")) == (None, None)
