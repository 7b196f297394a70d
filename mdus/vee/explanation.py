"""Why each value of a channel's day is what it is, in words, from the versions there are of it.

```
raw versions    what the meter told, by which delivery, with which qualities
final versions  what rules found, what estimates were made from (their `basis`), who edited what and why
```

Neighbours of which the same is to be told are one run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Final

from mdus.domain.channel import MISSING, Channel
from mdus.domain.interval_block import Cause, IntervalBlock
from mdus.domain.reading_quality import QualitySet
from mdus.vee.editing import Act, Edit
from mdus.vee.output import state_of, words
from mdus.vee.pipeline import State

#: How versions that rule sets wrote begin their name.
_BY_RULES: Final = "vee/"
_ACTS: Final[Mapping[Act, str]] = {
    Act.SET: "set by hand",
    Act.ACCEPTED: "found right",
    Act.REJECTED: "estimate found worse than none",
    Act.UNDONE: "edit taken back",
}
_CAUSES: Final[Mapping[Cause, str]] = {
    Cause.RECEIVED: "first values of the day",
    Cause.REVISED: "values changed",
    Cause.LATE: "values came late",
    Cause.VALIDATED: "validated",
    Cause.EDITED: "edited by hand",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class EditTold:
    """An edit of one interval, the version it made, and whether it has been undone."""

    version: int
    is_undone: bool
    edit: Edit

    @property
    def says(self) -> str:
        """Return it as a sentence."""
        before, after = self.edit.before.value, self.edit.after.value
        change = "" if before == after else f" ({_told(before)} before)"
        undone = ", undone since" if self.is_undone else ""
        value = f" to {after:f}" if self.edit.act is Act.SET and after is not None else ""
        at = f"{self.edit.at:%Y-%m-%d %H:%M} UTC"
        return f"{_ACTS[self.edit.act]}{value}{change} by {self.edit.by}, {at}: {self.edit.why}{undone}"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Known:
    """What there is of a channel's day: all versions of both layers, oldest first, and what was done with them.

    `rules` are the names of the rules of the set that looked last, None where that is not known any more; `handed_over`
    says in words who has got the values; `case` is what a human is to see.
    """

    channel: Channel
    day: date
    raw: Sequence[IntervalBlock]
    final: Sequence[IntervalBlock]
    qualities: Mapping[int, QualitySet]
    edits: Sequence[EditTold] = ()
    rules: Sequence[str] | None = None
    handed_over: Sequence[str] = ()
    case: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalRun:
    """Consecutive intervals of which the same is to be told: what they are, and why; `end` is that of the last one."""

    first: int
    last: int
    start: datetime
    end: datetime
    values: tuple[Decimal | None, ...]
    state: str
    qualities: tuple[str, ...]
    says: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DayVersion:
    """A version of a day: whose word (raw: the meter's), who wrote it, when and why; whether anybody acted on it."""

    layer: str
    version: int
    is_current: bool
    written_at: datetime
    written_by: str
    cause: str
    note: str | None
    used: bool
    values: int
    estimated: int
    edited: int
    suspect: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why the values of a day are what they are; `version` is that of the final values, None before they are made."""

    channel: Channel
    day: date
    version: int | None
    rule_set: str | None
    rules: tuple[str, ...]
    found: tuple[str, ...]
    total: Decimal | None
    runs: tuple[IntervalRun, ...]
    history: tuple[DayVersion, ...]
    edits: tuple[str, ...]
    handed_over: tuple[str, ...]
    case: str | None


def set_of(final: Sequence[IntervalBlock]) -> str | None:
    """Return name and version of the rule set that looked at a day last: what wrote a version, or says its basis."""
    for block in reversed(final):
        if block.written_by.startswith(_BY_RULES):
            return block.written_by.removeprefix(_BY_RULES)
        if block.basis:
            return str(json.loads(block.basis)["set"])
    return None


def explained(known: Known) -> Explanation:
    """Return why the values of a day are what they are."""
    final = known.final[-1] if known.final else None
    basis = _basis(final)
    rules = tuple(known.rules or ())
    shown = final if final is not None else known.raw[-1] if known.raw else None
    total = None
    if shown is not None and shown.present.any():
        total = known.channel.quantity(int(shown.values[shown.present].sum()))
    return Explanation(
        channel=known.channel,
        day=known.day,
        version=None if final is None else final.version,
        rule_set=set_of(known.final),
        rules=rules,
        found=tuple(_finding(entry) for entry in basis.get("found", ())),
        total=total,
        runs=tuple(_runs(known, shown)) if shown is not None else (),
        history=tuple(_history(known)),
        edits=tuple(f"interval {each.edit.position}: {each.says}" for each in known.edits),
        handed_over=tuple(known.handed_over),
        case=known.case,
    )


def _runs(known: Known, shown: IntervalBlock) -> Iterator[IntervalRun]:
    grid = known.channel.day(known.day)
    teller = _Teller(known)

    def alike(position: int) -> Any:
        return teller.state(position), shown.qualities[position], teller.says(position)

    for (state, _, says), group in groupby(range(len(shown.values)), alike):
        places = list(group)
        codes = known.qualities[int(shown.qualities[places[0]])].codes
        yield IntervalRun(
            first=places[0],
            last=places[-1],
            start=grid.starts_at(places[0]),
            end=grid.ends_at(places[-1]),
            values=tuple(known.channel.quantity(int(shown.values[place])) for place in places),
            state=state,
            qualities=tuple(f"{code} {_words(code)}" for code in codes),
            says=says,
        )


class _Teller:
    """Tells of single intervals of a day."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._final = known.final[-1] if known.final else None
        self._raw = known.raw[-1] if known.raw else None
        self._bases = [(block, _basis(block)) for block in reversed(known.final)]
        self._set = set_of(known.final)
        self._edits = {each.edit.position: each for each in known.edits if _counts(each)}

    def state(self, position: int) -> str:
        """Return what a value is."""
        if self._final is None:
            return "not validated yet"
        qualities = self._known.qualities[int(self._final.qualities[position])]
        state = state_of(qualities, is_present=bool(self._final.present[position]))
        return "accepted" if qualities.is_accepted and state is not State.EDITED else state.name.lower()

    def says(self, position: int) -> tuple[str, ...]:
        """Return why a value is what it is."""
        said = [self._meter(position)]
        found = [
            entry
            for entry in (self._bases[0][1].get("found", ()) if self._bases else ())
            if _covers(entry.get("at", ()), position)
        ]
        said += map(_finding, found)
        state = self.state(position)
        if not found and self._set is not None and state == State.ACTUAL.name.lower():
            said.append(f"no rule of {self._set} found anything wrong with it")
        if (estimate := self._estimate(position)) is not None and self._was_estimated(position):
            said.append(
                f"estimated by {estimate['method']} from {estimate['from'] or 'nothing that is told'},"
                f" confidence {estimate['confidence']:.2f}"
            )
        edit = self._edits.get(position)
        if edit is not None:
            said.append(edit.says)
        elif state == State.SUSPECT.name.lower():
            said.append("it stays suspect until a person accepts it or sets another")
        elif state == State.MISSING.name.lower():
            said.append(self._why_missing())
        return tuple(said)

    def _meter(self, position: int) -> str:
        """Return what the meter told."""
        raw, known = self._raw, self._known
        if raw is None or (raw.values[position] == MISSING and position not in raw.unfit):
            return "the meter told nothing"
        first = next(block for block in known.raw if _same(block, raw, position))
        final = self._final
        if position in raw.unfit:
            told = f"the meter told {raw.unfit[position]}, which does not fit the channel"
        elif final is None or raw.values[position] == final.values[position]:
            told = "the meter told it"
        else:
            told = f"the meter told {_told(known.channel.quantity(int(raw.values[position])))}"
        at = f"{first.written_at:%Y-%m-%d %H:%M} UTC"
        by = f"{first.written_by}, raw version {first.version} ({_CAUSES[first.cause]}), {at}"
        codes = known.qualities[int(raw.qualities[position])].codes
        with_qualities = f", with {', '.join(map(_words, codes))}" if codes else ""
        return f"{told}, by {by}{with_qualities}"

    def _estimate(self, position: int) -> Mapping[str, Any] | None:
        """Return what an estimate was made from: told by the version that made it, which may not be the last."""
        final = self._final
        for block, basis in self._bases:
            if final is None or block.values[position] != final.values[position]:
                continue
            entries = [each for each in basis.get("estimates", ()) if _covers(each["at"], position)]
            if entries:
                return dict(entries[-1], method=" and ".join(str(each["method"]) for each in entries))
        return None

    def _was_estimated(self, position: int) -> bool:
        final = self._final
        return final is not None and self._known.qualities[int(final.qualities[position])].is_estimated

    def _why_missing(self) -> str:
        withheld = bool(self._bases and self._bases[0][1].get("withheld"))
        if withheld:
            return "not estimated: more of the day is missing than the rule set estimates"
        return "not estimated (yet): values are waited for, or no method of the rule set could fill it"


def _counts(told: EditTold) -> bool:
    return not told.is_undone and told.edit.act is not Act.UNDONE


def _same(block: IntervalBlock, other: IntervalBlock, position: int) -> bool:
    """Tell whether two versions say the same of an interval."""
    return bool(
        block.values[position] == other.values[position]
        and block.qualities[position] == other.qualities[position]
        and block.unfit.get(position) == other.unfit.get(position)
    )


def _history(known: Known) -> Iterator[DayVersion]:
    blocks = [(block, block is some[-1]) for some in (known.raw, known.final) for block in some]
    for block, is_current in sorted(blocks, key=lambda each: (each[0].written_at, each[0].layer == "final")):
        yield DayVersion(
            layer=block.layer.value,
            version=block.version,
            is_current=is_current,
            written_at=block.written_at,
            written_by=block.written_by,
            cause=_CAUSES[block.cause],
            note=block.note,
            used=block.used,
            values=int(block.present.sum()),
            estimated=block.estimated,
            edited=block.edited,
            suspect=block.suspect,
        )


def _basis(block: IntervalBlock | None) -> Mapping[str, Any]:
    basis: Mapping[str, Any] = {} if block is None or block.basis is None else json.loads(block.basis)
    return basis


def _finding(entry: Mapping[str, Any]) -> str:
    replaced = ", so it is replaced" if entry.get("replaces") else ""
    return f"{entry['rule']} ({entry['severity']}): {entry['says']}{replaced}"


def _covers(spans: Sequence[Sequence[int]], position: int) -> bool:
    return any(first <= position <= last for first, last in spans)


def _words(code: str) -> str:
    try:
        return words(code)
    except ValueError:
        return code


def _told(value: Decimal | None) -> str:
    return "nothing" if value is None else f"{value:f}"
