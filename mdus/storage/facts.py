"""Exception cases."""

from __future__ import annotations

from mdus.domain.exception_case import ExceptionCase
from mdus.storage.mapping import ValueTable

EXCEPTION_CASE = ValueTable(ExceptionCase, "exception_case", indexes=[("closed_at",), ("kind", "id")])
