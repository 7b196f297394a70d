"""A head end that only delivers: interval values and register readings as files (docs/head_ends/files.md)."""

from mdus.headends.files.adapter import HEAD_END
from mdus.headends.files.tables import TABLES

__all__ = ["HEAD_END", "TABLES"]
