"""Sets of routing rules, one row per version; of those in force at an instant the newest counts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Column, Connection, Index, Table, Text, insert, select

from mdus.domain.exception_routing import RoutingRule, RuleSet
from mdus.settings import Settings
from mdus.storage.audit import Deed, note_deed
from mdus.storage.column_types import UtcInstant
from mdus.storage.mapping import METADATA, AnyRow, Identity64

#: The table of config/ whose rows count until there is a set.
TABLE: Final = "exception_routing"
_ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)

EXCEPTION_RULE_SET = Table(
    "exception_rule_set",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),  # the version
    Column("valid_from", UtcInstant, nullable=False),  # business instant
    Column("rules", Text, nullable=False),  # JSON: the rules in their order
    Column("made_at", UtcInstant, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("exception_rule_set_valid_from", "valid_from", "id"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A set of rules; version 0 is that of the configuration."""

    version: int
    valid_from: datetime
    rules: RuleSet
    made_at: datetime
    made_by: str
    reason: str


def configured(settings: Settings) -> Version:
    """Return the rules that count before anybody has changed them."""
    rules = RuleSet(rules=settings.rows(TABLE, RoutingRule))
    return Version(
        version=0,
        valid_from=_ALWAYS,
        rules=rules,
        made_at=_ALWAYS,
        made_by="config",
        reason="as configured in exception_routing.toml",
    )


def rules_at(connection: Connection, settings: Settings, at: datetime) -> Version:
    """Return the rules in force at an instant: of the sets that begin by then the one with the latest beginning."""
    table = EXCEPTION_RULE_SET
    query = select(table).where(table.c.valid_from <= at).order_by(table.c.valid_from.desc(), table.c.id.desc())
    row = connection.execute(query.limit(1)).first()
    return configured(settings) if row is None else _version(row)


def versions(connection: Connection, settings: Settings, *, limit: int) -> Sequence[Version]:
    """Return the sets there are, the newest first; the last is that of the configuration."""
    table = EXCEPTION_RULE_SET
    rows = connection.execute(select(table).order_by(table.c.id.desc()).limit(limit)).all()
    return [*map(_version, rows), configured(settings)]


def put_in_force(connection: Connection, rules: RuleSet, deed: Deed, *, valid_from: datetime, now: datetime) -> Version:
    """Store a new version that counts from an instant on, and who made it."""
    content = json.dumps([rule.model_dump(mode="json", exclude_none=True) for rule in rules.rules], ensure_ascii=False)
    values = {"valid_from": valid_from, "rules": content, "made_at": now, "made_by": deed.who, "reason": deed.reason}
    made = insert(EXCEPTION_RULE_SET).values(**values).returning(EXCEPTION_RULE_SET)
    version = _version(connection.execute(made).one())
    target = f"version {version.version} from {valid_from:%Y-%m-%d %H:%M} UTC"
    note_deed(connection, deed, action="exception rules", target=target, count=len(rules.rules), at=now)
    return version


def _version(row: AnyRow) -> Version:
    return Version(
        version=row.id,
        valid_from=row.valid_from,
        rules=RuleSet.model_validate({"rules": json.loads(row.rules)}),
        made_at=row.made_at,
        made_by=row.made_by,
        reason=row.reason,
    )
