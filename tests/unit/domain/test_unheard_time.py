"""Which snapshots may have been told in a time in which nobody heard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mdus.domain.unheard_time import UnheardTime, unheard

BERLIN = "Europe/Berlin"
NOON = datetime(2026, 3, 31, 10, 0, tzinfo=UTC)
AN_HOUR = timedelta(hours=1)


def time(begins_at: datetime, ends_at: datetime) -> UnheardTime:
    return UnheardTime(head_end="city", begins_at=begins_at, ends_at=ends_at, look_at=ends_at)


class TestMidnights:
    def test_are_those_of_a_week_before_it_and_of_itself(self) -> None:
        found = time(NOON, NOON + timedelta(days=1)).midnights(zone=BERLIN)

        # Clocks are put forward on the 29th.
        assert found[0] == datetime(2026, 3, 24, 23, 0, tzinfo=UTC)
        assert found[4:6] == (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), datetime(2026, 3, 29, 22, 0, tzinfo=UTC))
        assert found[-1] == datetime(2026, 3, 31, 22, 0, tzinfo=UTC)
        assert len(found) == 8

    def test_begin_and_end_with_the_instant(self) -> None:
        midnight = datetime(2026, 3, 30, 22, 0, tzinfo=UTC)
        a_moment = timedelta(microseconds=1)

        begins = time(midnight + timedelta(days=7), NOON + timedelta(days=8))
        later = time(begins.begins_at + a_moment, begins.ends_at)
        assert (begins.midnights(zone=BERLIN)[0], later.midnights(zone=BERLIN)[0]) == (
            midnight,
            midnight + timedelta(days=1),
        )

        assert time(NOON, midnight).midnights(zone=BERLIN)[-1] == midnight
        assert time(NOON, midnight - a_moment).midnights(zone=BERLIN)[-1] < midnight

    def test_go_back_no_farther_than_meters_remember(self) -> None:
        found = time(NOON - timedelta(days=400), NOON).midnights(zone="UTC")

        assert (len(found), found[0]) == (45, datetime(2026, 2, 15, tzinfo=UTC))


class TestUnheard:
    def test_is_looked_at_when_what_is_on_its_way_has_come(self) -> None:
        found = unheard("city", since=NOON, known=None, now=NOON + AN_HOUR)

        assert (found.begins_at, found.ends_at, found.asked) == (NOON, NOON + AN_HOUR, 0)
        assert found.look_at == NOON + 7 * AN_HOUR

    def test_becomes_one_with_what_is_known_and_is_looked_at_as_soon(self) -> None:
        known = UnheardTime(
            head_end="city", begins_at=NOON, ends_at=NOON + AN_HOUR, look_at=NOON + 7 * AN_HOUR, asked=3
        )

        found = unheard("city", since=NOON + 2 * AN_HOUR, known=known, now=NOON + 3 * AN_HOUR)

        assert (found.begins_at, found.ends_at) == (NOON, NOON + 3 * AN_HOUR)
        assert (found.look_at, found.asked) == (known.look_at, 0)
