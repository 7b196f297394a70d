"""`mdus import`: what it prints, what it writes, and what it exits with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from mdus.cli import main
from mdus.domain.end_device import EndDevice
from mdus.storage.session import TABLES, Database

ROWS = "device_id,serial_id,material_id,valid_from\n1,S1,LX100,2026-01-01\n2,S2,LX100,{second}\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mdus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sqlite_url: str, tmp_path: Path) -> Run:
    """Run `mdus import FILE ...` in this process, for a file of devices."""
    (tmp_path / "head_ends.toml").write_text(
        '[[head_ends]]\nname = "city"\nkind = "rest"\nurl = "http://127.0.0.1:9"\nams_ids = ["AM01"]\n'
    )
    monkeypatch.setenv("MDUS_CONFIG", str(tmp_path))
    monkeypatch.setenv("MDUS_DATABASE__URL", sqlite_url)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, second: str = "2026-01-01") -> tuple[int, str, str]:
        Path("meters.csv").write_text(ROWS.format(second=second))
        monkeypatch.setattr("sys.argv", ["mdus", "import", *arguments])
        handlers = logging.getLogger().handlers[:]
        with pytest.raises(SystemExit) as ended:
            main()
        logging.getLogger().handlers = handlers
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def devices(url: str) -> list[str]:
    database = Database(url)
    with database.read() as uow:
        table = TABLES[EndDevice]
        found = [device.device_id for device in table.fetch(uow.connection, table.select())]
    database.close()
    return found


class TestImport:
    def test_takes_a_file_and_says_so(self, mdus: Run, sqlite_url: str) -> None:
        code, out, _ = mdus("meters.csv", "--system", "P11", "--kind", "device")
        assert code == 0
        assert "all rows are taken" in out
        assert devices(sqlite_url) == ["1", "2"]

    def test_lists_what_is_wrong_beside_the_file(self, mdus: Run, sqlite_url: str) -> None:
        code, out, _ = mdus("meters.csv", "--system", "P11", "--kind", "device", second="tomorrow")
        assert code == 1
        assert "1 of 2 rows are wrong: 1 findings in meters.report.csv" in out
        assert Path("meters.report.csv").read_text().splitlines()[1].startswith("3,device,valid_from,")
        assert devices(sqlite_url) == ["1"]

    def test_lists_it_where_it_is_told_to(self, mdus: Run) -> None:
        mdus("meters.csv", "--system", "P11", "--kind", "device", "--report", "wrong.json", second="tomorrow")
        assert '"field": "valid_from"' in Path("wrong.json").read_text()
        assert not Path("meters.report.csv").exists()

    @pytest.mark.parametrize(
        ("second", "code", "said"),
        [("2026-01-01", 0, "in order; nothing was stored"), ("tomorrow", 1, "1 of 2 rows are wrong")],
    )
    def test_stores_nothing_in_a_dry_run(self, mdus: Run, sqlite_url: str, second: str, code: int, said: str) -> None:
        ended, out, _ = mdus("meters.csv", "--system", "P11", "--kind", "device", "--dry-run", second=second)
        assert ended == code
        assert said in out
        assert devices(sqlite_url) == []

    def test_names_the_kinds_there_are(self, mdus: Run) -> None:
        code, _, err = mdus("meters.csv", "--system", "P11", "--kind", "toaster")
        assert code == 2
        assert "point_of_delivery" in err

    def test_needs_the_system_whose_devices_they_are(self, mdus: Run) -> None:
        code, _, err = mdus("meters.csv")
        assert code == 2
        assert "--system" in err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            pytest.param(("absent.csv", "--kind", "device"), "cannot be read", id="no file"),
            pytest.param(("meters.csv",), "no column 'kind'", id="no kind"),
        ],
    )
    def test_says_why_it_can_use_nothing_of_a_file(self, mdus: Run, arguments: tuple[str, ...], said: str) -> None:
        code, _, err = mdus(*arguments, "--system", "P11")
        assert code == 1
        assert said in err
        assert "mend:" in err

    def test_makes_a_fresh_database_as_needed(self, mdus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        url = f"sqlite:///{tmp_path / 'fresh.db'}"
        monkeypatch.setenv("MDUS_DATABASE__URL", url)
        assert mdus("meters.csv", "--system", "P11", "--kind", "device")[0] == 0
        assert devices(url) == ["1", "2"]
