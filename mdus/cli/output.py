"""What the commands print: results to standard output, problems and progress to standard error.

With `--json` a result is one JSON document, and nothing else is on standard output.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import date
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mdus.settings import Problem, SettingsError

_FAILED = 1

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]


def print_out(text: object) -> None:
    """Print a text (with rich's markup) or a table to standard output."""
    Console(soft_wrap=isinstance(text, str)).print(text)


def print_json(document: object) -> None:
    """Print a JSON document to standard output.

    Values and rows of a query become objects, instants and dates ISO 8601, what else JSON does not know its text.
    """
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False, default=_plain))


def print_result(document: Mapping[str, object], told: str, *, as_json: bool) -> None:
    """Print what a command did: as a JSON document, or as a sentence (with rich's markup)."""
    if as_json:
        print_json(document)
    else:
        print_out(told)


def note(text: str) -> None:
    """Print a note beside the result to standard error."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(escape(text))


def print_problems(problems: Sequence[Problem]) -> None:
    """Print each problem with its place and its remedy to standard error."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for problem in problems:
        console.print(f"[red]✗[/red] {escape(problem.what)}")
        console.print(f"    where: {escape(problem.where)}")
        console.print(f"    mend:  {escape(problem.mend)}")


@contextmanager
def explained() -> Iterator[None]:
    """Print what a command cannot do, and how to mend it, instead of a traceback; then exit with 1."""
    try:
        yield
    except SettingsError as error:
        print_problems(error.problems)
        sys.exit(_FAILED)
    except Exception as error:
        # Imported only now: most commands that fail have these loaded already, and the others start faster.
        from sqlalchemy.exc import DBAPIError

        from mdus.bootstrap.errors import CannotStart

        if isinstance(error, CannotStart):
            print_problems(error.problems)
        elif isinstance(error, DBAPIError):
            what = str(error.orig).strip().partition("\n")[0]
            where, mend = "the database, in the middle of the work", "see what is wrong with it, then try again"
            print_problems([Problem(what=what, where=where, mend=mend)])
        else:
            raise
        sys.exit(_FAILED)


class Bar:
    """A bar on standard error for each stage of long work; nothing where that is no terminal."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, stage: str, done: int, total: int | None) -> None:
        """Show how far a stage is; without a total the bar only moves."""
        task = self._tasks.get(stage)
        if task is None:
            task = self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(task, completed=done, total=total)


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, date):
        return value.isoformat()
    row = getattr(value, "_mapping", None)
    return str(value) if row is None else dict(row)
