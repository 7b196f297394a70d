"""The commands: what they print, what they exit with, and that nothing ends in a traceback."""

from __future__ import annotations

import getpass
import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import OperationalError

from mdus import __version__
from mdus.bootstrap.discovery import discover
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.messaging.status import MessageStatus
from mdus.storage.audit import AUDIT
from mdus.storage.job import JOB_RUN
from mdus.storage.message import MESSAGE
from mdus.storage.registration_resend import REGISTRATION_RESEND
from mdus.storage.session import Database
from tests.unit.cli.conftest import Run
from tests.unit.workers.scripted import rows_of


class TestMdus:
    def test_alone_says_the_three_things_a_newcomer_wants(self, mdus: Run) -> None:
        ran = mdus()
        assert ran.code == 0
        for command in ("mdus demo", "mdus serve", "mdus check"):
            assert command in ran.out

    def test_tells_its_version(self, mdus: Run) -> None:
        assert mdus("--version").out == f"mdus {__version__}\n"

    def test_names_an_unknown_command(self, mdus: Run) -> None:
        ran = mdus("dance")
        assert ran.code == 2
        assert "dance" in ran.err

    @pytest.mark.parametrize(
        ("command", "module"), [("demo", "simulators.landscape"), ("conformance", "simulators.conformance")]
    )
    def test_hands_everything_to_the_simulator_behind_a_command(
        self, mdus: Run, monkeypatch: pytest.MonkeyPatch, command: str, module: str
    ) -> None:
        started: list[list[str]] = []

        def execute(_: str, arguments: list[str]) -> None:
            started.append(arguments[1:])
            raise SystemExit(3)

        monkeypatch.setattr("os.execv", execute)
        assert mdus(command, "--meters", "10", "--help", "--faults", "all").code == 3
        assert started == [["-m", module, "--meters", "10", "--help", "--faults", "all"]]

    def test_demo_says_what_is_not_installed(self, mdus: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mdus.cli.processes._is_there", lambda module: module != "spyne")
        ran = mdus("demo")
        assert ran.code == 1
        assert "spyne" in ran.err
        assert "mdus[demo]" in ran.err


class TestErrors:
    def test_of_the_database_are_told_without_a_traceback(
        self, mdus: Run, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OperationalError("INSERT", {}, Exception("the disk is full\nand more"))

        monkeypatch.setattr("mdus.storage.end_device_control.order_switching", fail)
        ran = mdus("switching", "stop", "--reason", "flood")
        assert ran.code == 1
        assert "the disk is full" in ran.err
        assert "mend:" in ran.err

    def test_of_ours_keep_their_traceback(self, mdus: Run, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mdus.storage.end_device_control.stop_reason", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            mdus("switching", "state")


class TestCheck:
    def test_finds_the_defaults_in_order(self, mdus: Run, database: Database) -> None:
        ran = mdus("check")
        assert (ran.code, ran.err) == (0, "")
        assert "in order" in ran.out
        assert "no open cases" in ran.out

    def test_reports_every_problem_with_how_to_mend_it(self, mdus: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MDUS_HTTP__PORT", "x")
        monkeypatch.setenv("MDUS_TIME_ZONE", "Mars")
        ran = mdus("check")
        assert ran.code == 1
        assert ran.err.count("mend:") == 2
        assert "MDUS_HTTP__PORT" in ran.err
        assert "MDUS_TIME_ZONE" in ran.err

    def test_reports_what_only_all_parts_together_show(self, mdus: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {"KIND": "telegraph", "URL": "http://127.0.0.1:9"}.items():
            monkeypatch.setenv(f"MDUS_HEAD_ENDS__NORTH__{name}", value)
        ran = mdus("check")
        assert ran.code == 1
        assert "telegraph" in ran.err
        assert f"known are: {', '.join(sorted(discover().kinds))}" in ran.err

    def test_names_the_doors_that_a_proxy_would_leave_open(
        self, mdus: Run, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MDUS_CIS__URL", "https://sap.example.com/{interface}")
        ran = mdus("check")
        assert ran.code == 1
        assert "where: cis.url" in ran.err
        assert "MDUS_AUTH__USER" in ran.err
        monkeypatch.setenv("MDUS_AUTH__USER", "sap")
        monkeypatch.setenv("MDUS_AUTH__PASSWORD", "secret")
        assert mdus("check").code == 0

    def test_counts_open_cases_by_kind(self, mdus: Run, database: Database) -> None:
        now = datetime.now(UTC)
        closed = ExceptionCase(kind="meter_missing", case_key="2", opened_at=now, closed_at=now, note="was")
        with database.begin() as uow:
            uow.save([ExceptionCase(kind="dead_message", case_key="1", opened_at=now, note="is"), closed])
        assert "1 open cases: 1 dead_message" in mdus("check").out

    def test_names_the_newest_orders_without_a_reading_and_why(self, mdus: Run, database: Database) -> None:
        due_at = datetime(2026, 3, 28, tzinfo=UTC)
        orders = [
            MeterReadingDocument(
                sender_system="P11",
                document_id=f"{number:020}",
                device_id="42",
                measurement_task_id="1",
                obis_text="1.8.0",
                reading_type="1-0:1.8.0*255",
                reason_code="01",
                scheduled_on=due_at.date(),
                time_zone="Europe/Berlin",
                status=DocumentStatus.FAILED if number else DocumentStatus.ORDERED,
                due_at=due_at,
                window_from=due_at,
                window_until=due_at,
                order_item_id=number,
                note=f"reason {number}" if number else None,
            )
            for number in range(7)
        ]
        assert "no reading" not in mdus("check").out
        with database.begin() as uow:
            uow.save(orders)
        ran = mdus("check")
        assert ran.code == 0
        assert "6 reading orders found no reading, the newest:" in ran.out
        assert f"document {6:020} of device 42: reason 6" in ran.out
        assert "reason 2" in ran.out
        assert "reason 1" not in ran.out

    def test_shows_every_setting_with_its_origin_and_no_secret(
        self, mdus: Run, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MDUS_AUTH__USER", "sap")
        monkeypatch.setenv("MDUS_AUTH__PASSWORD", "hidden-word")
        monkeypatch.setenv("COLUMNS", "300")
        ran = mdus("check", "--show")
        assert "MDUS_AUTH__USER" in ran.out
        assert "workers.claim_size" in ran.out
        assert "hidden-word" not in ran.out

    def test_lists_every_type_id_as_sap_reads_it(
        self, mdus: Run, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MDUS_CIS__MESSAGE_CLASS", "ZAMI")
        monkeypatch.setenv("MDUS_LOG_TYPES__KILL_SWITCH__NUMBER", "313")
        monkeypatch.setenv("MDUS_LOG_TYPES__KILL_SWITCH__TYPE_ID", "007(Z1)")
        monkeypatch.setenv("COLUMNS", "300")
        ran = mdus("check", "--types")
        assert ran.code == 0
        for said in ("110(ZAMI)", "The device is not known", "007(Z1)", "Kill switch"):
            assert said in ran.out
        assert "313(" not in ran.out

    def test_makes_no_file_by_looking(self, mdus: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MDUS_DATABASE__URL", f"sqlite:///{tmp_path / 'absent.db'}")
        assert mdus("check").code == 0
        assert list(tmp_path.iterdir()) == []

    def test_connect_names_all_that_does_not_answer(self, mdus: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MDUS_DATABASE__URL", "postgresql://mdus:hidden@127.0.0.1:9/mdus")
        monkeypatch.setenv("MDUS_CIS__URL", "http://127.0.0.1:9/{interface}")
        for name, value in {"KIND": "rest", "URL": "http://127.0.0.1:9"}.items():
            monkeypatch.setenv(f"MDUS_HEAD_ENDS__NORTH__{name}", value)
        ran = mdus("check", "--connect")
        assert ran.code == 1
        for said in ("the database does not answer", "SAP (SAP) does not answer", "the head end north does not answer"):
            assert said in ran.err
        assert "hidden" not in ran.err

    @pytest.mark.parametrize(
        ("status", "code"), [pytest.param(401, 1, id="refused"), pytest.param(405, 0, id="answered")]
    )
    def test_connect_tries_our_credentials_at_sap(
        self, mdus: Run, database: Database, monkeypatch: pytest.MonkeyPatch, status: int, code: int
    ) -> None:
        with answering(status) as (url, _):
            monkeypatch.setenv("MDUS_CIS__URL", f"{url}/{{interface}}")
            ran = mdus("check", "--connect")
        assert ran.code == code
        assert ("refuses our credentials" in ran.err) is (code == 1)


class TestJobs:
    def test_lists_every_job_with_its_next_run(self, mdus: Run, database: Database) -> None:
        listed = {row["job"]: row for row in json.loads(mdus("jobs", "--json").out)}
        assert {"due_readings", "reconcile"} <= set(listed)
        assert all(row["last"] is None and row["next_at"] for row in listed.values())

    def test_runs_one_for_a_date_and_lists_its_result(self, mdus: Run, database: Database) -> None:
        today = datetime.now(UTC).date() - timedelta(days=1)
        ran = mdus("jobs", "run", "reconcile", "--date", today.isoformat())
        assert ran.code == 0
        assert "0 devices" in ran.out
        last = next(row["last"] for row in json.loads(mdus("jobs", "--json").out) if row["job"] == "reconcile")
        assert (last["slot"], last["status"], last["attempts"]) == (today.isoformat(), "done", 1)

    def test_runs_one_again(self, mdus: Run, database: Database) -> None:
        for _ in range(2):
            assert mdus("jobs", "run", "reconcile", "--date", "2026-01-05").code == 0
        assert len(rows_of(database, JOB_RUN)) == 1

    def test_runs_the_newest_slot_without_a_date(self, mdus: Run, database: Database) -> None:
        assert mdus("jobs", "run", "command_timeouts").code == 0
        (row,) = rows_of(database, JOB_RUN)
        assert row.slot <= f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def test_refuses_a_date_to_come(self, mdus: Run, database: Database) -> None:
        ran = mdus("jobs", "run", "reconcile", "--date", "2999-01-01")
        assert ran.code == 1
        assert "yet to come" in ran.err
        assert rows_of(database, JOB_RUN) == []

    def test_names_the_jobs_there_are(self, mdus: Run) -> None:
        ran = mdus("jobs", "run", "laundry")
        assert ran.code == 1
        assert "registry_sync" in ran.err

    def test_prints_a_table(self, mdus: Run, database: Database) -> None:
        mdus("jobs", "run", "reconcile", "--date", "2026-01-05")
        assert "2026-01-05" in mdus("jobs").out


class TestRegistered:
    @pytest.fixture
    def registered(self, database: Database) -> Database:
        at = datetime(2026, 3, 28, tzinfo=UTC)
        known = {"sender_system": "P11", "material_id": "LX", "valid_from": at.date(), "head_end": "city"}
        with database.begin() as uow:
            for number, registered_at in (("1", at), ("2", at), ("3", None)):
                uow.save([EndDevice(**known, device_id=number, serial_id=number)])
                uow.save([EndDeviceStatus(sender_system="P11", device_id=number, registered_at=registered_at)])
        return database

    @pytest.mark.parametrize(
        ("which", "said"),
        [
            pytest.param(["--device", "1", "--system", "P11"], "again of 1 registered device\n", id="one device"),
            pytest.param(["--head-end", "city"], "again of 2 registered devices\n", id="a head end"),
            pytest.param(["--system", "P11"], "again of 2 registered devices\n", id="a sender system"),
            pytest.param(["--all"], "again of 2 registered devices\n", id="all"),
        ],
    )
    def test_is_told_again(self, mdus: Run, registered: Database, which: list[str], said: str) -> None:
        ran = mdus("registered", "resend", *which, "--reason", "SAP was restored")
        assert ran.code == 0
        assert said in ran.out
        rows = rows_of(registered, REGISTRATION_RESEND.table)
        assert {(row.reason, row.ordered_by) for row in rows} == {("SAP was restored", getpass.getuser())}

    @pytest.mark.parametrize(
        "which",
        [
            pytest.param(["--device", "3", "--system", "P11"], id="not registered yet"),
            pytest.param(["--device", "1", "--system", "P12"], id="of another system"),
            pytest.param(["--head-end", "north"], id="of another head end"),
        ],
    )
    def test_says_that_there_is_none(self, mdus: Run, registered: Database, which: list[str]) -> None:
        ran = mdus("registered", "resend", *which, "--reason", "SAP was restored")
        assert ran.code == 1
        assert "nothing to tell again" in ran.out

    @pytest.mark.parametrize(
        "arguments",
        [
            pytest.param(["--device", "1", "--reason", "x"], id="a device without its system"),
            pytest.param(["--reason", "x"], id="nothing named"),
            pytest.param(["--all", "--system", "P11", "--reason", "x"], id="all and some"),
            pytest.param(["--all", "--reason", " "], id="no reason"),
        ],
    )
    def test_wants_to_know_which_and_why(self, mdus: Run, registered: Database, arguments: list[str]) -> None:
        assert mdus("registered", "resend", *arguments).code == 2
        assert rows_of(registered, REGISTRATION_RESEND.table) == []


class answering:  # noqa: N801 - reads as the context manager it is
    """A server that answers every request alike and keeps what it was sent."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name http.server asks for
                bodies.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - the name http.server asks for

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> tuple[str, list[bytes]]:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}", self.bodies

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class TestSend:
    @pytest.fixture
    def message(self, tmp_path: Path) -> Path:
        file = tmp_path / "message.xml"
        file.write_text("<n0:Message xmlns:n0='urn:x'><MessageHeader/></n0:Message>")
        return file

    def test_puts_a_message_alone_into_an_envelope(self, mdus: Run, message: Path) -> None:
        with answering(202) as (url, bodies):
            ran = mdus("send", str(message), "--url", url)
        assert (ran.code, ran.out) == (0, "202\n")
        assert b"Envelope" in bodies[0]
        assert b"<n0:Message" in bodies[0]

    def test_sends_an_envelope_byte_for_byte(self, mdus: Run, message: Path) -> None:
        body = b"<soap:Envelope  xmlns:soap='http://schemas.xmlsoap.org/soap/envelope/'><soap:Body/></soap:Envelope>"
        message.write_bytes(body)
        with answering(202) as (url, bodies):
            mdus("send", str(message), "--url", url)
        assert bodies == [body]

    def test_prints_why_a_message_was_refused(self, mdus: Run, message: Path) -> None:
        fault = b"<e><Fault><faultcode>Client</faultcode><faultstring>no such root</faultstring></Fault></e>"
        with answering(500, fault) as (url, _):
            ran = mdus("send", str(message), "--url", url)
        assert ran.code == 1
        assert "no such root" in ran.out

    def test_says_that_nobody_answers(self, mdus: Run, message: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        ran = mdus("send", str(message), "--url", f"http://127.0.0.1:{port}/sap")
        assert ran.code == 1
        assert "mend:" in ran.err

    def test_says_that_the_file_is_not_there(self, mdus: Run, tmp_path: Path) -> None:
        ran = mdus("send", str(tmp_path / "absent.xml"))
        assert ran.code == 1
        assert "absent.xml" in ran.err


def dead_message(database: Database) -> None:
    with database.begin() as uow:
        uow.connection.execute(
            insert(MESSAGE).values(
                direction="out",
                sender_system="P11",
                service="S",
                root="Root",
                bulk=False,
                status=MessageStatus.DEAD,
                key="k",
                uuid="k",
                created_at=datetime(2026, 3, 1, tzinfo=UTC),
                stored_at=datetime(2026, 3, 1, tzinfo=UTC),
                last_error="connection refused",
            )
        )


class TestDead:
    def test_lists_what_is_given_up_and_why(self, mdus: Run, database: Database) -> None:
        assert "nothing is given up" in mdus("dead", "list").out
        dead_message(database)
        assert "connection refused" in mdus("dead", "list").out
        [row] = json.loads(mdus("dead", "list", "--json").out)
        assert (row["of"], row["what"], row["why"]) == ("P11", "Root", "connection refused")

    def test_only_tells_what_it_would_do(self, mdus: Run, database: Database) -> None:
        dead_message(database)
        assert "1 would be tried again" in mdus("dead", "retry", "--reason", "x", "--dry-run").out
        assert rows_of(database, MESSAGE)[0].status is MessageStatus.DEAD

    def test_tries_again_and_keeps_who_and_why(self, mdus: Run, database: Database) -> None:
        dead_message(database)
        assert mdus("dead", "retry", "--reason", "SAP is back", "--before", "2026-03-02").code == 0
        assert rows_of(database, MESSAGE)[0].status is MessageStatus.READY
        [row] = rows_of(database, AUDIT)
        assert (row.who, row.reason, row.count) == (getpass.getuser(), "SAP is back", 1)

    def test_leaves_it(self, mdus: Run, database: Database) -> None:
        dead_message(database)
        assert mdus("dead", "leave", "--reason", "settled", "--system", "P11").code == 0
        assert rows_of(database, MESSAGE)[0].status is MessageStatus.ABANDONED

    def test_says_when_nothing_is_meant(self, mdus: Run, database: Database) -> None:
        assert mdus("dead", "retry", "--reason", "x").code == 1

    @pytest.mark.parametrize(
        "arguments", [("dead", "list", "--kind", "cat"), ("dead", "retry", "--reason", " ")], ids=["kind", "no reason"]
    )
    def test_refuses(self, mdus: Run, database: Database, arguments: tuple[str, ...]) -> None:
        assert mdus(*arguments).code == 2


class TestResendAndReplay:
    @pytest.mark.parametrize("command", ["resend", "replay"])
    def test_name_a_message_that_is_not_known(self, mdus: Run, database: Database, command: str) -> None:
        ran = mdus(command, "4711", "--reason", "x")
        assert ran.code == 1
        assert "message 4711 is not known" in ran.err
        assert "mend:" in ran.err

    def test_send_a_message_once_more(self, mdus: Run, database: Database) -> None:
        dead_message(database)
        [row] = rows_of(database, MESSAGE)
        assert mdus("resend", str(row.id), "--reason", "lost").code == 0
        assert rows_of(database, MESSAGE)[0].status is MessageStatus.READY


class TestTrace:
    def test_tells_what_happened_and_what_is_missing(self, mdus: Run, database: Database) -> None:
        dead_message(database)
        ran = mdus("trace", "K")
        assert ran.code == 0
        assert "connection refused" in ran.out
        assert "failed" in ran.out
        found = json.loads(mdus("trace", "k", "--json").out)
        assert [step["state"] for step in found["steps"]] == ["failed"]

    def test_says_that_nothing_is_known(self, mdus: Run, database: Database) -> None:
        ran = mdus("trace", "nobody")
        assert (ran.code, "nothing is known of nobody" in ran.out) == (1, True)


class TestToken:
    def test_is_told_once_listed_and_revoked(self, mdus: Run, database: Database) -> None:
        made = mdus("token", "create", "portal", "--role", "operator", "--system", "P11")
        assert made.code == 0
        assert made.out.startswith("mdus_")
        [row] = json.loads(mdus("token", "list", "--json").out)
        assert (row["name"], row["role"], row["systems"]) == ("portal", "operator", "P11")
        assert made.out.strip() not in mdus("token", "list").out
        assert mdus("token", "create", "portal").code == 1
        assert mdus("token", "revoke", "portal").code == 0
        assert mdus("token", "revoke", "portal").code == 1
        assert [each.action for each in rows_of(database, AUDIT)] == ["token created", "token revoked"]
        assert mdus("token", "create", "portal").code == 0

    @pytest.mark.parametrize(
        "arguments", [("portal", "--role", "king"), ("two words",), (" ",)], ids=["role", "blank inside", "no name"]
    )
    def test_is_refused(self, mdus: Run, database: Database, arguments: tuple[str, ...]) -> None:
        assert mdus("token", "create", *arguments).code == 2
