"""Whether the database can be worked with: it answers, has the schema that is needed, and goes by the clock meant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from mdus.bootstrap.errors import CannotStart
from mdus.settings import Problem, Settings, load_settings
from mdus.settings.shapes import masked
from mdus.storage import rule_set
from mdus.storage.activity import missing_migrations
from mdus.storage.job import simulated_time
from mdus.storage.schema import SchemaState, schema_state
from mdus.storage.session import Database, StoredClock, migrate
from mdus.vee.rule_set import RuleSetRow, meaningless

_WHERE = "database.url (MDUS_DATABASE__URL)"


def state_of(database: Database) -> SchemaState:
    """Return the state of the database's schema; raises CannotStart when it does not answer."""
    try:
        with database.read() as uow:
            return schema_state(uow.connection)
    except SQLAlchemyError as error:
        why = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise CannotStart.because(
            f"the database does not answer: {why}",
            where=f"{_WHERE} = {masked(str(database.settings.database.url))}",
            mend="start it, or correct the URL",
        ) from error


def prepare(database: Database, *, simulated_clock: bool) -> None:
    """Bring a fresh SQLite file to the newest schema; raises CannotStart unless the database can be worked with."""
    state = state_of(database)
    if state is SchemaState.EMPTY and database.is_sqlite:
        migrate(database.settings.database.url)
        state = SchemaState.CURRENT
    refuse_other_schema(state, database.settings)
    with database.read() as uow:
        simulated = simulated_time(uow.connection) is not None
    if simulated and not simulated_clock:
        raise CannotStart.because(
            "the database belongs to a landscape with a simulated clock",
            where=_WHERE,
            mend="name another database, or start with --simulated-clock to go on with the simulation",
        )
    seed_rule_sets(database)


def seed_rule_sets(database: Database) -> None:
    """Store the rule sets of the configuration whose names the database does not know; it keeps those it knows.

    Raises CannotStart where one of them states what means nothing.
    """
    rows = database.settings.rows("rule_sets", RuleSetRow)
    with database.read() as uow:
        known = {each.name for each in rule_set.versions(uow.connection)}
    problems = list(seed_problems(database.settings, known))
    if problems:
        raise CannotStart(problems)
    fresh = [row for row in rows if row.name not in known]
    if fresh:
        now = StoredClock(database, simulated=True).now()
        with database.begin() as uow:
            rule_set.seed(uow.connection, fresh, now=now)


def seed_problems(settings: Settings, known: Collection[str]) -> Iterator[Problem]:
    """Yield why rule sets of the configuration are not stored, of those whose names the database does not know."""
    for row in settings.rows("rule_sets", RuleSetRow):
        if row.name not in known:
            for misfit in meaningless(row):
                yield Problem(what=misfit.what, where=f"rule_sets.{row.name}.{misfit.at}", mend=misfit.mend)


def refuse_other_schema(state: SchemaState, settings: Settings) -> None:
    """Raise CannotStart unless the schema is the one this version needs."""
    where = f"{_WHERE} = {masked(str(settings.database.url))}"
    match state:
        case SchemaState.CURRENT:
            return
        case SchemaState.EMPTY:
            raise CannotStart.because("the database has no tables yet", where=where, mend="run mdus migrate")
        case SchemaState.OLDER:
            raise CannotStart.because(
                "the database was made by an older version of MDUS", where=where, mend="run mdus migrate"
            )
        case SchemaState.NEWER:
            raise CannotStart.because(
                "the database was migrated by a newer version of MDUS",
                where=where,
                mend="install that version again; a schema is never taken back",
            )
        case SchemaState.FOREIGN:
            raise CannotStart.because(
                "the database has tables that are not MDUS's", where=where, mend="name a database of its own"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Migrated:
    """What a migration did: to which database, what state it was in, and the revisions it applied."""

    database: str
    was: SchemaState
    applied: tuple[str, ...]

    def __str__(self) -> str:
        name, was = self.database, self.was
        return f"{name} is up to date" if was is SchemaState.CURRENT else f"{name} was {was}, and is up to date now"


def migrate_named(environ: Mapping[str, str], *, progress: Callable[[int, int], None] = lambda *_: None) -> Migrated:
    """Migrate the database the settings name; returns what was done. Raises CannotStart or SettingsError.

    `progress` is told how many of how many migrations are applied.
    """
    settings = load_settings(environ, tables={"rule_sets": RuleSetRow})
    database = Database(settings.database.url, settings=settings)
    try:
        before = state_of(database)
        if before in (SchemaState.NEWER, SchemaState.FOREIGN):
            refuse_other_schema(before, settings)
        with database.read() as uow:
            needed = missing_migrations(uow.connection)
        applied: list[str] = []

        def note(revision: str) -> None:
            applied.append(revision)
            progress(len(applied), len(needed))

        progress(0, len(needed))
        migrate(settings.database.url, applied=note)
        seed_rule_sets(database)
    finally:
        database.close()
    return Migrated(database=masked(str(settings.database.url)), was=before, applied=tuple(applied))
