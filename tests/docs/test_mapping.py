"""docs/head_ends/mapping.md: the rows it shows mean what it says."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from mdus.bootstrap.discovery import discover, settings_problems
from mdus.domain.channel_map import ChannelMap
from mdus.domain.channel_name import CmepName, Mrid
from mdus.domain.event_map import EventMap
from mdus.domain.reading_type import ReadingType, same
from mdus.settings import Settings, load_settings

PAGE = (Path(__file__).parents[2] / "docs" / "head_ends" / "mapping.md").read_text()
BLOCKS = re.findall(r"^```toml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
WH = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.0.72.0"
KWH = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
HEAD_ENDS = "".join(
    f"[[head_ends]]\nname = '{name}'\nkind = 'rest'\nurl = 'http://{name}'\n" for name in ("north", "south")
)
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
PULSES = CmepName(commodity="E", unit="PULSE")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The settings of an installation that has the rows of the page."""
    return settings_with(tmp_path, "".join(BLOCKS))


def settings_with(folder: Path, rows: str) -> Settings:
    (folder / "tables.toml").write_text(HEAD_ENDS + rows)
    found = discover()
    made = load_settings({"MDUS_CONFIG": str(folder)}, tables=found.tables)
    assert list(settings_problems(found, made)) == []
    return made


class TestTheRows:
    @pytest.mark.parametrize(
        ("at", "value"),
        [
            pytest.param(NEW_YEAR - timedelta(minutes=15), "1.25", id="before new year"),
            pytest.param(NEW_YEAR, "12.5", id="since new year"),
        ],
    )
    def test_explain_pulses_as_they_were_meant_at_the_time(self, settings: Settings, at: datetime, value: str) -> None:
        found = ChannelMap.of(settings, head_end=settings.head_ends[0]).find(PULSES, at=at)
        assert found is not None
        assert (found.reading_type, found.unit) == ("1-0:1.29.0*255", "kWh")
        assert found.value(Decimal(1250)) == Decimal(value)

    def test_explain_an_exception(self, settings: Settings) -> None:
        assert EventMap.of(settings, head_end=settings.head_ends[0]).find("exception", "4711") == "3.12.29.39"

    def test_are_no_other_head_ends(self, settings: Settings) -> None:
        assert ChannelMap.of(settings, head_end=settings.head_ends[1]).find(PULSES) is None
        assert EventMap.of(settings, head_end=settings.head_ends[1]).find("exception", "4711") is None

    def test_ask_one_head_end_by_another_reading_type_and_read_it_so(self, settings: Settings) -> None:
        north, south = (ChannelMap.of(settings, head_end=each) for each in settings.head_ends)
        assert (north.to_mrid("1-0:1.8.0"), south.to_mrid("1-0:1.8.0")) == (WH, KWH)
        found = north.find(Mrid(WH))
        assert found is not None
        assert (found.reading_type, found.unit, found.factor) == ("1-0:1.8.0*255", "Wh", 1)

    def test_ask_so_too_where_values_are_told_in_another_unit(self, tmp_path: Path) -> None:
        (rows,) = (block for block in BLOCKS if WH in block)
        told_in_kwh = rows.replace('unit = "Wh"\n', "").replace("# unit", "unit").replace("# mrids", "mrids")
        north = ChannelMap.of(made := settings_with(tmp_path, told_in_kwh), head_end=made.head_ends[0])
        found = north.find(Mrid(WH))
        assert found is not None
        assert (north.to_mrid("1-0:1.8.0"), found.unit, found.factor) == (WH, "kWh", 1)


class TestThePage:
    def test_shows_no_row_that_would_be_needed_for_what_is_the_same(self) -> None:
        delivered = ChannelMap.of(load_settings({}, tables=discover().tables))
        for number in ("0.72", "3.72"):
            assert delivered.find(Mrid(f"0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.{number}.0")) is not None

    @pytest.mark.parametrize(
        ("part", "numbers", "mrid"),
        [
            ("accumulation", "9 (summation) and 1", "0.0.0.{}.1.1.12.0.0.0.0.0.0.0.0.3.72.0"),
            ("accumulation", "of voltage 6 and 12", "0.0.0.{}.0.1.158.0.0.0.0.0.0.0.129.0.29.0"),
            ("flow of reactive energy", "5 (Q1 and Q2) and 1", "0.0.0.1.{}.1.12.0.0.0.0.0.0.0.0.3.73.0"),
            ("flow of reactive energy", "13 (Q3 and Q4) and 19", "0.0.0.1.{}.1.12.0.0.0.0.0.0.0.0.3.73.0"),
            ("kind of voltage", "54 and 158", "0.0.0.12.0.1.{}.0.0.0.0.0.0.0.129.0.29.0"),
            ("phase of voltage and current", "128 and 129", "0.0.0.12.0.1.158.0.0.0.0.0.0.0.{}.0.29.0"),
            ("phase of voltage and current", "64 and 65", "0.0.0.12.0.1.4.0.0.0.0.0.0.0.{}.0.5.0"),
            ("phase of voltage and current", "32 and 33", "0.0.0.12.0.1.4.0.0.0.0.0.0.0.{}.0.5.0"),
        ],
    )
    def test_says_what_is_the_same(self, part: str, numbers: str, mrid: str) -> None:
        (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {part} |")]
        assert numbers in row
        first, last = (int(number) for number in re.findall(r"(?<!Q)\b\d+", numbers))
        assert same(ReadingType.parse(mrid.format(first)), ReadingType.parse(mrid.format(last)))
