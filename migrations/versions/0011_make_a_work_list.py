"""make a work list of exception cases: whose each is, what it is about, groups of one cause, rules that are versions

Revision: 0011
Follows: 0010
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

from mdus.storage.column_types import UtcInstant

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_CASE: Final = "exception_case"
_TEXTS: Final = (
    "assignee",
    "team",
    "severity",
    "rule",
    "age_class",
    "sender_system",
    "device_id",
    "point_of_delivery_id",
    "head_end",
    "area",
    "commodity",
    "reading_reason",
)
_INSTANTS: Final = ("due_at", "routed_at", "escalated_at", "paused_at")
_OPEN: Final = "closed_at IS NULL"
_CLOSED: Final = "closed_at IS NOT NULL"
_INDEXES: Final = (
    ("exception_case_listed", ("kind", "id"), f"{_OPEN} AND group_id IS NULL"),
    ("exception_case_unrouted", ("id",), f"{_OPEN} AND routed_at IS NULL"),
    ("exception_case_due", ("due_at",), f"{_OPEN} AND group_id IS NULL"),
    ("exception_case_members", ("group_id",), "group_id IS NOT NULL"),
    ("exception_case_ended", ("closed_at",), _CLOSED),
    ("exception_case_device", ("sender_system", "device_id", "id"), "device_id IS NOT NULL"),
)


def upgrade() -> None:
    op.add_column(_CASE, sa.Column("state", sa.Text(), nullable=False, server_default="open"))
    for name in _TEXTS:
        op.add_column(_CASE, sa.Column(name, sa.Text()))
    for name in _INSTANTS:
        op.add_column(_CASE, sa.Column(name, UtcInstant()))
    for name in ("rules_version", "group_id"):
        op.add_column(_CASE, sa.Column(name, sa.BigInteger()))
    op.add_column(_CASE, sa.Column("member_count", sa.Integer()))
    for name, columns, where in _INDEXES:
        _index(name, columns, where)
    identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "exception_history",
        sa.Column("id", identity, primary_key=True, autoincrement=True),
        sa.Column("case_id", sa.BigInteger(), nullable=False),
        sa.Column("at", UtcInstant(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_index("exception_history_case_id", "exception_history", ["case_id", "id"])
    op.create_table(
        "exception_rule_set",
        sa.Column("id", identity, primary_key=True, autoincrement=True),
        sa.Column("valid_from", UtcInstant(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("made_at", UtcInstant(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_index("exception_rule_set_valid_from", "exception_rule_set", ["valid_from", "id"])
    op.create_table(
        "exception_storm",
        sa.Column("id", identity, primary_key=True, autoincrement=True),
        sa.Column("head_end", sa.Text(), nullable=False),
        sa.Column("area", sa.Text()),
        sa.Column("started_at", UtcInstant(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("meters", sa.Integer(), nullable=False),
        sa.Column("affected", sa.Integer(), nullable=False),
        sa.Column("most_affected", sa.Integer(), nullable=False),
        sa.Column("case_id", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", UtcInstant()),
        sa.Column("ended_by", sa.Text()),
        sa.Column("end_reason", sa.Text()),
    )
    is_open = sa.text("ended_at IS NULL")
    op.create_index("exception_storm_open", "exception_storm", ["id"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_table(
        "kpi_day",
        sa.Column("id", identity, primary_key=True, autoincrement=True),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.UniqueConstraint("day", "name", "labels", name="kpi_day_key"),
    )
    op.create_index("kpi_day_name", "kpi_day", ["name", "day"])


def downgrade() -> None:
    op.drop_table("kpi_day")
    op.drop_table("exception_storm")
    op.drop_table("exception_rule_set")
    op.drop_table("exception_history")
    for name, _, _ in reversed(_INDEXES):
        op.drop_index(name, table_name=_CASE)
    with op.batch_alter_table(_CASE) as table:
        for name in ("member_count", "group_id", "rules_version", *_INSTANTS, *_TEXTS, "state"):
            table.drop_column(name)


def _index(name: str, columns: tuple[str, ...], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, _CASE, list(columns), sqlite_where=condition, postgresql_where=condition)
