"""The kill switch by its commands: what they order, and for which database."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest

from mdus.bootstrap.operating import name_of
from mdus.storage.end_device_control import SWITCHING_ORDER
from mdus.storage.job import take_lease
from mdus.storage.session import Database
from tests.unit.cli.conftest import Run
from tests.unit.workers.scripted import rows_of


class TestSwitching:
    def test_stops_and_starts_with_an_audit(self, mdus: Run, database: Database) -> None:
        assert mdus("switching", "state").out.startswith("disconnections may leave\n")
        assert mdus("switching", "stop", "--reason", "flood in the valley").code == 0
        assert "flood in the valley" in mdus("switching", "state").out
        assert "disconnections are stopped: flood in the valley" in mdus("check").out
        assert mdus("switching", "start", "--reason", "it is over").code == 0
        assert mdus("switching", "state").out.startswith("disconnections may leave\n")
        orders = [(row.stopped, row.reason, row.ordered_by) for row in rows_of(database, SWITCHING_ORDER)]
        assert orders == [
            (True, "flood in the valley", getpass.getuser()),
            (False, "it is over", getpass.getuser()),
        ]

    def test_needs_a_reason(self, mdus: Run, database: Database) -> None:
        assert mdus("switching", "stop", "--reason", " ").code == 2
        assert rows_of(database, SWITCHING_ORDER) == []

    @pytest.mark.parametrize("order", [["stop", "--reason", "a flood"], ["start", "--reason", "over"], ["state"]])
    @pytest.mark.parametrize(
        ("seconds", "said"),
        [
            pytest.param(None, True, id="never worked on"),
            pytest.param(-1, True, id="worked on no more"),
            pytest.param(600, False, id="worked on"),
        ],
    )
    def test_names_the_database_and_says_where_nobody_works_on_it(
        self, mdus: Run, database: Database, order: list[str], seconds: float | None, said: bool
    ) -> None:
        if seconds is not None:
            with database.begin() as uow:
                take_lease(uow.connection, "leader", holder="a worker", seconds=seconds)
        ran = mdus("switching", *order)
        assert ran.code == 0
        assert ran.out.splitlines()[1] == f"database: {database.url.render_as_string()}"
        assert ("nobody works on this database now" in ran.err) is said
        document = json.loads(mdus("switching", *order, "--json").out)
        assert (document["database"], document["worked_on"]) == (database.url.render_as_string(), not said)

    def test_tells_a_file_by_its_folder(self, mdus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A trial's file in the folder the operator is in is not the service's, though both are called mdus.db."""
        monkeypatch.setenv("MDUS_DATABASE__URL", "sqlite:///mdus.db")
        monkeypatch.chdir(tmp_path)
        assert mdus("migrate").code == 0
        ran = mdus("switching", "stop", "--reason", "a flood")
        assert ran.out == f"disconnections are stopped\ndatabase: sqlite:///{tmp_path / 'mdus.db'}\n"

    def test_tells_no_password(self) -> None:
        made = Database("postgresql://mdus:hidden@127.0.0.1:9/mdus")
        assert name_of(made) == "postgresql://mdus:***@127.0.0.1:9/mdus"
        made.close()
