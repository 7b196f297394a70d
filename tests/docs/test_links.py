"""Links between the pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    local = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


class TestTheIndex:
    def test_names_every_page_but_the_decisions(self) -> None:
        index = PROJECT / "docs" / "README.md"
        named = {(index.parent / target).resolve() for target in re.findall(r"\]\(([^)#\s]+)", index.read_text())}
        pages = {page for page in PAGES if "decisions" not in page.parts and page != index}
        assert pages - named == set()


class TestTheDecisions:
    def test_have_a_number_of_their_own_each(self) -> None:
        numbers = [page.name[:4] for page in PAGES if page.parent.name == "decisions"]
        assert len(numbers) == len(set(numbers))
        assert all(number.isdecimal() for number in numbers)

    def test_that_the_code_names_are_there(self) -> None:
        records = {page.name[:4] for page in PAGES if page.parent.name == "decisions"}
        sources = [*(PROJECT / "mdus").rglob("*.py"), *(PROJECT / "config").glob("*.toml")]
        named = {
            number for file in sources for number in re.findall(r"docs/decisions/(\d{4})", file.read_text("utf-8"))
        }
        assert named <= records
