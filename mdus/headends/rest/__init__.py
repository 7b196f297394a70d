"""A modern head end: a JSON API that takes jobs in batches and pushes their results (docs/head_ends/rest.md)."""

from mdus.headends.rest.adapter import HEAD_END

__all__ = ["HEAD_END"]
