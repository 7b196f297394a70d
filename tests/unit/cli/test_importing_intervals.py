"""`mdus import intervals`: what it prints, what it stores, and what it exits with."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import func, select

from mdus.cli import main
from mdus.domain.end_device import EndDevice
from mdus.headends.file_drop import parting
from mdus.headends.file_drop.formats import Format
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.interval_block import INTERVAL_BLOCK
from mdus.storage.session import Database
from tests.unit.headends.file_drop.cmep_files import file, mepmd01

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def mdus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sqlite_url: str, tmp_path: Path) -> Run:
    """Run `mdus import intervals day.cmep ...` in this process, for a landscape of three meters."""
    (tmp_path / "head_ends.toml").write_text(
        '[[head_ends]]\nname = "files"\nkind = "file_drop"\n'
        '[[head_ends]]\nname = "city"\nkind = "rest"\nurl = "http://127.0.0.1:9"\n'
    )
    monkeypatch.setenv("MDUS_CONFIG", str(tmp_path))
    monkeypatch.setenv("MDUS_DATABASE__URL", sqlite_url)
    monkeypatch.setattr(parting, "_LINES", {Format.CMEP: 2, Format.CSV: 2})
    monkeypatch.chdir(tmp_path)
    database = Database(sqlite_url)
    with database.begin() as uow:
        uow.save(
            EndDevice(
                sender_system="P11",
                device_id=number,
                serial_id=number,
                material_id="LX100",
                valid_from=date(2026, 1, 1),
                head_end="files",
            )
            for number in "123"
        )
    database.close()

    def run(*arguments: str, body: bytes | None = None) -> tuple[int, str, str]:
        if body is not None:
            Path("day.cmep").write_bytes(body)
        monkeypatch.setattr("sys.argv", ["mdus", "import", "intervals", "day.cmep", *arguments])
        handlers = logging.getLogger().handlers[:]
        with pytest.raises(SystemExit) as ended:
            main()
        logging.getLogger().handlers = handlers
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def count(url: str, table: object) -> int:
    database = Database(url)
    with database.read() as uow:
        found = uow.connection.scalar(select(func.count()).select_from(table))  # type: ignore[arg-type]
    database.close()
    return int(found or 0)


DAY = file(*(mepmd01(["1", "2"], meter=number) for number in "123"))


class TestImportIntervals:
    def test_takes_a_file_in_parts_and_says_so(self, mdus: Run, sqlite_url: str) -> None:
        code, out, _ = mdus("--head-end", "files", body=DAY)
        assert (code, out) == (0, "6 values in 2 deliveries\n")
        assert (count(sqlite_url, HEAD_END_DELIVERY), count(sqlite_url, INTERVAL_BLOCK)) == (2, 3)

    def test_goes_on_where_it_was(self, mdus: Run, sqlite_url: str) -> None:
        mdus("--head-end", "files", body=b"".join(DAY.splitlines(keepends=True)[:2]))
        code, out, _ = mdus("--head-end", "files", body=DAY)
        assert (code, out) == (0, "2 values in 2 deliveries, 1 of them known before\n")
        assert count(sqlite_url, INTERVAL_BLOCK) == 3

    def test_tells_bad_lines_by_their_place_in_the_file(self, mdus: Run, sqlite_url: str) -> None:
        code, out, _ = mdus("--head-end", "files", body=DAY + b"garbage\r\n")
        assert code == 1
        assert "1 lines cannot be read wholly" in out
        assert "line 4: MEPMD01 or MEPMD02 is expected, found 'garbage'" in out
        assert count(sqlite_url, INTERVAL_BLOCK) == 3

    def test_tells_what_waits_for_its_meter(self, mdus: Run) -> None:
        code, out, _ = mdus("--head-end", "files", body=DAY + file(mepmd01(["1"], meter="4")))
        assert code == 1
        assert "1 deliveries wait" in out
        assert "no device with serial number 4" in out

    def test_prints_one_document(self, mdus: Run) -> None:
        code, out, _ = mdus("--head-end", "files", "--json", body=DAY + file("garbage"))
        told = json.loads(out)
        assert code == 1
        assert (told["deliveries"], told["values"], told["unreadable_lines"]) == (2, 6, 1)
        assert told["unreadable"][0]["line"] == 4

    @pytest.mark.parametrize(
        ("arguments", "body", "says"),
        [
            pytest.param(("--head-end", "city"), DAY, "there is no head end 'city' that delivers files", id="kind"),
            pytest.param(("--head-end", "moon"), DAY, "name one of kind file_drop: files", id="head end"),
            pytest.param(("--head-end", "files"), b"<xml/>", "neither a record of CMEP nor the header", id="format"),
            pytest.param(("--head-end", "files", "--format", "csv"), DAY, "the header meter,", id="another format"),
            pytest.param(("--head-end", "files"), None, "No such file", id="no file"),
        ],
    )
    def test_says_what_it_cannot_take(
        self, mdus: Run, sqlite_url: str, arguments: tuple[str, ...], body: bytes | None, says: str
    ) -> None:
        code, _, err = mdus(*arguments, body=body)
        assert code == 1
        assert says in err
        assert count(sqlite_url, HEAD_END_DELIVERY) == 0

    def test_knows_its_formats(self, mdus: Run) -> None:
        code, _, err = mdus("--head-end", "files", "--format", "xml", body=DAY)
        assert code == 2
        assert "cmep, csv" in err
