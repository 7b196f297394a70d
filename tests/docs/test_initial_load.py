"""docs/operations/initial_load.md: its example is imported and gives its report, its tables are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mdus.bootstrap.importing import import_file
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from mdus.endpoints.initial_load.kinds import KINDS
from mdus.storage.session import TABLES, Database

PAGE = (Path(__file__).parents[2] / "docs" / "operations" / "initial_load.md").read_text()
EXAMPLE, REPORT = re.findall(r"^```csv\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


class TestTheExample:
    @pytest.fixture
    def report(self, sqlite_url: str, tmp_path: Path) -> str:
        """Import the example; returns the report."""
        (tmp_path / "head_ends.toml").write_text(
            '[[head_ends]]\nname = "city"\nkind = "rest"\nurl = "http://127.0.0.1:9"\nams_ids = ["AM01"]\n'
        )
        file, report = tmp_path / "meters.csv", tmp_path / "meters.report.csv"
        file.write_text(EXAMPLE)
        environ = {"MDUS_CONFIG": str(tmp_path), "MDUS_DATABASE__URL": sqlite_url}
        import_file(environ, file, system="P11", kind=None, dry_run=False, report=report, progress=lambda *_: None)
        return report.read_text()

    def test_gives_the_report_that_is_shown(self, report: str) -> None:
        assert report == REPORT

    def test_leaves_what_its_good_rows_say(self, report: str, sqlite_url: str) -> None:
        database = Database(sqlite_url)
        with database.read() as uow:

            def stored(kind: type) -> list[str]:
                return [str(one.valid_from)[:10] for one in TABLES[kind].fetch(uow.connection, TABLES[kind].select())]

            assert stored(Register) == ["2026-01-01"]
            assert stored(DeviceLocation) == ["2026-01-01", "2026-03-01"]
            assert stored(UsagePoint) == ["2025-12-31"]  # midnight in Berlin
        database.close()


class TestTheTables:
    def test_list_every_kind_with_its_columns(self) -> None:
        told = {
            kind: [(name.strip("* "), name.strip().startswith("**")) for name in columns.split(",")]
            for kind, columns in re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, flags=re.MULTILINE)
        }
        assert list(told) == list(KINDS)
        for name, kind in KINDS.items():
            assert set(told[name]) == {(column.name, column.required) for column in kind.columns.values()}
