"""What staff do to final values: done in whole or refused with a reason, recorded, never on what the field told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from mdus.domain.channel import MISSING, Channel
from mdus.domain.interval_block import IntervalBlock, Layer
from mdus.domain.reading_quality import QualitySet
from mdus.vee.editing import (
    Act,
    ChangedSince,
    Edit,
    Edited,
    Editor,
    EditRefused,
    NoReason,
    NoSuchInterval,
    NotFinal,
    NotInThatState,
    Told,
    ValueUnfit,
    accept,
    reject,
    set_values,
    undo,
)

AT = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
EDITOR = Editor(by="anna", why="read at the meter", at=AT)
CHANNEL = Channel(
    sender_system="P11",
    device_id="000000000000000042",
    reading_type="1-0:1.29.0*255",
    interval_minutes=60,
    time_zone="Europe/Berlin",
    unit="KWH",
    decimals=3,
)

#: By mark: an actual value with a power failure, a suspect one, an estimated one, a missing one.
SETS = {
    0: QualitySet(),
    1: QualitySet.of(["1.2.32", "3.0.1"]),
    2: QualitySet.of(["3.5.256", "3.5.258"]),
    3: QualitySet.of(["3.11.1", "3.8.0"]),
    4: QualitySet.of(["3.5.259"]),
}
ACTUAL, SUSPECT, ESTIMATED, ABSENT = 0, 1, 2, 3
VALUES = [1000, 90000, 3000, MISSING]


def block(layer: Layer = Layer.FINAL) -> IntervalBlock:
    return IntervalBlock(
        channel=CHANNEL,
        day=date(2026, 11, 26),
        layer=layer,
        values=np.array(VALUES, dtype=np.int64),
        qualities=np.array([1, 2, 3, 4], dtype=np.uint16),
        written_at=AT,
        written_by="vee",
    )


def after(edited: Edited) -> IntervalBlock:
    """The block with its edits stored, and marks of its own for them."""
    return replace(block(), values=edited.values, qualities=np.arange(len(edited.values), dtype=np.uint16))


def sets(edited: Edited) -> dict[int, QualitySet]:
    return dict(enumerate(edited.qualities))


def told(value: str | None, *codes: str) -> Told:
    return Told(value=None if value is None else Decimal(value), qualities=QualitySet.of(codes))


class TestSetValues:
    def test_sets_any_interval(self) -> None:
        edited = set_values(block(), SETS, {SUSPECT: Decimal("2.5"), ABSENT: Decimal(-4)}, editor=EDITOR)
        assert edited.values.tolist() == [1000, 2500, 3000, -4000]
        assert [str(each) for each in edited.qualities] == ["1.2.32 3.0.1", "3.7.0", "3.11.1 3.8.0", "3.7.1"]

    def test_records_who_why_before_and_after(self) -> None:
        (edit,) = set_values(block(), SETS, {SUSPECT: Decimal("2.5")}, editor=EDITOR).edits
        assert edit == Edit(
            act=Act.SET,
            position=SUSPECT,
            before=told("90", "3.5.256", "3.5.258"),
            after=told("2.5", "3.7.0"),
            by="anna",
            why="read at the meter",
            at=AT,
        )

    def test_keeps_what_the_meter_said(self) -> None:
        edited = set_values(block(), SETS, {ACTUAL: Decimal(1)}, editor=EDITOR)
        assert str(edited.qualities[ACTUAL]) == "1.2.32 3.7.0"

    @pytest.mark.parametrize("value", ["1.2345", "1e20", "NaN", "Infinity"])
    def test_refuses_what_the_channel_cannot_hold(self, value: str) -> None:
        with pytest.raises(ValueUnfit, match="3 decimals"):
            set_values(block(), SETS, {0: Decimal(value)}, editor=EDITOR)

    @pytest.mark.parametrize("value", ["1.234", "1.2340", "-9e14", "0"])
    def test_accepts_what_it_can_hold(self, value: str) -> None:
        edited = set_values(block(), SETS, {0: Decimal(value)}, editor=EDITOR)
        assert CHANNEL.quantity(int(edited.values[0])) == Decimal(value)

    @pytest.mark.parametrize("position", [-1, 4])
    def test_refuses_intervals_the_day_does_not_have(self, position: int) -> None:
        with pytest.raises(NoSuchInterval, match=f"not {position}"):
            set_values(block(), SETS, {position: Decimal(1)}, editor=EDITOR)


class TestAccept:
    def test_takes_a_suspect_value_for_right(self) -> None:
        edited = accept(block(), SETS, [SUSPECT], editor=EDITOR)
        assert edited.values.tolist() == VALUES
        assert str(edited.qualities[SUSPECT]) == "3.10.1 3.5.256"
        assert edited.edits[0].act is Act.ACCEPTED

    def test_takes_an_estimate_for_right_which_stays_one(self) -> None:
        edited = accept(block(), SETS, [ESTIMATED], editor=EDITOR)
        assert edited.values.tolist() == VALUES
        assert {"3.10.1", "3.8.0"} <= set(edited.qualities[ESTIMATED].codes)

    @pytest.mark.parametrize(("position", "found"), [(ACTUAL, "actual"), (ABSENT, "missing")])
    def test_refuses_other_values(self, position: int, found: str) -> None:
        with pytest.raises(NotInThatState, match=f"interval {position} is {found}, not suspect or estimated"):
            accept(block(), SETS, [position], editor=EDITOR)

    @pytest.mark.parametrize("position", [SUSPECT, ESTIMATED])
    def test_refuses_to_accept_twice(self, position: int) -> None:
        edited = accept(block(), SETS, [position], editor=EDITOR)
        with pytest.raises(NotInThatState):
            accept(after(edited), sets(edited), [position], editor=EDITOR)


class TestReject:
    def test_takes_an_estimate_away(self) -> None:
        edited = reject(block(), SETS, [ESTIMATED], editor=EDITOR)
        assert edited.values.tolist() == [1000, 90000, MISSING, MISSING]
        assert str(edited.qualities[ESTIMATED]) == "3.5.259 3.7.3"
        assert edited.edits[0].after.value is None

    @pytest.mark.parametrize(("position", "found"), [(ACTUAL, "actual"), (SUSPECT, "suspect"), (ABSENT, "missing")])
    def test_refuses_other_values(self, position: int, found: str) -> None:
        with pytest.raises(NotInThatState, match=f"interval {position} is {found}, not estimated"):
            reject(block(), SETS, [position], editor=EDITOR)


class TestUndo:
    @pytest.mark.parametrize(
        "edit",
        [
            pytest.param(lambda: set_values(block(), SETS, {0: Decimal(7), 3: Decimal(8)}, editor=EDITOR), id="set"),
            pytest.param(lambda: accept(block(), SETS, [SUSPECT], editor=EDITOR), id="accept"),
            pytest.param(lambda: reject(block(), SETS, [ESTIMATED], editor=EDITOR), id="reject"),
        ],
    )
    def test_puts_back_what_was_there(self, edit: Callable[[], Edited]) -> None:
        edited = edit()
        undone = undo(after(edited), sets(edited), edited.edits, editor=EDITOR)
        assert undone.values.tolist() == VALUES
        assert undone.qualities == tuple(SETS[mark] for mark in (1, 2, 3, 4))
        assert [each.act for each in undone.edits] == [Act.UNDONE] * len(edited.edits)

    def test_can_be_undone(self) -> None:
        edited = reject(block(), SETS, [ESTIMATED], editor=EDITOR)
        undone = undo(after(edited), sets(edited), edited.edits, editor=EDITOR)
        again = undo(after(undone), sets(undone), undone.edits, editor=EDITOR)
        assert again.values.tolist() == edited.values.tolist()

    def test_refuses_what_has_changed_since(self) -> None:
        first = set_values(block(), SETS, {0: Decimal(7)}, editor=EDITOR)
        second = set_values(after(first), sets(first), {0: Decimal(8)}, editor=EDITOR)
        with pytest.raises(ChangedSince, match="interval 0 has been changed"):
            undo(after(second), sets(second), first.edits, editor=EDITOR)
        with pytest.raises(ChangedSince, match="only the last"):
            undo(after(second), sets(second), [*first.edits, *second.edits], editor=EDITOR)


class TestEveryEdit:
    @pytest.mark.parametrize(("by", "why"), [("", "because"), ("anna", ""), ("anna", "  ")])
    def test_needs_a_name_and_a_reason(self, by: str, why: str) -> None:
        with pytest.raises(NoReason):
            Editor(by=by, why=why, at=AT)

    def test_touches_no_raw_values(self) -> None:
        raw = block(Layer.RAW)
        for refused in (
            lambda: set_values(raw, SETS, {0: Decimal(1)}, editor=EDITOR),
            lambda: accept(raw, SETS, [SUSPECT], editor=EDITOR),
            lambda: reject(raw, SETS, [ESTIMATED], editor=EDITOR),
            lambda: undo(raw, SETS, [], editor=EDITOR),
        ):
            with pytest.raises(NotFinal, match="raw values"):
                refused()

    def test_names_an_interval(self) -> None:
        with pytest.raises(NoSuchInterval, match="no interval"):
            accept(block(), SETS, [], editor=EDITOR)

    def test_is_done_in_whole_or_not(self) -> None:
        given = block()
        with pytest.raises(EditRefused):
            accept(given, SETS, [SUSPECT, ACTUAL], editor=EDITOR)
        accept(given, SETS, [SUSPECT], editor=EDITOR)
        assert given.values.tolist() == VALUES
        assert given.qualities.tolist() == [1, 2, 3, 4]

    def test_counts_an_interval_named_twice_once(self) -> None:
        assert len(accept(block(), SETS, [SUSPECT, SUSPECT], editor=EDITOR).edits) == 1
