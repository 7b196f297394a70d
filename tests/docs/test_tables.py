"""docs/operations/tables.md: every table is there, what it shows is accepted, its numbers are those of the code."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from mdus.bootstrap.discovery import discover, settings_problems
from mdus.bootstrap.type_ids import type_ids
from mdus.domain.capability import Capabilities, Capability
from mdus.domain.end_device import EndDevice
from mdus.settings import data_folder, load_settings

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "operations" / "tables.md").read_text()
HEAD_END = "[[head_ends]]\nname = 'north'\nkind = 'rest'\nurl = 'http://north'\nams_ids = ['AEML', 'BEML']\n"


def device(ams_id: str, material_id: str) -> EndDevice:
    return EndDevice(
        sender_system="P11",
        device_id="42",
        serial_id="1",
        material_id=material_id,
        valid_from=date(2026, 1, 1),
        ams_id=ams_id,
        head_end="north",
    )


class TestThePage:
    def test_names_every_table(self) -> None:
        rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \| \[", PAGE, flags=re.MULTILINE)
        named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
        assert set(discover().tables) <= named
        assert named - set(discover().tables) == {"senders", "head_ends", "time_zones"}

    def test_links_every_file_of_a_table(self) -> None:
        linked = set(re.findall(r"config/(\w+)\.toml", PAGE))
        assert linked == {file.stem for file in data_folder("config").glob("*.toml")} - {"mdus"}

    def test_names_the_numbers_under_which_codes_are_refused(self) -> None:
        numbers = re.findall(r"refused, `(\d{3})`", PAGE)
        assert len(numbers) >= 5
        known = type_ids()
        assert [number for number in numbers if f"{number}(MDUS)" not in known] == []

    @pytest.mark.parametrize(
        ("ams_id", "material_id", "can"),
        [
            pytest.param("BEML", "LX100-SW", True, id="no row"),
            pytest.param("BEML", "GX10", False, id="gas"),
            pytest.param("AEML", "LX100", False, id="the system"),
            pytest.param("AEML", "LX100-SW", True, id="the pilot"),
        ],
    )
    def test_shows_capabilities_that_mean_what_it_says(
        self, tmp_path: Path, ams_id: str, material_id: str, can: bool
    ) -> None:
        (block,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
        (tmp_path / "tables.toml").write_text(HEAD_END + block)
        found = discover()
        settings = load_settings({"MDUS_CONFIG": str(tmp_path)}, tables=found.tables)
        assert list(settings_problems(found, settings)) == []
        able = Capabilities.of(settings).of_device(device(ams_id, material_id))
        assert (Capability.DISCONNECT in able) is can
