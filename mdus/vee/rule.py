"""What a validation rule is: it looks at days of channels, changes nothing, and says what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from mdus.settings import Section
from mdus.vee.days import Days, Fact, Figures, Mask

#: A limit: a number as it is written, not below zero.
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
#: A limit that may be below zero too.
AnyAmount = Annotated[float, Field(allow_inf_nan=False)]


class Severity(StrEnum):
    """What follows when a rule finds something."""

    INFORMATIONAL = "informational"  # it is noted
    ISSUE = "issue"  # after all rules have looked the day becomes an exception
    TERMINATE = "terminate"  # no further rule looks at the day, and none of its values is fit to bill


class Parameters(Section):
    """The limits of a rule or method, with their defaults; a rule set may state others."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Finding:
    """What a rule found in c channel days of n intervals.

    `suspect` (c, n) are the values it holds responsible, `flagged` (c,) the days at fault; a rule about a whole day may
    hold no single value responsible. `judged` (c,) are the days it could judge at all: what it needs to know is not
    known of the others. `figure` and `limit` (c,) are what it measured and what it allows, for people.
    """

    suspect: Mask
    flagged: Mask
    judged: Mask
    figure: Figures
    limit: Figures

    @classmethod
    def of_intervals(
        cls, suspect: Mask, *, judged: Mask | None = None, figure: Any = None, limit: Any = None
    ) -> Finding:
        """Return a finding about single values; without a `figure` it is how many they are."""
        flagged: Mask = np.asarray(suspect.any(axis=1))
        return cls(
            suspect=suspect,
            flagged=flagged,
            judged=np.ones(len(suspect), dtype=np.bool_) if judged is None else judged,
            figure=_figures(suspect.sum(axis=1) if figure is None else figure, len(suspect)),
            limit=_figures(0 if limit is None else limit, len(suspect)),
        )

    @classmethod
    def of_days(cls, flagged: Mask, *, days: Days, judged: Mask | None = None, figure: Any, limit: Any) -> Finding:
        """Return a finding about whole days, whose single values may all be right."""
        return cls(
            suspect=np.zeros(days.values.shape, dtype=np.bool_),
            flagged=flagged,
            judged=np.ones(len(flagged), dtype=np.bool_) if judged is None else judged,
            figure=_figures(figure, len(flagged)),
            limit=_figures(limit, len(flagged)),
        )


def _figures(given: Any, count: int) -> Figures:
    return np.broadcast_to(np.asarray(given, dtype=np.float64), (count,))


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One validation rule, as its file exposes it.

    `number` is that of the table in docs/vee.md, `quality` the IEC 61968-9 code of a value that fails it, `words` what
    it found, with the places {figure} and {limit}. `check` gets days and parameters and must change neither. A
    rule that is `partial` judges each value by itself, and so also days whose values are still coming in.
    """

    name: str
    number: str
    quality: str
    words: str
    check: Callable[[Days, Any], Finding]
    parameters: type[Parameters] = Parameters
    needs: frozenset[Fact] = field(default_factory=frozenset)
    partial: bool = False
