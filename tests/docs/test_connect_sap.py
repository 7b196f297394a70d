"""docs/operations/connect_sap.md: its settings are accepted, its message does what it says, its list is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from mdus.bootstrap.discovery import discover, settings_problems
from mdus.cli import app
from mdus.contracts.catalog import Direction, catalog
from mdus.domain.end_device import EndDevice
from mdus.settings import load_settings
from mdus.storage.message import MESSAGE
from tests.flows.both_sides import texts
from tests.flows.intake.installation import NOW, XML
from tests.flows.side_by_side.systems import FieldSide, Sap, SideBySide

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "operations" / "connect_sap.md").read_text()
SECTIONS = "auth|cis|http|retry"


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
def sides(sqlite_url: str, tmp_path: Path) -> Iterator[SideBySide]:
    made = SideBySide(
        sqlite_url,
        tmp_path,
        now=NOW,
        saps=[Sap("P11CLNT100", zone="Europe/Berlin")],
        head_ends=[FieldSide("north", ams_ids=["AEML"])],
    )
    yield made
    made.close()


class TestThePage:
    def test_shows_settings_that_are_accepted(self, tmp_path: Path) -> None:
        text = block("toml")
        for secret in re.findall(r'"/run/secrets/(\w+)"', text):
            (tmp_path / secret).write_text("secret\n")
        (tmp_path / "senders.toml").write_text(text.replace("/run/secrets/", ""))
        found = discover()
        settings = load_settings({"MDUS_CONFIG": str(tmp_path)}, tables=found.tables)
        assert list(settings_problems(found, settings)) == []
        assert settings.senders[0].url_password is not None

    def test_names_settings_that_are_there(self) -> None:
        known = {shown.key for shown in load_settings({}).shown()}
        named = set(re.findall(rf"`((?:{SECTIONS})\.\w+)`", PAGE))
        assert len(named) >= 5
        assert named <= known

    def test_names_commands_and_options_that_are_there(self) -> None:
        root = typer.main.get_command(app)
        lines = re.findall(r"`mdus ([a-z]+)([^`]*)`", PAGE)
        assert {name for name, _ in lines} == {"check", "send"}
        for name, rest in lines:
            known = {option for parameter in root.commands[name].params for option in parameter.opts}  # type: ignore[attr-defined]
            assert set(re.findall(r"--\w+", rest)) <= known

    def test_lists_every_interface_in_its_direction(self) -> None:
        rows = re.findall(r"^\| (`\w+`)? \| (`\w+`|\(answered in the same call\))? \|$", PAGE, flags=re.MULTILINE)
        received = {name.strip("`") for name, _ in rows if name}
        sent = {name.strip("`") for _, name in rows if name.startswith("`")}
        roots = catalog().roots.values()
        assert received == {root.interface for root in roots if root.direction is Direction.RECEIVED}
        assert sent | received == {root.interface for root in roots}
        assert sent.isdisjoint(received)

    def test_sends_a_first_message_that_is_answered_and_changes_nothing(self, sides: SideBySide) -> None:
        envelope = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'
        credentials = sides.headers("P11CLNT100")
        for _ in range(2):
            answer = sides.mdus.post(envelope.format(block("xml")).encode(), headers={**XML, **credentials})
            assert (answer.status_code, answer.content) == (202, b"")
            sides.rest()

        first, again = sides.saps["P11CLNT100"].received
        assert texts(first, "Log/BusinessDocumentProcessingResultCode") == ["5"]
        assert texts(first, "Log/Item/TypeID") == ["104(MDUS)"]
        assert texts(again, "MessageHeader/UUID") == texts(first, "MessageHeader/UUID")
        assert sides.all(EndDevice) == []
        statuses = {(row.direction, row.status.value) for row in sides.mdus.rows(MESSAGE)}
        assert statuses == {("in", "completed"), ("in", "duplicate"), ("out", "delivered")}
