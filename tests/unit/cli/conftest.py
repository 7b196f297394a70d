"""Commands run in this process, on a database of the test's."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from mdus.cli import main
from mdus.storage.session import Database


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A migrated database that the commands find in their environment."""
    monkeypatch.setenv("MDUS_DATABASE__URL", database_url)
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def mdus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `mdus ...` in this process."""

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr("sys.argv", ["mdus", *arguments])
        capsys.readouterr()
        handlers = logging.getLogger().handlers[:]
        with pytest.raises(SystemExit) as ended:
            main()
        # A command sends the log lines to its standard error, which ends with the test.
        logging.getLogger().handlers = handlers
        printed = capsys.readouterr()
        return Ran(code=int(ended.value.code or 0), out=printed.out, err=printed.err)

    return run
