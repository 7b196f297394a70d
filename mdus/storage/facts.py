"""Domain events and exception cases."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text, UniqueConstraint

from mdus.domain.domain_event import DomainEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.storage.column_types import UtcInstant
from mdus.storage.mapping import METADATA, Identity64, ValueTable

DOMAIN_EVENT = ValueTable(DomainEvent, "domain_event", keep=True, indexes=[("type", "at")])
EXCEPTION_CASE = ValueTable(ExceptionCase, "exception_case", indexes=[("closed_at",)])

#: Which service has consumed which event: each once.
EVENT_CONSUMED = Table(
    "domain_event_consumed",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False),
    Column("service", Text, nullable=False),
    Column("at", UtcInstant, nullable=False),
    UniqueConstraint("event_id", "service", name="domain_event_consumed_key"),
)
