"""The lock: every dependency at one version, each file known by its hash, from no particular registry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]


def locked() -> dict[str, tuple[Requirement, list[str]]]:
    """Return the locked requirements by name, each with its hashes."""
    text = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        requirement = Requirement(re.sub(r"--hash=\S+", "", line).strip())
        found[canonicalize_name(requirement.name)] = (requirement, re.findall(r"--hash=sha256:([0-9a-f]{64})\b", line))
    return found


def declared() -> list[Requirement]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for group in project["optional-dependencies"].values() for text in group]
    return [Requirement(text) for text in [*project["dependencies"], *extras]]


class TestLock:
    def test_names_no_registry(self) -> None:
        text = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
        assert not re.search(r"://|--(extra-)?index-url|--trusted-host|--find-links", text)

    def test_knows_every_file_by_its_hash(self) -> None:
        assert [name for name, (_, hashes) in locked().items() if not hashes] == []

    def test_pins_one_version_of_each(self) -> None:
        wrong = [name for name, (found, _) in locked().items() if not re.fullmatch(r"==[^,*]+", str(found.specifier))]
        assert wrong == []

    def test_has_all_that_the_project_asks_for(self) -> None:
        pinned = locked()
        for wanted in declared():
            found, _ = pinned[canonicalize_name(wanted.name)]
            version = str(found.specifier).removeprefix("==")
            assert wanted.specifier.contains(version), f"{wanted} is locked at {version}: run make lock"
