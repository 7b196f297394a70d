"""Every command that prints a result prints it as one JSON document too, with nothing else on standard output."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from sqlalchemy import insert

from mdus.cli import app
from mdus.domain.channel import Channel
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.interval_block import Layer, empty_block
from mdus.domain.reading_quality import ESTIMATED, QualitySet
from mdus.endpoints.interval_edits import Action, Order, carry_out
from mdus.messaging.status import MessageStatus
from mdus.storage.audit import Deed
from mdus.storage.interval_block import ensure_channels, quality_marks, write_blocks
from mdus.storage.message import BODY, MESSAGE
from mdus.storage.session import Database, UnitOfWork
from tests.unit.cli.conftest import Run

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = date(2026, 2, 11)
UUID = "0e3f5a52-7c4e-4d0a-9f56-0a4a1d7f9a01"

#: Commands whose result is that they run, and those that belong to another program.
WITHOUT_RESULT = {("serve",), ("work",), ("demo",), ("conformance",)}

WHY = ["--reason", "a test"]

#: What each command is called with, its exit code, and what its document says.
CALLS: dict[tuple[str, ...], tuple[list[str], int, dict[str, Any]]] = {
    ("check",): (["--show", "--types"], 0, {"in_order": True, "problems": [], "open_cases": {}}),
    ("migrate",): ([], 0, {"was": "current", "applied": []}),
    ("import", "registry"): (["FILE", "--system", "P11", "--kind", "device", "--dry-run"], 0, {"findings": 0}),
    ("import", "intervals"): (
        ["INTERVALS", "--head-end", "files"],
        1,
        {"values": 1, "unmapped": 0, "unreadable_lines": 1},
    ),
    ("import", "temperatures"): (["TEMPERATURES"], 0, {"temperatures": 1}),
    ("send",): (["FILE", "--url", "URL"], 1, {"status": 500, "accepted": False, "text": "no such root"}),
    ("resend",): (["MESSAGE", *WHY], 0, {"outcome": "message MESSAGE goes out once more"}),
    ("replay",): (["RECEIVED", *WHY, "--dry-run"], 0, {"dry_run": True}),
    ("trace",): ([UUID], 0, {"is_cut": False}),
    ("dead", "list"): ([], 0, {}),
    ("dead", "retry"): (WHY, 0, {"count": 1, "dry_run": False}),
    ("dead", "leave"): ([*WHY, "--dry-run"], 0, {"count": 1, "dry_run": True}),
    ("unmapped",): ([], 0, {}),
    ("unmapped", "retry"): ([*WHY, "--dry-run"], 1, {"count": 0, "dry_run": True}),
    ("unmapped", "leave"): (WHY, 1, {"count": 0, "dry_run": False}),
    ("jobs",): ([], 0, {}),
    ("jobs", "run"): (["reconcile", "--date", "2026-01-05"], 0, {"job": "reconcile", "slot": "2026-01-05"}),
    ("registered", "resend"): (["--all", *WHY], 0, {"count": 1}),
    ("switching", "stop"): (WHY, 0, {"stopped": True, "reason": "a test", "worked_on": False}),
    ("switching", "start"): (WHY, 0, {"stopped": False, "reason": "a test", "worked_on": False}),
    ("switching", "state"): ([], 0, {"stopped": False, "reason": None, "worked_on": False}),
    ("vee", "explain"): (["1", "2026-02-11"], 0, {"device_id": "1", "version": 2, "rule_set": "electricity@1"}),
    ("vee", "preview"): (
        ["x", "--file", "SET", "--from", "2026-02-11", "--to", "2026-02-11"],
        0,
        {"name": "x", "days": 1},
    ),
    ("vee", "edit"): (
        ["1", "2026-02-11", "--intervals", "5", "--value", "1", *WHY],
        0,
        {"version": 3, "intervals": [5]},
    ),
    ("vee", "accept"): (["1", "2026-02-11", *WHY], 0, {"version": 3, "intervals": [0]}),
    ("vee", "reject"): (["1", "2026-02-11", *WHY], 0, {"version": 3, "intervals": [0]}),
    ("vee", "undo"): (["1", "2026-02-11", *WHY], 0, {"version": 3, "intervals": [1]}),
    ("token", "create"): (["portal"], 0, {"client": "portal"}),
    ("token", "revoke"): (["portal"], 1, {"client": "portal", "revoked": False}),
    ("token", "list"): ([], 0, {}),
}


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command of the tree that does something by itself."""
    group = typer.main.get_command(app) if group is None else group
    for name, command in group.commands.items():
        below = getattr(command, "commands", None)
        if below is None or (command.invoke_without_command and not command.no_args_is_help):
            yield (*path, name), command
        if below is not None:
            yield from commands(command, (*path, name))


def test_every_command_with_a_result_has_the_option() -> None:
    found = dict(commands())
    assert set(found) >= WITHOUT_RESULT
    lacking = [
        path
        for path, command in found.items()
        if path not in WITHOUT_RESULT and not any("--json" in parameter.opts for parameter in command.params)
    ]
    assert lacking == []
    assert set(found) - WITHOUT_RESULT == set(CALLS)


def edited_day(uow: UnitOfWork) -> None:
    """Store a day of a channel: its first value is estimated, its second set by hand."""
    channel = Channel(
        sender_system="P11",
        device_id="1",
        reading_type="1-0:1.29.0*255",
        interval_minutes=15,
        time_zone="UTC",
        unit="KWH",
        decimals=3,
    )
    ensure_channels(uow.connection, [channel])
    raw = replace(empty_block(channel, DAY, at=AT, by="delivery/1"), values=np.full(96, 100, dtype=np.int64))
    estimated = QualitySet.of([ESTIMATED])
    marks = np.zeros(96, dtype=np.uint16)
    marks[0] = quality_marks(uow.connection, [estimated])[estimated]
    final = replace(raw, layer=Layer.FINAL, qualities=marks, written_by="vee/electricity@1", estimated=1)
    write_blocks(uow.connection, [raw, final])
    order = Order(
        sender_system="P11",
        device_id="1",
        reading_type=channel.reading_type,
        action=Action.SET,
        start=channel.day(DAY).starts_at(1),
        end=channel.day(DAY).ends_at(1),
        values=[Decimal("0.2")],
    )
    carry_out(uow, order, Deed(who="a clerk", reason="a test"), now=AT)


@pytest.fixture
def filled(database: Database) -> dict[str, str]:
    """A device, a message to SAP that was given up and one that SAP has sent; returns the messages' numbers."""
    shared = {"sender_system": "P11", "service": "S", "root": "Root", "bulk": False, "created_at": AT, "stored_at": AT}
    with database.begin() as uow:
        device = EndDevice(sender_system="P11", device_id="1", serial_id="1", material_id="M", valid_from=AT.date())
        uow.save([replace(device, head_end="files")])
        uow.save([EndDeviceStatus(sender_system="P11", device_id="1", registered_at=AT)])
        dead = insert(MESSAGE).values(**shared, direction="out", status=MessageStatus.DEAD, key=UUID, uuid=UUID)
        sent = uow.connection.execute(dead.returning(MESSAGE.c.id)).scalar_one()
        uow.connection.execute(insert(BODY).values(content_hash=b"\x01", data=b"x", size=1))
        refused = insert(MESSAGE).values(**shared, direction="in", status=MessageStatus.REFUSED, content_hash=b"\x01")
        received = uow.connection.execute(refused.returning(MESSAGE.c.id)).scalar_one()
        edited_day(uow)
    return {"MESSAGE": str(sent), "RECEIVED": str(received)}


@contextmanager
def refusing() -> Iterator[str]:
    """A server that refuses every message with a fault."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b"<e><Fault><faultstring>no such root</faultstring></Fault></e>"
            self.send_response(500)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("path", CALLS, ids=" ".join)
def test_prints_one_document(
    path: tuple[str, ...], mdus: Run, filled: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "devices.csv"
    file.write_text(f"device_id,serial_id,material_id,valid_from\n1,S1,LX100,{date(2026, 1, 1)}\n")
    intervals = tmp_path / "intervals.csv"
    intervals.write_text(
        "meter,reading_type,unit,interval_minutes,start,value,quality\n"
        "1,1-0:1.29.0*255,kWh,15,2026-03-01T00:00:00Z,0.1,\n"
        "1,1-0:1.29.0*255,kWh,15,tomorrow,0.1,\n"
    )
    monkeypatch.setenv("MDUS_HEAD_ENDS__FILES__KIND", "file_drop")
    temperatures = tmp_path / "temperatures.csv"
    temperatures.write_text("station,day,degrees\n10384,2026-02-11,-3.4\n")
    rule_set = tmp_path / "changed.toml"
    rule_set.write_text('reading_types = ["1-*"]\n')
    arguments, code, said = CALLS[path]
    with refusing() as url:
        files = {"FILE": file, "SET": rule_set, "INTERVALS": intervals, "TEMPERATURES": temperatures}
        named = {**filled, "URL": url, **{name: str(path) for name, path in files.items()}}
        ran = mdus(*path, *(named.get(argument, argument) for argument in arguments), "--json")
    assert ran.code == code, ran.err
    document = json.loads(ran.out)
    expected = {
        name: value.replace("MESSAGE", filled["MESSAGE"]) if isinstance(value, str) else value
        for name, value in said.items()
    }
    assert {name: document[name] for name in expected} == expected


class TestDocuments:
    def test_of_a_check_have_every_problem(self, mdus: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MDUS_HTTP__PORT", "x")
        ran = mdus("check", "--json")
        assert (ran.code, ran.err) == (1, "")
        [problem] = json.loads(ran.out)["problems"]
        assert set(problem) == {"what", "where", "mend"}

    def test_of_rows_have_instants_with_their_zone(self, mdus: Run, filled: dict[str, str]) -> None:
        [row] = json.loads(mdus("dead", "list", "--json").out)
        assert row["at"] == "2026-03-01T12:00:00+00:00"

    def test_of_a_token_have_it_once(self, mdus: Run, database: Database) -> None:
        assert json.loads(mdus("token", "create", "portal", "--json").out)["token"].startswith("mdus_")
        again = mdus("token", "create", "portal", "--json")
        assert (again.code, json.loads(again.out)["token"]) == (1, None)

    def test_of_an_unknown_name_are_nothing(self, mdus: Run, database: Database) -> None:
        ran = mdus("trace", "nobody", "--json")
        assert (ran.code, json.loads(ran.out)) == (1, None)
        assert "nothing is known of nobody" in ran.err

    def test_of_a_fresh_database_name_the_migrations(
        self, mdus: Run, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MDUS_DATABASE__URL", empty_database_url)
        document = json.loads(mdus("migrate", "--json").out)
        assert document["was"] == "empty"
        assert document["applied"][:4] == ["0001", "0002", "0003", "0004"]

    def test_are_alone_when_the_reason_is_asked_for(
        self, mdus: Run, database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        typed = tmp_path / "typed"
        typed.write_text("a flood\n")
        with typed.open() as keyboard:
            monkeypatch.setattr("sys.stdin", keyboard)
            ran = mdus("switching", "stop", "--json")
        document = json.loads(ran.out)
        assert (document["stopped"], document["reason"]) == (True, "a flood")
        assert "Reason" in ran.err
