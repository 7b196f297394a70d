"""What a final value is called outside: AEMO's quality and method flags, and IEC 61968-9 quality codes.

Both follow from the value's state, from the rule that suspected it and from the method that made it.

```
state      AEMO                                              IEC 61968-9 (system 3: meter data management)
MISSING    N                                                 3.5.259
ACTUAL     A                                                 3.0.1
SUSPECT    N: what failed validation is not told as actual    3.5.258 and the rule's code
ESTIMATED  E, S or F, with the method's number               3.8.0, 3.11.0 or 3.11.1, and the rule's code; 3.12.0 ahead
EDITED     S or F, with 18 (alternate)                       3.7.0
```
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from mdus.domain.reading_quality import EDITED, ESTIMATED, SUSPECT, QualitySet
from mdus.vee.method import Method
from mdus.vee.pipeline import State
from mdus.vee.rule import Rule

#: AEMO's methods of substitution and estimation; 51 to 59 are those of metering type 5, 61 to 69 of type 6, 71 to 75 of
#: unmetered supplies.
AEMO_METHODS: Final[Mapping[int, str]] = {
    11: "check meter",
    12: "calculated",
    13: "SCADA",
    14: "like day",
    15: "average like day",
    16: "agreed (obsolete)",
    17: "linear interpolation",
    18: "alternate",
    19: "zero",
    20: "prospective like day",
    21: "five-minute, no history",
    22: "prospective average day",
    23: "previous year",
    24: "scaling",
    25: "average daily load",
    **{number: f"type 5, method {number}" for number in range(51, 60)},
    **{number: f"type 6, method {number}" for number in range(61, 70)},
    **{number: f"unmetered, method {number}" for number in range(71, 76)},
}

#: What a method without a number of AEMO's, or an edit, is called.
ALTERNATE: Final = 18


class AemoQuality(StrEnum):
    """How sure a value is, as AEMO has it."""

    ACTUAL = "A"
    FORWARD = "E"  # a forward estimate: the interval is still to come
    FINAL = "F"  # a final substitute: nothing replaces it any more
    NULL = "N"  # no value
    SUBSTITUTE = "S"  # a value may still replace it
    VARIABLE = "V"  # of a day whose intervals differ


class Standing(Enum):
    """Whether something may still take the place of a value that is not from the meter."""

    AHEAD = "ahead"  # the interval is not over: the meter will tell
    OPEN = "open"  # a value that comes late replaces it
    CLOSED = "closed"  # somebody has acted on it, and nothing replaces it


_SUBSTITUTED: Final[Mapping[Standing, AemoQuality]] = {
    Standing.AHEAD: AemoQuality.FORWARD,
    Standing.OPEN: AemoQuality.SUBSTITUTE,
    Standing.CLOSED: AemoQuality.FINAL,
}


@dataclass(frozen=True, slots=True)
class AemoFlag:
    """A quality with the method's number, which only values that are not from the meter have."""

    quality: AemoQuality
    method: int | None = None

    def __post_init__(self) -> None:
        """Refuse a method where none belongs, none where one does, and numbers AEMO does not have."""
        substituted = self.quality in _SUBSTITUTED.values()
        if substituted != (self.method is not None):
            raise ValueError(f"{self.quality.value} {'needs a' if substituted else 'has no'} method")
        if self.method is not None and self.method not in AEMO_METHODS:
            raise ValueError(f"AEMO has no method {self.method}")

    def __str__(self) -> str:
        """Return it as files have it: A, S17."""
        return self.quality.value if self.method is None else f"{self.quality.value}{self.method}"


def aemo_flag(state: State, method: Method | None = None, *, standing: Standing = Standing.OPEN) -> AemoFlag:
    """Return AEMO's flag of a final value; `method` made it, where one did."""
    if state in (State.MISSING, State.SUSPECT):
        return AemoFlag(AemoQuality.NULL)
    if state is State.ACTUAL:
        return AemoFlag(AemoQuality.ACTUAL)
    number = method.aemo if state is State.ESTIMATED and method is not None else None
    return AemoFlag(_SUBSTITUTED[standing], number or ALTERNATE)


def aemo_day(flags: Sequence[AemoFlag]) -> AemoFlag:
    """Return the flag of a whole day: that of all its intervals, V where they differ. Raises ValueError without any."""
    if not flags:
        raise ValueError("a day without intervals has no flag")
    return flags[0] if len(set(flags)) == 1 else AemoFlag(AemoQuality.VARIABLE)


def aemo_events(flags: Sequence[AemoFlag]) -> Iterator[tuple[int, int, AemoFlag]]:
    """Yield the runs of equal flags of a day: first and last interval, counted from 1, and the flag."""
    first = 0
    for place in range(1, len(flags) + 1):
        if place == len(flags) or flags[place] != flags[first]:
            yield first + 1, place, flags[first]
            first = place


#: The codes this system gives, by what they say.
VALIDATED: Final = "3.0.1"
MISSING_KNOWN: Final = "3.5.259"
ADDED: Final = "3.7.1"
REJECTED: Final = "3.7.3"
INDETERMINATE: Final = "3.10.0"
ACCEPTED: Final = "3.10.1"
DETERMINISTIC: Final = "3.11.0"
INFERRED: Final = "3.11.1"
PROJECTED: Final = "3.12.0"

#: Methods whose values follow from what was measured at the same time, not from what was usual at other times.
_FOLLOWS: Final = frozenset({"check_meter", "register_from_intervals"})


def qualities(
    state: State, *, rule: Rule | None = None, method: Method | None = None, standing: Standing = Standing.OPEN
) -> QualitySet:
    """Return the codes of a final value: `rule` suspected it, or what it replaced; `method` made it."""
    suspected = () if rule is None else (rule.quality,)
    match state:
        case State.MISSING:
            return QualitySet.of((MISSING_KNOWN, *suspected))
        case State.ACTUAL:
            return QualitySet.of((VALIDATED,))
        case State.SUSPECT:
            return QualitySet.of((SUSPECT, *suspected))
        case State.EDITED:
            return QualitySet.of((EDITED, *suspected))
        case State.ESTIMATED:
            derived = () if method is None else (DETERMINISTIC if method.name in _FOLLOWS else INFERRED,)
            ahead = (PROJECTED,) if standing is Standing.AHEAD else ()
            return QualitySet.of((ESTIMATED, *derived, *ahead, *suspected))


def state_of(told: QualitySet, *, is_present: bool) -> State:
    """Return what a final value is by its codes: the inverse of `qualities`.

    A value that a person has accepted is from the meter: actual, though validation keeps it as it keeps edits.
    """
    if not is_present:
        return State.MISSING
    if {EDITED, ADDED} & set(told.codes):
        return State.EDITED
    if told.is_estimated:
        return State.ESTIMATED
    return State.SUSPECT if told.is_suspect else State.ACTUAL


#: The categories of IEC 61968-9, the second part of a code.
CATEGORIES: Final[Mapping[int, str]] = {
    0: "valid",
    1: "diagnostics",
    2: "power quality",
    3: "tamper",
    4: "data collection",
    5: "reasonability",
    6: "validation",
    7: "edited",
    8: "estimated",
    9: "obsolete",
    10: "questionable",
    11: "derived",
    12: "projected",
}

#: Whose word a code is, its first part.
SYSTEMS: Final[Mapping[int, str]] = {
    0: "not applicable",
    1: "end device",
    2: "metering system network",
    3: "meter data management",
    4: "other",
    5: "external",
}

#: What codes say, without their system; of categories with other indices the category says enough.
_INDICES: Final[Mapping[str, str]] = {
    "0.0": "valid",
    "0.1": "validated",
    "1.1": "battery low",
    "1.9": "clock error",
    "2.3": "disconnect switching",
    "2.32": "power failure",
    "3.0": "revenue protection",
    "3.1": "cover opened",
    "3.4": "reverse rotation",
    "4.1": "overflow",
    "4.2": "partial interval",
    "4.3": "long interval",
    "4.4": "skipped interval",
    "4.5": "test mode",
    "4.9": "clock changed",
    "4.16": "daylight saving time",
    "4.64": "clock set forward",
    "4.128": "clock set back",
    "5.256": "out of range",
    "5.257": "error",
    "5.258": "suspect",
    "5.259": "known to be missing",
    "6.0": "failed validation",
    "6.1": "zero usage",
    "6.2": "usage on an inactive meter",
    "6.3": "usage above",
    "6.4": "usage below",
    "6.5": "usage above, in percent",
    "6.6": "usage below, in percent",
    "6.9": "time-of-use sum",
    "7.0": "edited",
    "7.1": "added",
    "7.3": "rejected",
    "8.0": "estimated",
    "10.0": "indeterminate",
    "10.1": "accepted",
    "11.0": "deterministic",
    "11.1": "inferred",
    "12.0": "projected",
}


def words(code: str) -> str:
    """Return what a code says, and who says it. Raises ValueError for a text that is no code of IEC 61968-9."""
    QualitySet.of((code,))
    system, category, index = code.split(".")
    if int(system) not in SYSTEMS or int(category) not in CATEGORIES:
        raise ValueError(f"{code} has a system or category that IEC 61968-9 does not have")
    said = _INDICES.get(f"{category}.{index}", f"{CATEGORIES[int(category)]}, {index}")
    return f"{said} ({SYSTEMS[int(system)]})"
