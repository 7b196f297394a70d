"""The folder of services stays readable: every file is one service, none is long, all of them fit a day's reading."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import mdus.services

FILES = sorted(Path(mdus.services.__file__).parent.rglob("*.py"))
SERVICES = [file for file in FILES if not file.name.startswith("_")]

MOST_LINES = 4000
MOST_LINES_OF_A_FILE = 500


def lines(file: Path) -> int:
    return len(file.read_text().splitlines())


class TestTheFolder:
    def test_stays_below_four_thousand_lines(self) -> None:
        assert sum(map(lines, FILES)) < MOST_LINES

    def test_has_a_file_for_each_service(self) -> None:
        assert len(SERVICES) >= 18


class TestAFile:
    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
    def test_is_no_longer_than_five_hundred_lines(self, file: Path) -> None:
        assert lines(file) <= MOST_LINES_OF_A_FILE

    @pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.name)
    def test_exposes_its_service(self, file: Path) -> None:
        module = importlib.import_module(f"mdus.services.{file.stem}")
        assert module.SERVICE.name
