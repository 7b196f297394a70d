"""Rule sets of the database: which version counts on a day, read once for as long as nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import pytest
from sqlalchemy import event
from sqlalchemy.exc import IntegrityError

from mdus.bootstrap.database import seed_rule_sets
from mdus.bootstrap.discovery import discover
from mdus.storage import rule_set
from mdus.storage.audit import Deed
from mdus.storage.rule_set import ALWAYS, in_force
from mdus.storage.session import Database
from mdus.vee.rule_set import NO_RULES, RuleSetRow, Tools
from mdus.workers.rule_sets import stored

AT: Final = datetime(2026, 3, 1, tzinfo=UTC)
DAY: Final = date(2026, 3, 28)
BEFORE: Final = DAY - timedelta(days=1)
DEED: Final = Deed(who="a clerk", reason="a test")
ENERGY: Final = "1-0:1.29.0*255"


def row(name: str = "electricity", *patterns: str, rules: tuple[dict[str, Any], ...] = ()) -> RuleSetRow:
    return RuleSetRow.model_validate({"name": name, "reading_types": patterns or ("1-*",), "rules": rules})


def configured(database: Database) -> dict[str, RuleSetRow]:
    """Return the rule sets of the configuration."""
    return {each.name: each for each in database.settings.rows("rule_sets", RuleSetRow)}


@pytest.fixture(scope="module")
def tools() -> Tools:
    return discover().tools


def write(database: Database, wanted: RuleSetRow, *, version: int, valid_from: date) -> rule_set.RuleSetVersion:
    with database.begin() as uow:
        return rule_set.add_version(uow.connection, wanted, DEED, version=version, valid_from=valid_from, now=AT)


def title(database: Database, found: Any, day: date, reading_type: str = ENERGY) -> str:
    with database.read() as uow:
        return str(found(uow)(reading_type, day).title)


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """Collect the statements that are executed meanwhile."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


class TestSeed:
    def test_gives_names_that_are_not_known_their_first_version(self, database: Database) -> None:
        seed_rule_sets(database)
        with database.read() as uow:
            versions = rule_set.versions(uow.connection)
        assert {each.name: each.row for each in versions} == configured(database)
        assert {(each.version, each.valid_from, each.written_by) for each in versions} == {(1, ALWAYS, "config")}

    def test_changes_nothing_that_is_known(self, database: Database) -> None:
        seed_rule_sets(database)
        with database.begin() as uow:
            assert rule_set.seed(uow.connection, [row("electricity", "2-*"), row("steam", "9-*")], now=AT) == ["steam"]
            versions = rule_set.versions(uow.connection)
        assert {each.version for each in versions} == {1}
        assert {each.name: each.row for each in versions} == {**configured(database), "steam": row("steam", "9-*")}


class TestInForce:
    def test_is_the_version_that_began_last(self, database: Database) -> None:
        write(database, row(), version=1, valid_from=ALWAYS)
        write(database, row(), version=2, valid_from=DAY)
        write(database, row(), version=3, valid_from=BEFORE)  # put later for an earlier day
        with database.read() as uow:
            versions = rule_set.versions(uow.connection)
        days = (BEFORE - timedelta(days=1), BEFORE, DAY)
        assert [in_force(versions, day)["electricity"].version for day in days] == [1, 3, 2]

    def test_is_the_newest_of_those_that_begin_together(self, database: Database) -> None:
        write(database, row(), version=1, valid_from=DAY)
        write(database, row(), version=2, valid_from=DAY)
        with database.read() as uow:
            versions = rule_set.versions(uow.connection)
        assert in_force(versions, DAY)["electricity"].version == 2
        assert in_force(versions, BEFORE) == {}

    def test_is_never_one_that_was_retired(self, database: Database) -> None:
        write(database, row(), version=1, valid_from=ALWAYS)
        second = write(database, row(), version=2, valid_from=DAY)
        with database.begin() as uow:
            rule_set.retire(uow.connection, second)
            versions = rule_set.versions(uow.connection)
        assert in_force(versions, DAY)["electricity"].version == 1

    def test_has_each_number_once(self, database: Database) -> None:
        write(database, row(), version=1, valid_from=ALWAYS)
        with pytest.raises(IntegrityError):
            write(database, row(), version=1, valid_from=DAY)


class TestStored:
    def test_finds_the_set_that_fits_best_on_the_day(self, database: Database, tools: Tools) -> None:
        write(database, row(), version=1, valid_from=ALWAYS)
        write(database, row("profile", "1-0:1.29*"), version=1, valid_from=DAY)
        found = stored(tools)
        assert title(database, found, BEFORE) == "electricity@1"
        assert title(database, found, DAY) == "profile@1"
        assert title(database, found, DAY, "1-0:2.29.0*255") == "electricity@1"
        assert title(database, found, DAY, "7-0:3.0.0*255") == NO_RULES.title

    def test_reads_once_for_many_days_and_turns(self, database: Database, tools: Tools) -> None:
        seed_rule_sets(database)
        found = stored(tools)
        with counted(database) as statements, database.read() as uow:
            sets = found(uow)
            for number in range(20_000):
                sets(ENERGY, DAY - timedelta(days=number % 400))
        assert len([each for each in statements if "rule_set" in each]) == 2
        with counted(database) as statements, database.read() as uow:
            found(uow)(ENERGY, DAY)
        assert len([each for each in statements if "rule_set" in each]) == 1

    def test_sees_what_has_changed_since(self, database: Database, tools: Tools) -> None:
        write(database, row(), version=1, valid_from=ALWAYS)
        found = stored(tools)
        assert title(database, found, DAY) == "electricity@1"
        second = write(database, row(), version=2, valid_from=DAY)
        assert title(database, found, DAY) == "electricity@2"
        with database.begin() as uow:
            rule_set.retire(uow.connection, second)
        assert title(database, found, DAY) == "electricity@1"

    def test_fails_only_for_what_a_set_with_unknown_rules_fits(self, database: Database, tools: Tools) -> None:
        write(database, row(), version=1, valid_from=ALWAYS)
        write(database, row("gas", "7-*", rules=({"name": "gone"},)), version=1, valid_from=ALWAYS)
        found = stored(tools)
        assert title(database, found, DAY) == "electricity@1"
        with pytest.raises(ValueError, match="there is no rule 'gone'"):
            title(database, found, DAY, "7-0:3.0.0*255")
