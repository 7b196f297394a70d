"""`mdus check` says what is wrong with rule sets, configured or stored, where, and how to mend it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from mdus.bootstrap.checking import Report, check
from mdus.bootstrap.composition import compose
from mdus.bootstrap.database import migrate_named, prepare, seed_rule_sets
from mdus.bootstrap.errors import CannotStart
from mdus.settings import load_settings
from mdus.storage import rule_set
from mdus.storage.audit import Deed
from mdus.storage.session import Database
from mdus.vee.rule_set import RuleSetRow

#: A set that was stored before what it states was refused.
NOTED = {"rules": [{"name": "spike", "severity": "informational", "replaces": True}]}
NOTED_ROW = 'rules = [{ name = "spike", severity = "informational", replaces = true }]'

SET = '[[rule_sets]]\nname = "electricity"\nreading_types = ["1-*"]\n'


def checked(folder: Path, text: str, **environ: str) -> Report:
    (folder / "own.toml").write_text(text)
    return check({"MDUS_CONFIG": str(folder), **environ}, connect=False)


def put(database: Database, content: Mapping[str, object], *, version: int) -> None:
    row = RuleSetRow.model_validate({"name": "electricity", "reading_types": ["1-*"], **content})
    with database.begin() as uow:
        deed, at = Deed(who="a clerk", reason="a test"), datetime(2026, 3, 1, tzinfo=UTC)
        rule_set.add_version(uow.connection, row, deed, version=version, valid_from=date(2026, 3, 1), now=at)


@pytest.mark.parametrize(
    ("rules", "where", "what", "mend"),
    [
        pytest.param(
            'rules = [{ name = "spik" }]',
            "rule_sets.electricity.rules.0.name",
            "there is no rule 'spik'",
            "did you mean spike?",
            id="rule",
        ),
        pytest.param(
            'rules = [{ name = "spike", tolerance = 0 }]',
            "rule_sets.electricity.rules.0.tolerance",
            "spike does not take 0: input should be greater than 0",
            "without it tolerance is 1.8",
            id="limit",
        ),
        pytest.param(
            NOTED_ROW,
            "rule_sets.electricity.rules.0.replaces",
            "what spike finds is only noted, so replaces = true means nothing",
            "leave it out",
            id="what means nothing",
        ),
        pytest.param(
            'rules = []\nmethods = [{ name = "linear", hours = 2 }]',
            "rule_sets.electricity.methods.0.hours",
            "the method linear has no parameter 'hours'",
            "it takes max_minutes, flat",
            id="parameter",
        ),
    ],
)
def test_a_wrong_rule_set_is_told_with_where_and_how_to_mend_it(
    tmp_path: Path, rules: str, where: str, what: str, mend: str
) -> None:
    [problem] = checked(tmp_path, SET + rules).problems
    assert (problem.where, problem.what) == (where, what)
    assert mend in problem.mend


def test_a_right_one_is_told_of_by_nothing(tmp_path: Path) -> None:
    assert checked(tmp_path, f'{SET}rules = [{{ name = "spike", tolerance = 2.5 }}]').problems == []


class TestStoredRuleSets:
    @pytest.fixture
    def database(self, database_url: str) -> Database:
        opened = Database(database_url)
        seed_rule_sets(opened)
        return opened

    def report(self, database: Database, folder: Path, text: str = "") -> Report:
        return checked(folder, text, MDUS_DATABASE__URL=database.url.render_as_string(hide_password=False))

    def test_that_are_as_configured_are_no_news(self, database: Database, tmp_path: Path) -> None:
        assert not [note for note in self.report(database, tmp_path).notes if "rule set" in note]

    def test_count_whatever_the_configuration_says(self, database: Database, tmp_path: Path) -> None:
        report = self.report(database, tmp_path, f"{SET}rules = []")
        [note] = [note for note in report.notes if "rule set" in note]
        assert "version 1 of the database counts" in note
        assert "PUT /api/v1/rule-sets/electricity" in note
        assert report.problems == []

    def test_that_name_what_is_not_there_are_problems(self, database: Database, tmp_path: Path) -> None:
        put(database, {"rules": [{"name": "gone"}]}, version=2)
        [problem] = self.report(database, tmp_path).problems
        assert problem.where == "rule set electricity@2 of the database, rules.0.name"
        assert "PUT /api/v1/rule-sets/electricity with valid_from 2026-03-01" in problem.mend

    def test_that_state_what_means_nothing_are_a_note(self, database: Database, tmp_path: Path) -> None:
        put(database, NOTED, version=2)
        report = self.report(database, tmp_path)
        [note] = [note for note in report.notes if "means nothing" in note]
        assert note.startswith("rule set electricity@2 of the database, rules.0.replaces: what spike finds is only")
        assert note.endswith("PUT /api/v1/rule-sets/electricity changes it")
        assert report.problems == []

    def test_of_known_names_may_be_configured_with_what_means_nothing(self, database: Database, tmp_path: Path) -> None:
        report = self.report(database, tmp_path, SET + NOTED_ROW)
        [note] = [note for note in report.notes if "means nothing" in note]
        assert note.startswith("rule_sets.electricity.rules.0.replaces: what spike finds is only noted")
        assert report.problems == []

    def test_of_other_names_may_not(self, database: Database, tmp_path: Path) -> None:
        report = self.report(database, tmp_path, SET.replace("electricity", "power") + NOTED_ROW)
        assert [problem.where for problem in report.problems] == ["rule_sets.power.rules.0.replaces"]
        assert not [note for note in report.notes if "means nothing" in note]


class TestStarting:
    def environ(self, url: str, folder: Path, name: str) -> dict[str, str]:
        (folder / "own.toml").write_text(SET.replace("electricity", name) + NOTED_ROW)
        return {"MDUS_CONFIG": str(folder), "MDUS_DATABASE__URL": url}

    def test_goes_on_with_a_set_that_was_stored_before(self, database_url: str, tmp_path: Path) -> None:
        database = Database(database_url)
        seed_rule_sets(database)
        put(database, NOTED, version=2)
        database.close()
        parts = compose(self.environ(database_url, tmp_path, "electricity"))
        prepare(parts.runtime.database, simulated_clock=False)
        with parts.runtime.database.read() as uow:
            newest = rule_set.versions(uow.connection, "electricity")[-1]
        parts.close()
        assert parts.runtime.tools.rule_set(newest.row).steps[0].replaces

    def test_refuses_to_store_it_anew(self, database_url: str, tmp_path: Path) -> None:
        parts = compose(self.environ(database_url, tmp_path, "power"))
        with pytest.raises(CannotStart) as error:
            prepare(parts.runtime.database, simulated_clock=False)
        with parts.runtime.database.read() as uow:
            stored = rule_set.versions(uow.connection)
        parts.close()
        assert [problem.where for problem in error.value.problems] == ["rule_sets.power.rules.0.replaces"]
        assert stored == []


def test_an_empty_database_would_take_what_is_configured(empty_database_url: str, tmp_path: Path) -> None:
    report = checked(tmp_path, SET + NOTED_ROW, MDUS_DATABASE__URL=empty_database_url)
    assert [problem.where for problem in report.problems] == ["rule_sets.electricity.rules.0.replaces"]


def test_a_migration_seeds_what_is_configured(empty_database_url: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(SET.replace("electricity", "power"))
    environ = {"MDUS_CONFIG": str(tmp_path), "MDUS_DATABASE__URL": empty_database_url}
    rows = load_settings(environ).rows("rule_sets", RuleSetRow)
    assert "power" in {row.name for row in rows}
    for _ in range(2):
        migrate_named(environ)
        database = Database(empty_database_url)
        with database.read() as uow:
            names = [each.title for each in rule_set.versions(uow.connection)]
        database.close()
        assert names == [f"{row.name}@1" for row in sorted(rows, key=lambda row: row.name)]
