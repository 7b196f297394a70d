"""What a head end says it can do, and what arrives by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from mdus.domain.command import CommandKind, CommandStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.head_end import Arrival, RawDelivery
from mdus.domain.unheard_time import UnheardTime
from mdus.headends.rest import HEAD_END
from mdus.messaging.retry import TransientError
from mdus.storage.concentrator import probes
from mdus.workers.head_end_watch import HeadEndWatch
from tests.head_ends.field import NOON, Field
from tests.head_ends.rehearsed import RehearsedHeadEnd, told

KIND = replace(HEAD_END, listens=True)


@pytest.fixture
def field(database_url: str, head_end: RehearsedHeadEnd) -> Iterator[Field]:
    field = Field(database_url, "http://127.0.0.1:1", kind=KIND, head_end=head_end, decode=head_end.decode)
    field.device()
    yield field
    field.close()


class TestProbe:
    def test_is_kept_and_asked_daily(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        head_end.offers = frozenset({CommandKind.PING, CommandKind.READ_ON_DEMAND})
        watch = field.new_watch()
        watch.turn()
        watch.turn()
        assert head_end.probed == 1

        field.real += timedelta(days=1).total_seconds()
        watch.turn()
        assert head_end.probed == 2
        with field.database.read() as uow:
            kept = probes(uow.connection)["city"]
        assert (kept.probe.takes, kept.probe.text, kept.at) == (head_end.offers, "rehearsed 1", field.clock.now())

    def test_is_asked_sooner_where_the_head_end_wants_it(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        head_end.probed_after = timedelta(minutes=15)
        watch = field.new_watch()
        watch.turn()
        field.real += 14 * 60
        watch.turn()
        assert head_end.probed == 1

        field.real += 60
        watch.turn()
        assert head_end.probed == 2

    def test_leaves_only_the_commands_it_names(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        head_end.offers = frozenset({CommandKind.READ_ON_DEMAND})
        field.new_watch().turn()
        ping, read = field.command(CommandKind.PING), field.command(CommandKind.READ_ON_DEMAND)
        while field.worker.turn():
            pass

        assert field.stored(ping).status is CommandStatus.FAILED
        assert field.stored(read).status is CommandStatus.ACCEPTED

    def test_changes_nothing_where_it_does_not_say(self, field: Field) -> None:
        field.new_watch().turn()
        ping = field.command(CommandKind.PING)
        field.worker.turn()

        assert field.stored(ping).status is CommandStatus.ACCEPTED

    def test_is_tried_again_when_it_failed(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        head_end.fails = TransientError("down")
        watch = field.new_watch()
        watch.turn()
        head_end.fails = None
        field.real += 60
        watch.turn()

        assert head_end.probed == 2
        with field.database.read() as uow:
            assert "city" in probes(uow.connection)


class TestSubscription:
    def test_that_is_another_says_since_when_nobody_may_have_heard(
        self, field: Field, head_end: RehearsedHeadEnd
    ) -> None:
        watch = field.new_watch()
        probed(field, head_end, watch, "sub-1")
        field.clock.advance(hours=1)
        head_end.fails = TransientError("down")
        probed(field, head_end, watch, "sub-2")
        assert field.all(UnheardTime) == []
        head_end.fails = None
        probed(field, head_end, watch, "sub-2")

        (time,) = field.all(UnheardTime)
        assert (time.head_end, time.begins_at, time.ends_at) == ("city", NOON, field.clock.now())

        field.clock.advance(hours=1)
        probed(field, head_end, watch, "sub-3")
        (longer,) = field.all(UnheardTime)
        assert (longer.begins_at, longer.ends_at, longer.look_at) == (NOON, field.clock.now(), time.look_at)

    @pytest.mark.parametrize(
        "names",
        [
            pytest.param(("sub-1", "sub-1"), id="is the same"),
            pytest.param((None, "sub-1"), id="is the first"),
            pytest.param(("sub-1", None), id="is none of ours any more"),
            pytest.param((None, None), id="is none"),
        ],
    )
    def test_says_nothing_where_it(
        self, field: Field, head_end: RehearsedHeadEnd, names: tuple[str | None, ...]
    ) -> None:
        watch = field.new_watch()
        for name in names:
            probed(field, head_end, watch, name)
            field.clock.advance(hours=1)

        assert head_end.probed == 2
        assert field.all(UnheardTime) == []


def probed(field: Field, head_end: RehearsedHeadEnd, watch: HeadEndWatch, subscription: str | None) -> None:
    """Ask the head end once more, which tells by this subscription."""
    head_end.subscription = subscription
    watch.turn()
    field.real += timedelta(days=1).total_seconds()


class TestArrivals:
    def test_are_durable_before_they_are_acknowledged(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        stored: list[list[str]] = []
        head_end.arriving = [
            Arrival(
                deliveries=[told("a"), told("b")],
                taken=lambda: stored.append(field.deliveries()),
                failed=lambda _: pytest.fail("nothing was wrong"),
            )
        ]
        assert field.new_watch().turn() == 2
        assert stored == [["ready", "ready"]]

    def test_are_known_when_they_come_again(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        watch = field.new_watch()
        for expected in (1, 0):
            head_end.arriving = [Arrival(deliveries=[told("a")], taken=lambda: None, failed=lambda _: None)]
            assert watch.turn() == expected

    def test_are_set_aside_with_a_case_where_they_cannot_be_read(
        self, field: Field, head_end: RehearsedHeadEnd
    ) -> None:
        def broken() -> Iterator[RawDelivery]:
            yield told("a")
            raise ValueError("line 7 is cut off")

        failed: list[str] = []
        head_end.arriving = [
            Arrival(deliveries=broken(), taken=lambda: pytest.fail("not all of it was"), failed=failed.append)
        ]
        field.new_watch().turn()

        assert failed == ["line 7 is cut off"]
        (case,) = field.all(ExceptionCase)
        assert (case.kind, case.note) == ("delivery_unreadable", "city: line 7 is cut off")

    def test_are_looked_for_by_one_process_at_a_time(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        first, second = field.new_watch(holder="a"), field.new_watch(holder="b")
        first.turn()
        head_end.arriving = [Arrival(deliveries=[told("a")], taken=lambda: None, failed=lambda _: None)]
        assert second.turn() == 0

        first.close()
        field.real += 60
        assert second.turn() == 1

    def test_are_stored_in_transactions_of_bounded_size(
        self, field: Field, head_end: RehearsedHeadEnd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("mdus.workers.head_end_watch._BYTES_AT_ONCE", 2 * len(told("a").body))
        at_yield: list[int] = []

        def large() -> Iterator[RawDelivery]:
            for name in "abcde":
                at_yield.append(len(field.deliveries()))
                yield told(name)

        head_end.arriving = [Arrival(deliveries=large(), taken=lambda: None, failed=lambda _: None)]
        assert field.new_watch().turn() == 5
        assert at_yield == [0, 0, 2, 2, 4]

    def test_that_cannot_be_read_are_each_shown(self, field: Field, head_end: RehearsedHeadEnd) -> None:
        def broken(reason: str) -> Iterator[RawDelivery]:
            raise ValueError(reason)
            yield

        head_end.arriving = [
            Arrival(deliveries=broken(reason), taken=lambda: None, failed=lambda _: None) for reason in ("a", "b")
        ]
        field.new_watch().turn()
        assert sorted(case.note for case in field.all(ExceptionCase)) == ["city: a", "city: b"]
