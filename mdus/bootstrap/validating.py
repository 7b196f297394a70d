"""What staff do about validation from the command line: try rule sets, ask why values are what they are, edit them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from mdus.bootstrap.composition import compose
from mdus.bootstrap.database import refuse_other_schema, state_of
from mdus.bootstrap.errors import CannotStart
from mdus.bootstrap.operating import clock_of
from mdus.endpoints.interval_edits import Action, Order, Outcome, carry_out, channel_of
from mdus.settings import Problem
from mdus.storage.audit import Deed
from mdus.storage.interval_history import known_of
from mdus.storage.session import Database
from mdus.vee.comparing import Comparison, Progress, Tried
from mdus.vee.editing import EditRefused
from mdus.vee.explanation import Explanation, explained
from mdus.vee.rule_set import RuleSetRow, Tools

_DESCRIBED: Final = "GET /api/v1/vee/rules and /vee/methods describe what there is"


def preview(
    environ: Mapping[str, str], name: str, file: Path, tried: Tried, *, progress: Progress = lambda *_: None
) -> Comparison:
    """Try the rule set of a file on past days; raises CannotStart with all that is wrong with it."""
    parts = compose(environ, simulated_clock=True)
    runtime = parts.runtime
    try:
        refuse_other_schema(state_of(runtime.database), runtime.settings)
        row = _row_of(file, name, parts.found.tools)
        assert runtime.preview is not None  # noqa: S101 - the composition root gives it
        return runtime.preview(row, tried, now=runtime.clock.now(), progress=progress)
    finally:
        parts.close()


def explain(database: Database, name: str, day: date, *, reading_type: str | None, system: str | None) -> Explanation:
    """Return why the values of a channel's day are what they are; raises CannotStart where there is no such channel."""
    with database.read() as uow:
        try:
            channel_id, channel = channel_of(uow, name, reading_type, systems=None if system is None else (system,))
        except EditRefused as error:
            raise _refused(error) from error
        return explained(known_of(uow, channel_id, channel, day))


def edit(
    database: Database,
    name: str,
    day: date,
    action: Action,
    deed: Deed,
    *,
    reading_type: str | None,
    system: str | None,
    intervals: tuple[int, int] | None,
    values: Sequence[Decimal | None] = (),
    seen: int | None = None,
) -> Outcome:
    """Edit the final values of a channel's day, or of the intervals from one to another, both included.

    Raises CannotStart with why it cannot be done.
    """
    now = clock_of(database).now()
    try:
        with database.begin() as uow:
            _, channel = channel_of(uow, name, reading_type, systems=None if system is None else (system,))
            grid = channel.day(day)
            first, last = intervals or (0, grid.count - 1)
            order = Order(
                sender_system=channel.sender_system,
                device_id=channel.device_id,
                reading_type=channel.reading_type,
                action=action,
                day=day,
                start=grid.starts_at(first),
                end=grid.ends_at(last),
                values=values,
                seen=seen,
            )
            return carry_out(uow, order, deed, now=now)
    except EditRefused as error:
        raise _refused(error) from error


def _row_of(file: Path, name: str, tools: Tools) -> RuleSetRow:
    """Return the rule set of a file: the row of its table `rule_sets` with that name, or what the file says itself."""
    try:
        content: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CannotStart.because(f"{file} cannot be read: {error}", where="--file", mend="name a TOML file") from error
    if "rule_sets" in content:
        rows = {str(each.get("name")): each for each in content["rule_sets"]}
        if name not in rows:
            raise CannotStart.because(
                f"{file} has no rule set {name!r}", where="rule_sets", mend=f"name one of {', '.join(rows)}"
            )
        content = rows[name]
    try:
        row = RuleSetRow.model_validate({**content, "name": name})
    except ValidationError as error:
        raise CannotStart(
            [
                Problem(what=each["msg"], where=f"{file}: {'.'.join(map(str, each['loc']))}", mend=_DESCRIBED)
                for each in error.errors()
            ]
        ) from error
    misfits = list(tools.problems(row))
    if misfits:
        raise CannotStart([Problem(what=each.what, where=f"{file}: {each.at}", mend=each.mend) for each in misfits])
    return row


def _refused(error: EditRefused) -> CannotStart:
    return CannotStart.because(
        str(error), where="the channel's day", mend="look at it: mdus vee explain DEVICE DAY, then try again"
    )
