"""What a head end is asked for a channel by is what is read back as that channel, there and then."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from mdus.domain.channel_map import ChannelKind, ChannelMap
from tests.unit.domain.test_channel_map import NEW_YEAR, NORTH, SOUTH, cmep, row


class TestTheWayOut:
    ENERGY = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
    OTHER = "0.0.0.1.1.1.12.0.0.0.0.1.0.0.0.3.72.0"
    JUST_BEFORE = NEW_YEAR - timedelta(microseconds=1)

    def test_goes_by_the_rows_of_the_head_end_first(self) -> None:
        rows = (
            row("all", "1-0:1.8.0", mrid=self.ENERGY, names={"document": ["1"]}),
            row("own", "1-0:1.8.0", mrid=self.OTHER, names={"document": ["kWh"]}, head_end="north"),
        )
        north, south = ChannelMap(rows, head_end=NORTH), ChannelMap(rows, head_end=SOUTH)
        assert (north.to_mrid("1-0:1.8.0"), north.to_name("document", "1-0:1.8.0")) == (self.OTHER, "kWh")
        assert (south.to_mrid("1-0:1.8.0"), south.to_name("document", "1-0:1.8.0")) == (self.ENERGY, "1")

    def test_goes_by_the_row_that_is_valid(self) -> None:
        rows = (
            row("old", "1-0:1.8.0", mrid=self.ENERGY),
            row("new", "1-0:1.8.0", mrid=self.OTHER, valid_from=NEW_YEAR),
        )
        names = ChannelMap(rows)
        assert names.to_mrid("1-0:1.8.0", at=self.JUST_BEFORE) == self.ENERGY
        assert names.to_mrid("1-0:1.8.0", at=NEW_YEAR) == self.OTHER

    def test_never_takes_a_name_that_is_another_channel_at_this_head_end(self) -> None:
        rows = (
            row(
                "all", "1-0:1.8.0", mrid=self.ENERGY, names={"document": ["1"]}, cmep=[{"commodity": "E", "unit": "K"}]
            ),
            row(
                "own",
                "1-0:1.9.0",
                mrid=self.ENERGY,
                names={"document": ["1"]},
                cmep=[{"commodity": "E", "unit": "K"}],
                head_end="north",
            ),
        )
        north, south = ChannelMap(rows, head_end=NORTH), ChannelMap(rows, head_end=SOUTH)
        for names, obis in ((north, "1-0:1.9.0"), (south, "1-0:1.8.0")):
            assert (names.to_mrid(obis), names.to_name("document", obis)) == (self.ENERGY, "1")
            assert names.to_cmep(obis) == cmep("E", "K")
        assert north.to_mrid("1-0:1.8.0") is None
        assert north.to_name("document", "1-0:1.8.0") is None
        assert north.to_cmep("1-0:1.8.0") is None

    def test_never_takes_a_name_that_has_become_another_channel(self) -> None:
        rows = (
            row("old", "1-0:1.8.0", mrid=self.ENERGY),
            row("new", "1-0:1.9.0", mrid=self.ENERGY, valid_from=NEW_YEAR),
        )
        names = ChannelMap(rows)
        assert names.to_mrid("1-0:1.8.0", at=self.JUST_BEFORE) == self.ENERGY
        assert names.to_mrid("1-0:1.8.0", at=NEW_YEAR) is None

    def test_takes_the_name_behind_one_that_is_taken_away(self) -> None:
        rows = (
            row("all", "1-0:1.8.0", mrid=self.ENERGY),
            row("vendor", "1-0:1.8.0", mrid=self.OTHER, vendor="northern"),
            row("own", "1-0:1.8.1", mrid=self.OTHER, head_end="north"),
        )
        assert ChannelMap(rows, head_end=NORTH).to_mrid("1-0:1.8.0") == self.ENERGY

    @pytest.mark.parametrize(
        ("period_from", "period_to", "asked"),
        [
            pytest.param(NEW_YEAR - timedelta(days=1), NEW_YEAR, (ENERGY,), id="ends where it changes"),
            pytest.param(
                NEW_YEAR - timedelta(days=1), NEW_YEAR + timedelta(microseconds=1), (ENERGY, OTHER), id="goes beyond"
            ),
            pytest.param(JUST_BEFORE, JUST_BEFORE, (ENERGY,), id="an instant before"),
            pytest.param(NEW_YEAR, NEW_YEAR, (OTHER,), id="the instant"),
            pytest.param(NEW_YEAR, NEW_YEAR + timedelta(days=1), (OTHER,), id="begins where it changes"),
        ],
    )
    def test_of_a_period_takes_all_that_was_meant_in_it(
        self, period_from: datetime, period_to: datetime, asked: tuple[str, ...]
    ) -> None:
        rows = (
            row("old", "1-0:1.8.0", mrid=self.ENERGY),
            row("new", "1-0:1.8.0", mrid=self.OTHER, valid_from=NEW_YEAR),
        )
        found = ChannelMap(rows).mrids({ChannelKind.REGISTER}, period_from=period_from, period_to=period_to)
        assert found == asked
