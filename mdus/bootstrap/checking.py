"""What `mdus check` looks at: the whole configuration at once, and, when asked, whether everything answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from mdus.bootstrap.composition import examine
from mdus.bootstrap.connecting import try_head_ends, try_saps
from mdus.bootstrap.database import refuse_other_schema, seed_problems, state_of
from mdus.bootstrap.errors import CannotStart
from mdus.bootstrap.type_ids import ToldType, told_types
from mdus.endpoints.authentication import UnprotectedListening, refuse_unprotected
from mdus.settings import Problem, Settings, Shown
from mdus.storage import rule_set
from mdus.storage.end_device_control import stop_reason
from mdus.storage.exception_case import open_cases
from mdus.storage.meter_reading_document import without_reading
from mdus.storage.rule_set import RuleSetVersion, content_of
from mdus.storage.schema import SchemaState
from mdus.storage.session import Database, UnitOfWork
from mdus.vee.rule_set import RuleSetRow, Tools, meaningless

#: Orders without a reading that are named; GET /api/v1/orders?status=failed has all.
_SHOWN = 5


@dataclass(kw_only=True, slots=True)
class Report:
    """What was found: problems to mend, notes worth knowing, open cases by kind, settings and TypeIDs as they are."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    open_cases: dict[str, int] | None = None
    shown: tuple[Shown, ...] = ()
    types: tuple[ToldType, ...] = ()


def check(environ: Mapping[str, str], *, connect: bool) -> Report:
    """Examine settings, services and head ends; with `connect` also try the database, SAP and every head end.

    Every problem is in the report; none is raised.
    """
    examined = examine(environ)
    report = Report(problems=list(examined.problems))
    settings = examined.settings
    if settings is None:
        return report
    report.shown = settings.shown()
    report.types = told_types(settings)
    report.notes.append(f"{len(examined.found.services)} services, {len(settings.head_ends)} head ends")
    try:
        refuse_unprotected(settings, host=settings.http.host)
    except UnprotectedListening as error:
        report.problems.append(Problem(what=str(error), where=error.where, mend=error.mend))
    if settings.cis.url is None and all(sender.url is None for sender in settings.senders):
        report.notes.append("nothing can be sent to SAP yet: MDUS_CIS__URL is not set")
    _look_into_database(settings, report, examined.found.tools, connect=connect)
    if connect:
        for tried in (*try_saps(settings), *try_head_ends(settings, examined.found)):
            report.notes += [tried.note] if tried.note is not None else []
            report.problems += [tried.problem] if tried.problem is not None else []
    return report


def _look_into_database(settings: Settings, report: Report, tools: Tools, *, connect: bool) -> None:
    """Count open cases; an absent or empty database is a problem only where connections are asked for."""
    database = Database(settings.database.url, settings=settings)
    file = database.url.database
    try:
        if database.is_sqlite and file and file != ":memory:" and not Path(file).exists():
            # Looking must not make the file.
            report.notes.append(f"{file} is not there yet: mdus serve makes it")
            report.problems += seed_problems(settings, ())
            return
        state = state_of(database)
        if state is SchemaState.EMPTY:
            report.problems += seed_problems(settings, ())
        refuse_other_schema(state, settings)
        with database.read() as uow:
            report.open_cases = open_cases(uow.connection)
            report.notes += _orders_without_reading(uow)
            if (reason := stop_reason(uow.connection)) is not None:
                report.notes.append(f"disconnections are stopped: {reason}")
            versions = rule_set.versions(uow.connection)
        report.notes += _rule_sets_that_differ(settings, versions)
        report.notes += _rule_sets_of_no_meaning(settings, versions)
        report.problems += seed_problems(settings, {each.name for each in versions})
        report.problems += _rule_sets_at_fault(tools, versions)
    except CannotStart as error:
        if connect:
            report.problems += error.problems
        else:
            report.notes.append(f"{error.problems[0].what}: open cases were not counted")
    except SQLAlchemyError as error:
        report.notes.append(f"open cases were not counted: {type(error).__name__}")
    finally:
        database.close()


def _rule_sets_that_differ(settings: Settings, versions: Sequence[RuleSetVersion]) -> Iterator[str]:
    """Yield rule sets that the configuration has otherwise than the database, where what it says changes nothing."""
    newest = {each.name: each for each in versions if not each.retired}
    for row in settings.rows("rule_sets", RuleSetRow):
        known = newest.get(row.name)
        if known is not None and known.content != content_of(row):
            yield (
                f"rule set {row.name}: version {known.version} of the database counts, config/vee.toml says otherwise"
                f" and changes nothing: PUT /api/v1/rule-sets/{row.name} changes it"
            )


def _rule_sets_of_no_meaning(settings: Settings, versions: Sequence[RuleSetVersion]) -> Iterator[str]:
    """Yield what means nothing in rule sets that are stored, and in those of the configuration that change nothing."""
    for each in versions:
        if each.retired:
            continue
        with suppress(ValidationError):  # one that cannot be read is told as a problem
            for misfit in meaningless(each.row):
                yield f"rule set {each.title} of the database, {misfit}: PUT /api/v1/rule-sets/{each.name} changes it"
    known = {each.name for each in versions}
    for row in settings.rows("rule_sets", RuleSetRow):
        if row.name in known:
            for misfit in meaningless(row):
                yield f"rule_sets.{row.name}.{misfit}"


def _rule_sets_at_fault(tools: Tools, versions: Sequence[RuleSetVersion]) -> Iterator[Problem]:
    """Yield what is wrong with stored rule sets: rules and limits that this release does not have."""
    for each in versions:
        if each.retired:
            continue
        where = f"rule set {each.title} of the database"
        mend = f"put a new version in its place: PUT /api/v1/rule-sets/{each.name} with valid_from {each.valid_from}"
        try:
            misfits = list(tools.unusable(each.row))
        except ValidationError as error:
            yield Problem(what=f"it cannot be read: {error.errors()[0]['msg']}", where=where, mend=mend)
            continue
        for misfit in misfits:
            yield Problem(what=misfit.what, where=f"{where}, {misfit.at}", mend=f"{misfit.mend}; {mend}")


def _orders_without_reading(uow: UnitOfWork) -> Iterator[str]:
    """Yield how many reading orders found no value, and why the newest did not."""
    count, newest = without_reading(uow.connection, limit=_SHOWN)
    if not count:
        return
    yield f"{count} reading orders found no reading, the newest:"
    for document in newest:
        yield f"  document {document.document_id} of device {document.device_id}: {document.note}"
