"""`mdus import temperatures`: all of a file is stored, or nothing."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from mdus.domain.temperature import DayTemperature
from mdus.storage import temperature
from mdus.storage.session import Database
from tests.unit.cli.conftest import Run

HEAD = "station,day,degrees\n"


def stored(database: Database) -> list[DayTemperature]:
    with database.read() as uow:
        return temperature.between(uow.connection, {"10384"}, first=date(2026, 1, 1), last=date(2026, 12, 31))


def test_stores_what_is_new_and_replaces_what_is_there(mdus: Run, database: Database, tmp_path: Path) -> None:
    file = tmp_path / "temperatures.csv"
    file.write_text(f"{HEAD}10384,2026-02-10,1\n10384,2026-02-11,-3.4\n")
    assert mdus("import", "temperatures", str(file)).out.strip() == "2 temperatures"
    file.write_text("degrees,station,day\n-3.5,10384,2026-02-11\n")
    assert json.loads(mdus("import", "temperatures", str(file), "--json").out) == {"temperatures": 1}
    assert [(each.day.day, each.degrees) for each in stored(database)] == [(10, Decimal(1)), (11, Decimal("-3.5"))]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("10384,yesterday,1", id="no day"),
        pytest.param("10384,2026-02-11,", id="nothing"),
        pytest.param("10384,2026-02-11,cold", id="no number"),
        pytest.param("10384,2026-02-11,NaN", id="not a number"),
        pytest.param("10384,2026-02-11,sNaN", id="not a number, loudly"),
        pytest.param("10384,2026-02-11,-Infinity", id="no finite number"),
        pytest.param(",2026-02-11,1", id="no station"),
        pytest.param("10384,2026-02-11,60.1", id="no temperature in Celsius"),
    ],
)
def test_stores_nothing_of_a_file_with_a_bad_line(mdus: Run, database: Database, tmp_path: Path, line: str) -> None:
    file = tmp_path / "temperatures.csv"
    file.write_text(f"{HEAD}10384,2026-02-10,60\n{line}\n")
    ran = mdus("import", "temperatures", str(file))
    assert ran.code != 0
    assert "line 3" in ran.err + ran.out
    assert "such as 10384,2026-02-11,-3.4" in ran.err + ran.out
    assert stored(database) == []


def test_names_a_file_that_is_not_there(mdus: Run, database: Database) -> None:
    del database
    assert mdus("import", "temperatures", "nowhere.csv").code != 0
