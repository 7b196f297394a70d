"""A head end that only delivers: interval values and register readings as files (docs/head_ends/file_drop.md)."""

from mdus.headends.file_drop.adapter import HEAD_END
from mdus.headends.file_drop.tables import TABLES

__all__ = ["HEAD_END", "TABLES"]
