"""`mdus vee`: values explained, rule sets tried and values edited from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from mdus.domain.channel import MISSING
from mdus.storage.audit import deeds
from mdus.storage.paging import Page
from tests.flows.validation.installed import FEW_RULES
from tests.unit.cli.conftest import Run
from tests.unit.workers.validating import CHANNEL, DAY, END, FULL, TABLES, Validating

DEVICE = CHANNEL.device_id
WHY = ["--reason", "read off the display"]


@pytest.fixture
def meter(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Validating]:
    """A day with a gap and a spike, validated, in the database that the commands find in their environment."""
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "test.toml").write_text(TABLES + FEW_RULES)
    for name, value in (("DATABASE__URL", database_url), ("CONFIG", str(folder)), ("TIME_ZONE", "Europe/Berlin")):
        monkeypatch.setenv(f"MDUS_{name}", value)
    made = Validating(database_url, str(folder))
    made.tell([*FULL[:50], MISSING, *FULL[51:60], 900, *FULL[61:]])
    made.work(at=END + timedelta(days=2))
    yield made
    made.close()


def test_a_day_is_explained_for_people_and_for_programs(meter: Validating, mdus: Run) -> None:
    told = mdus("vee", "explain", DEVICE, str(DAY))
    assert told.code == 0
    text = " ".join(told.out.split())
    for part in ("version 1; looked at by electricity@1", "estimated", "first values of the day", "nothing of it is"):
        assert part in text
    found = json.loads(mdus("vee", "explain", DEVICE, str(DAY), "--json").out)
    assert (found["version"], [run["state"] for run in found["runs"]].count("estimated")) == (1, 2)


def test_a_channel_that_is_not_there_is_said_to_be_so(meter: Validating, mdus: Run) -> None:
    told = mdus("vee", "explain", "42", str(DAY))
    assert (told.code, told.out) == (1, "")
    assert "ids have their zeros" in told.err


def test_values_are_set_accepted_rejected_and_that_is_taken_back(meter: Validating, mdus: Run) -> None:
    before = meter.final()

    def run(action: str, *arguments: str) -> object:
        told = mdus("vee", action, DEVICE, str(DAY), *arguments, *WHY, "--json")
        assert told.code == 0, told.err
        meter.work()
        return json.loads(told.out)["version"]

    assert run("edit", "--intervals", "40-42", "--value", "0.5", "--value", "-", "--value", "0.7") == 2
    assert meter.final().values[40:43].tolist() == [500, FULL[41], 700]
    assert run("accept", "--intervals", "50") == 3
    assert run("reject", "--intervals", "60", "--version", "3") == 4
    assert meter.final().values[60] == MISSING
    stale = mdus("vee", "edit", DEVICE, str(DAY), "--intervals", "1", "--value", "1", "--version", "1", *WHY)
    assert stale.code == 1
    assert "is current" in stale.err
    assert run("undo") == 5
    after = meter.final()
    assert (after.values == before.values).all()
    assert (after.qualities == before.qualities).all()
    with meter.database.read() as uow:
        actions = [each.action for each in deeds(uow.connection, Page(limit=9))]
    assert actions == [f"interval values {action}" for action in ("undo", "reject", "accept", "set")]


@pytest.mark.parametrize("wrong", [["--intervals", "5-3"], ["--intervals", "x"], ["--value", "much"]])
def test_what_cannot_be_meant_is_refused(meter: Validating, mdus: Run, wrong: list[str]) -> None:
    assert mdus("vee", "edit", DEVICE, str(DAY), "--value", "1", *wrong, *WHY).code == 2
    assert meter.final().version == 1


CHANGED = """
reading_types = ["1-*"]
rules = [{ name = "missing_intervals" }, { name = "spike", replaces = true, tolerance = 20 }]
methods = [{ name = "linear" }]
"""


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(CHANGED, id="by itself"),
        pytest.param(f'[[rule_sets]]\nname = "electricity"{CHANGED}', id="as configured"),
    ],
)
def test_a_changed_rule_set_is_tried_on_past_days(meter: Validating, mdus: Run, tmp_path: Path, text: str) -> None:
    file = tmp_path / "changed.toml"
    file.write_text(text)
    span = ["--from", str(DAY - timedelta(days=3)), "--to", str(DAY)]
    told = mdus("vee", "preview", "electricity", "--file", str(file), *span)
    assert told.code == 0, told.err
    assert "electricity on 1 days of 1 channels: 1 come out otherwise" in told.out
    found = json.loads(mdus("vee", "preview", "electricity", "--file", str(file), *span, "--json").out)
    assert (found["different"], found["estimated_values_before"], found["estimated_values_after"]) == (1, 2, 1)
    assert meter.final().written_by == "vee/electricity@1"


def test_a_rule_set_that_is_wrong_says_where_and_how_to_mend_it(meter: Validating, mdus: Run, tmp_path: Path) -> None:
    file = tmp_path / "changed.toml"
    file.write_text('reading_types = ["1-*"]\nrules = [{ name = "spike", tolerence = 3 }]\n')
    told = mdus("vee", "preview", "electricity", "--file", str(file), "--from", str(DAY), "--to", str(DAY))
    assert told.code == 1
    assert "rules.0.tolerence" in told.err
    assert "did you mean tolerance?" in told.err
