"""What the commands print: results to standard output, problems to standard error, each with how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from mdus.settings import Problem, SettingsError

_FAILED = 1


def print_out(text: object) -> None:
    """Print a text (with rich's markup) or a table to standard output."""
    Console(soft_wrap=isinstance(text, str)).print(text)


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
