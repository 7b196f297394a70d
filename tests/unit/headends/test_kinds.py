"""What every kind says of itself fits what its adapter does."""

from __future__ import annotations

from pathlib import Path
from typing import get_type_hints

import pytest

from mdus.bootstrap.discovery import discover
from mdus.domain.head_end import HeadEndKind, SilentHeadEnd

KINDS = discover().kinds
PROJECT = Path(__file__).parents[3]


def overrides(kind: HeadEndKind, name: str) -> bool:
    """Tell whether the adapter of a kind has an answer of its own."""
    adapter = get_type_hints(kind.connect)["return"]
    return getattr(adapter, name) is not getattr(SilentHeadEnd, name)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
class TestAKind:
    def test_that_keeps_records_can_be_asked_for_them(self, kind: HeadEndKind) -> None:
        # Otherwise the nightly comparison would find every device missing.
        assert (kind.answers and kind.keeps_records) == overrides(kind, "meters")

    def test_that_listens_says_what_arrives(self, kind: HeadEndKind) -> None:
        assert kind.listens == overrides(kind, "arrivals")

    def test_has_its_page_and_its_simulator(self, kind: HeadEndKind) -> None:
        assert (PROJECT / "docs" / "head_ends" / f"{kind.name}.md").is_file()
        assert (PROJECT / "simulators" / f"headend_{kind.name}" / "__init__.py").is_file()
