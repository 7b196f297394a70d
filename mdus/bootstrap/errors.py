"""Why a process does not start, told as the settings' problems are: what, where, and how to mend it."""

from __future__ import annotations

from collections.abc import Sequence

from mdus.settings import Problem


class CannotStart(Exception):
    """A process cannot start; `problems` has all that stands in its way."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def because(cls, what: str, *, where: str, mend: str) -> CannotStart:
        """Return the error for one problem."""
        return cls([Problem(what=what, where=where, mend=mend)])
