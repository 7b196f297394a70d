"""Events: what happens by itself follows from the seed, and the log keeps each once."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulators.clock import instant
from simulators.fleet.events import TEXTS, Log, event, happening, operated, outage, told_at
from simulators.fleet.meters import midnight, population

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 3, 27, 11, tzinfo=UTC)
SPRING = date(2026, 3, 29)  # of 23 hours


def happened(*, rate: float, seed: int = 1, size: int = 300, day: date = SPRING) -> list[dict[str, Any]]:
    meters = population(seed=1, size=size)
    return [each for meter in meters for each in happening(meter, day, seed=seed, zone=BERLIN, rate=rate)]


class TestEvent:
    def test_has_an_id_that_follows_from_meter_code_and_instant(self) -> None:
        first = event("0000001234", "3.26.79.223", NOON, properties={"phase": "L1"})
        assert first == {
            "serial": "0000001234",
            "event_id": event("0000001234", "3.26.79.223", NOON)["event_id"],
            "code": "3.26.79.223",
            "at": "2026-03-27T11:00:00Z",
            "text": "voltage sag",
            "properties": {"phase": "L1"},
        }
        others = {
            event("0000001235", "3.26.79.223", NOON)["event_id"],
            event("0000001234", "3.26.0.85", NOON)["event_id"],
            event("0000001234", "3.26.79.223", NOON + timedelta(seconds=1))["event_id"],
        }
        assert len(others | {first["event_id"]}) == 4

    def test_has_no_text_for_a_code_that_is_not_in_use(self) -> None:
        assert event("1", "3.15.261.139", NOON)["text"] is None

    def test_of_an_outage_comes_twice(self) -> None:
        failed, restored = outage("1", NOON, 90)
        assert (failed["code"], restored["code"]) == ("3.26.0.85", "3.26.0.216")
        assert (restored["at"], restored["properties"]) == ("2026-03-27T11:01:30Z", {"seconds": "90"})

    @pytest.mark.parametrize(("state", "code"), [("connected", "3.31.0.42"), ("disconnected", "3.31.0.68")])
    def test_of_a_breaker_names_the_order(self, state: str, code: str) -> None:
        made = operated("1", state, NOON, reference="r")
        assert (made["code"], made["properties"]) == (code, {"reference": "r"})


class TestHappening:
    def test_is_the_same_for_the_same_seed_and_another_for_another(self) -> None:
        assert happened(rate=0.5) == happened(rate=0.5)
        assert happened(rate=0.5) != happened(rate=0.5, seed=2)
        assert happened(rate=0.5) != happened(rate=0.5, day=SPRING + timedelta(days=1))

    def test_is_within_the_local_day_but_for_ends_of_outages(self) -> None:
        begin, end = midnight(SPRING, BERLIN), midnight(SPRING + timedelta(days=1), BERLIN)
        found = [instant(each["at"]) for each in happened(rate=1.0) if each["code"] != "3.26.0.216"]
        assert len(found) == 300
        assert all(begin <= at < end for at in found)

    def test_is_as_often_as_told(self) -> None:
        assert happened(rate=0.0) == []
        count = sum(each["code"] != "3.26.0.216" for each in happened(rate=0.1, size=1000))
        assert 70 < count < 130

    def test_is_of_every_code_in_use_and_of_no_other(self) -> None:
        counts = Counter(each["code"] for each in happened(rate=1.0))
        assert set(counts) == set(TEXTS) - {"3.31.0.42", "3.31.0.68", "3.36.0.24", "0.36.0.24"}
        assert counts["3.26.0.85"] == counts["3.26.0.216"]

    def test_of_gas_and_water_meters_needs_no_mains(self) -> None:
        electric = {meter.serial for meter in population(seed=1, size=300) if meter.commodity == "electricity"}
        assert {each["code"][0] for each in happened(rate=1.0) if each["serial"] in electric} == {"3"}
        assert {each["code"][0] for each in happened(rate=1.0) if each["serial"] not in electric} == {"0"}


class TestToldAt:
    @pytest.mark.parametrize(
        ("second", "told"),
        [
            pytest.param(0, 300, id="on-the-grid"),
            pytest.param(1, 300, id="just-after"),
            pytest.param(299, 300, id="just-before"),
        ],
    )
    def test_is_the_next_five_minutes(self, second: int, told: int) -> None:
        assert told_at(NOON + timedelta(seconds=second)) == NOON + timedelta(seconds=told)


class TestLog:
    def test_keeps_each_event_once_in_order(self) -> None:
        log = Log()
        first, second, third = (event("1", "3.26.0.85", NOON + timedelta(seconds=each)) for each in range(3))
        log.add([third, first])
        log.add([second, first])
        assert log.page(NOON, NOON + timedelta(hours=1), after=None, limit=9) == ([first, second, third], False)
        assert log.all() == [first, second, third]

    @pytest.mark.parametrize(
        ("begin", "end", "count"),
        [
            pytest.param(0, 3, 3, id="all"),
            pytest.param(1, 3, 2, id="from-the-second"),
            pytest.param(0, 2, 2, id="before-the-third"),
            pytest.param(3, 9, 0, id="after"),
        ],
    )
    def test_shows_a_half_open_period(self, begin: int, end: int, count: int) -> None:
        log = Log()
        log.add([event("1", "3.26.0.85", NOON + timedelta(seconds=each)) for each in range(3)])
        period = (NOON + timedelta(seconds=begin), NOON + timedelta(seconds=end))
        assert len(log.page(*period, after=None, limit=9)[0]) == count

    def test_goes_on_after_the_last_of_a_page_where_many_share_an_instant(self) -> None:
        log = Log()
        log.add([event(str(serial), "3.26.0.85", NOON) for serial in range(5)])
        found: list[str] = []
        after = None
        more = True
        while more:
            page, more = log.page(NOON, NOON + timedelta(seconds=1), after=after, limit=2)
            found += [each["serial"] for each in page]
            after = (instant(page[-1]["at"]), page[-1]["event_id"])
        assert sorted(found) == ["0", "1", "2", "3", "4"]
