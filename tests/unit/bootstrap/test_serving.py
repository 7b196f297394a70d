"""What keeps a server from starting: refused before anything is started, with how to mend it."""

from __future__ import annotations

import socket
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mdus.bootstrap.database import migrate_named, prepare, refuse_other_schema
from mdus.bootstrap.errors import CannotStart
from mdus.bootstrap.serving import _listening, serve
from mdus.bootstrap.working import only_worker, work
from mdus.domain.clock import SimulatedTime
from mdus.settings import load_settings
from mdus.storage.job import set_simulated_time
from mdus.storage.schema import SchemaState, schema_state
from mdus.storage.session import Database

CREDENTIALS = {"MDUS_AUTH__USER": "sap", "MDUS_AUTH__PASSWORD": "secret"}


def opened(url: str) -> Database:
    return Database(url, settings=load_settings({"MDUS_DATABASE__URL": url}))


def told(error: pytest.ExceptionInfo[CannotStart]) -> str:
    (problem,) = error.value.problems
    return str(problem)


class TestListening:
    def test_refuses_beyond_loopback_without_credentials(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'mdus.db'}"
        with pytest.raises(CannotStart) as error:
            serve({"MDUS_DATABASE__URL": url}, host="0.0.0.0", port=0)
        assert "MDUS_AUTH__USER" in told(error)
        assert not (tmp_path / "mdus.db").exists()

    def test_refuses_loopback_without_credentials_where_a_proxy_must_stand(self, tmp_path: Path) -> None:
        """SAP on another machine calls through it, and so may anybody."""
        url, sap = f"sqlite:///{tmp_path / 'mdus.db'}", "https://sap.example.com/{interface}"
        with pytest.raises(CannotStart) as error:
            serve({"MDUS_DATABASE__URL": url, "MDUS_CIS__URL": sap}, port=0)
        assert "MDUS_AUTH__USER" in told(error)
        assert "proxy" in told(error)
        assert not (tmp_path / "mdus.db").exists()

    def test_says_which_address_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(CannotStart) as error, _listening("127.0.0.1", port):
                pass
        assert f"cannot listen on 127.0.0.1:{port}" in told(error)

    def test_takes_any_free_port_for_none_named(self) -> None:
        with _listening("127.0.0.1", 0) as listener:
            assert listener.getsockname()[1] > 0

    def test_answers_leave_at_once(self) -> None:
        """What a listener accepts sends without waiting for acknowledgements, which a caller delays by 40 ms."""
        with _listening("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_names_every_problem_of_the_settings(self) -> None:
        environ = {"MDUS_HTTP__PORT": "x", "MDUS_CIS__URL": "ftp://sap", "MDUS_TIME_ZONE": "Mars"}
        with pytest.raises(CannotStart) as error:
            serve(environ)
        assert {problem.where for problem in error.value.problems} == set(environ)


class TestSchema:
    def test_fresh_sqlite_file_is_migrated(self, tmp_path: Path) -> None:
        database = opened(f"sqlite:///{tmp_path / 'mdus.db'}")
        prepare(database, simulated_clock=False)
        with database.read() as uow:
            assert schema_state(uow.connection) is SchemaState.CURRENT
        database.close()

    def test_migrated_database_is_accepted(self, database_url: str) -> None:
        database = opened(database_url)
        prepare(database, simulated_clock=False)
        database.close()

    def test_empty_postgresql_asks_for_a_migration(self, empty_postgresql_url: str) -> None:
        database = opened(empty_postgresql_url)
        with pytest.raises(CannotStart) as error:
            prepare(database, simulated_clock=False)
        assert "mdus migrate" in told(error)
        assert "is up to date now" in str(migrate_named({"MDUS_DATABASE__URL": empty_postgresql_url}))
        prepare(database, simulated_clock=False)
        database.close()

    @pytest.mark.parametrize(
        ("statement", "says"),
        [
            pytest.param("UPDATE alembic_version SET version_num = 'of tomorrow'", "newer version", id="newer"),
            pytest.param("DROP TABLE alembic_version", "not MDUS's", id="foreign"),
        ],
    )
    def test_other_schema_is_refused(self, sqlite_url: str, statement: str, says: str) -> None:
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
            connection.execute(statement)
        for start in (work, migrate_named):
            with pytest.raises(CannotStart) as error:
                start({"MDUS_DATABASE__URL": sqlite_url})
            assert says in told(error)

    def test_older_schema_asks_for_a_migration(self) -> None:
        with pytest.raises(CannotStart) as error:
            refuse_other_schema(SchemaState.OLDER, load_settings({}))
        assert "older version" in told(error)
        assert "mdus migrate" in told(error)

    def test_database_that_does_not_answer_is_named_without_its_password(self) -> None:
        database = opened("postgresql://mdus:hidden@127.0.0.1:9/mdus")
        with pytest.raises(CannotStart) as error:
            prepare(database, simulated_clock=False)
        assert "does not answer" in told(error)
        assert "hidden" not in told(error)


class TestSimulatedClock:
    @pytest.fixture
    def landscape(self, database_url: str) -> Database:
        database = opened(database_url)
        now = datetime.now(UTC)
        with database.begin() as uow:
            set_simulated_time(uow.connection, SimulatedTime(anchor=now, epoch=now, speed=1.0))
        return database

    def test_database_of_a_landscape_is_refused_for_real_work(self, landscape: Database) -> None:
        with pytest.raises(CannotStart) as error:
            prepare(landscape, simulated_clock=False)
        assert "--simulated-clock" in told(error)
        landscape.close()

    def test_database_of_a_landscape_goes_on_with_a_simulated_clock(self, landscape: Database) -> None:
        prepare(landscape, simulated_clock=True)
        landscape.close()


class TestOnlyWorker:
    def test_second_waits_until_the_first_has_left(self, sqlite_url: str) -> None:
        database, order = opened(sqlite_url), []

        def second() -> None:
            with only_worker(database):
                order.append("second")

        with only_worker(database):
            thread = threading.Thread(target=second)
            thread.start()
            thread.join(0.3)
            order.append("first")
        thread.join(10)
        assert order == ["first", "second"]
        database.close()

    def test_any_number_work_on_postgresql(self, postgresql_url: str) -> None:
        database = opened(postgresql_url)
        with only_worker(database), only_worker(database):
            pass
        database.close()
