"""Says in words, and keeps as JSON, what rules found in a day and what its estimates were made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from mdus.vee.days import Mask
from mdus.vee.pipeline import Result

_SEPARATORS: Final = (",", ":")


def basis_of(result: Result, place: int) -> str | None:
    """Return what is to be told of one day as JSON, None for a plain one.

    `found` are rules with what they found, at which intervals; `estimates` methods with which intervals, made from what
    and how sure (0 to 1); `withheld` says that more would have been estimated than the rule set allows.
    """
    found = list(_found(result, place))
    estimates = list(_estimates(result, place))
    told: dict[str, Any] = {"set": result.rule_set.title}
    if found:
        told["found"] = found
    if estimates:
        told["estimates"] = estimates
    if result.withheld[place]:
        told["withheld"] = True
    return json.dumps(told, separators=_SEPARATORS) if len(told) > 1 else None


def _found(result: Result, place: int) -> Iterator[dict[str, Any]]:
    for step, finding, looked in zip(result.rule_set.steps, result.findings, result.looked, strict=True):
        if finding is None or not looked[place] or not finding.flagged[place]:
            continue
        says = step.rule.words.format(figure=finding.figure[place], limit=finding.limit[place])
        entry: dict[str, Any] = {"rule": step.rule.name, "severity": step.severity.value, "says": says}
        if finding.suspect[place].any():
            entry["at"] = spans(finding.suspect[place])
        if step.replaces:
            entry["replaces"] = True
        yield entry


def _estimates(result: Result, place: int) -> Iterator[dict[str, Any]]:
    for filled in result.filled:
        if not filled.intervals[place].any():
            continue
        yield {
            "method": result.rule_set.fillings[filled.number].method.name,
            "at": spans(filled.intervals[place]),
            "from": filled.estimate.inputs(place),
            "confidence": round(float(filled.estimate.confidence[place]), 2),
        }


def spans(which: Mask) -> list[list[int]]:
    """Return the runs of intervals that a mask (n,) names: first and last of each."""
    steps = np.diff(np.concatenate([[0], which.astype(np.int8), [0]]))
    firsts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return [[int(first), int(end) - 1] for first, end in zip(firsts, ends, strict=True)]
