"""The landscape's judgement of events and load profiles: what held, and what did not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from simulators.landscape.proofs import EventProof, ProfileProof

ZONE = ZoneInfo("Europe/Berlin")
AT = datetime(2027, 3, 27, 16, 5, tzinfo=UTC)
DEVICE: dict[str, Any] = {
    "id": "D1",
    "serial": "S1",
    "start_on": "2027-03-27",
    "last_day": None,
    "registers": [{"lrn": "1", "obis": "O", "factor": "20"}],
}
POWER_FAILED, SAG = "3.26.0.85", "3.26.79.223"


@dataclass
class Side:
    """One process of the landscape: what it answers, by path."""

    answers: dict[str, Any] = field(default_factory=dict)

    def get(self, path: str, **_: Any) -> Any:
        return self.answers[path]

    def post(self, path: str, **_: Any) -> Any:
        return self.answers[path]

    def pages(self, path: str) -> Iterator[Any]:
        yield from self.answers[path]


def scenario(**facts: Any) -> Any:
    """This will stand for a scenario of three days from 27 March 2027 with two meters and a limit of one event."""

    def at(day: int, hour: int) -> datetime:
        return datetime(2027, 3, 27 + day, hour, tzinfo=ZONE).astimezone(UTC)

    days = [f"2027-03-{day}" for day in (27, 28, 29)]
    profiles = SimpleNamespace(revised=None)
    known: dict[str, Any] = {"at": at, "zone": ZONE, "day_names": days, "profiles": profiles}
    return SimpleNamespace(**known | {"meters": ["S1"], "storm_limit": 1} | facts)


def told(code: str = POWER_FAILED, *, at: datetime = AT, serial: str = "S1") -> dict[str, Any]:
    return {"serial": serial, "event_id": f"e-{code}-{at}", "code": code, "at": at.isoformat()}


def fate(reason: str | None, *, at: datetime = AT) -> dict[str, Any]:
    facts = {"device_id": "D1", "event_type": POWER_FAILED, "at": at.isoformat(), "told_at": at.isoformat()}
    return {**facts, "reason": reason}


def at_sap(kind: str = "0100", *, at: datetime = AT, device: str | None = "D1") -> dict[str, Any]:
    return {"device": device, "type": kind, "at": at.isoformat()}


def events(
    field_told: list[dict[str, Any]], sap: list[dict[str, Any]], fates: list[dict[str, Any]], **device: Any
) -> EventProof:
    clients: Any = SimpleNamespace(
        field=Side({"/v1/events": {"events": field_told}}),
        sap=Side({"/control/events": {"events": sap}}),
        mdus=Side({"/api/v1/events": fates}),
    )
    return EventProof(clients, scenario(), {"D1": {**DEVICE, **device}})


SOON = AT + timedelta(minutes=5)


class TestEvents:
    @pytest.mark.parametrize(
        ("field_told", "sap", "fates", "counts"),
        [
            pytest.param([told()], [at_sap()], [], (1, 0, 0), id="once"),
            pytest.param([told()], [at_sap(at=AT - timedelta(seconds=40))], [], (1, 0, 0), id="clocks_apart"),
            pytest.param([told()], [at_sap(at=AT - timedelta(minutes=3))], [], (0, 0, 1), id="another_one"),
            pytest.param([told()], [at_sap(), at_sap()], [], (0, 0, 1), id="twice"),
            pytest.param([told()], [], [], (0, 0, 1), id="never"),
            pytest.param([told()], [], [fate(None)], (0, 0, 1), id="held_without_reason"),
            pytest.param([told(SAG)], [], [], (0, 1, 0), id="not_wanted"),
            pytest.param([told(serial="S9")], [], [], (0, 1, 0), id="of_a_stranger"),
            pytest.param([told(), told(at=SOON)], [at_sap()], [fate("repeated", at=SOON)], (1, 1, 0), id="repeated"),
            pytest.param([told(at=SOON)], [], [fate("repeated", at=SOON)], (0, 0, 1), id="repeats_nothing"),
            pytest.param(
                [told(), told(at=SOON)],
                [at_sap()],
                [fate(None), fate("storm", at=SOON)],
                (1, 1, 0),
                id="in_a_storm",
            ),
            pytest.param([told(at=SOON)], [], [fate("storm", at=SOON)], (0, 0, 1), id="in_no_storm"),
        ],
    )
    def test_an_event_is_at_sap_once_or_held_back_with_reason(
        self,
        field_told: list[dict[str, Any]],
        sap: list[dict[str, Any]],
        fates: list[dict[str, Any]],
        counts: tuple[int, int, int],
    ) -> None:
        row = events(field_told, sap, fates).row()
        assert (row.confirmed, row.refused, row.lost) == counts
        assert row.held is (counts[2] == 0)

    @pytest.mark.parametrize(
        ("days", "held"),
        [
            pytest.param({"last_day": "2027-03-26"}, True, id="after_its_last_day"),
            pytest.param({"last_day": "2027-03-27"}, False, id="on_its_last_day"),
            pytest.param({"start_on": "2027-03-28"}, True, id="before_its_first_day"),
        ],
    )
    def test_a_meter_is_not_heard_on_days_it_does_not_count(self, days: dict[str, str], held: bool) -> None:
        assert events([told()], [], [fate(None)], **days).row().held is held

    @pytest.mark.parametrize(("sap", "held"), [([at_sap()], True), ([at_sap(), at_sap("0101")], False)])
    def test_sap_has_nothing_that_no_meter_told(self, sap: list[dict[str, Any]], held: bool) -> None:
        assert next(events([told()], sap, []).checks()).held is held

    @pytest.mark.parametrize(("reports", "held"), [(0, False), (1, True), (2, False)])
    def test_a_storm_is_told_once(self, reports: int, held: bool) -> None:
        sap = [at_sap(), *[at_sap("1006", device=None)] * reports]
        *_, storms = events([told(), told(at=SOON)], sap, [fate(None), fate("storm", at=SOON)]).checks()
        assert storms.held is held


BEGIN = datetime(2027, 3, 27, 23, 0, tzinfo=UTC)  # the day of 23 hours


def profiles(values: dict[int, str], *, unread: int | None = None, answered: int = 23, hours: int = 23) -> ProfileProof:
    """This will stand for an hourly profile, of which the meter measured 0.5 in each hour and `unread` never."""

    def starts(many: Any) -> dict[str, Any]:
        return {(BEGIN + timedelta(hours=hour)).isoformat(): value for hour, value in many}

    profile = {"id": "P", "device": "D1", "lrn": "1", "obis": "O", "minutes": 60, "changed": {}}
    measured = ["0.5"] * hours
    channel = {"obis": "O", "interval_minutes": 60, "start": BEGIN.isoformat(), "values": measured}
    block = {"serial": "S1", "obis": "O", "interval_minutes": 60, "start": BEGIN.isoformat()}
    block["values"] = [None if hour == unread else "0.5" for hour in range(hours)]
    sap = Side(
        {
            "/control/profiles": {"profiles": [{**profile, "values": starts(values.items())}]},
            "/control/query_profile": {"values": starts((hour, "10") for hour in range(answered))},
        }
    )
    clients: Any = SimpleNamespace(
        sap=sap,
        field=Side({"/v1/intervals": {"blocks": [block]}}),
        head_end=Side({"/control/intervals": {"channels": [{**channel, "sum": str(hours / 2)}]}}),
    )
    return ProfileProof(clients, scenario(), {"D1": DEVICE})


ALL = dict.fromkeys(range(23), "10")  # 0.5, twenty times, once


class TestProfiles:
    @pytest.mark.parametrize(
        ("values", "unread", "counts"),
        [
            pytest.param(ALL, None, (1, 0, 0), id="all_true"),
            pytest.param({**ALL, 3: "200"}, None, (0, 0, 1), id="factor_twice"),
            pytest.param({**ALL, 3: "0.5"}, None, (0, 0, 1), id="factor_never"),
            pytest.param(dict.fromkeys(range(22), "10"), None, (0, 0, 1), id="one_missing"),
            pytest.param(dict.fromkeys(range(22), "10"), 22, (0, 1, 0), id="one_never_measured"),
        ],
    )
    def test_each_interval_is_what_truly_passed(
        self, values: dict[int, str], unread: int | None, counts: tuple[int, int, int]
    ) -> None:
        row = next(profiles(values, unread=unread).rows())
        assert (row.confirmed, row.failed, row.lost) == counts

    @pytest.mark.parametrize(("answered", "held"), [(23, True), (22, False)])
    def test_a_query_answers_what_was_sent(self, answered: int, held: bool) -> None:
        *_, queries = profiles(ALL, answered=answered).rows()
        assert queries.held is held

    @pytest.mark.parametrize(("hours", "held"), [(23, True), (24, False)])
    def test_the_day_is_an_hour_short(self, hours: int, held: bool) -> None:
        proof = profiles(ALL, hours=hours)
        list(proof.rows())
        assert next(proof.checks()).held is held
