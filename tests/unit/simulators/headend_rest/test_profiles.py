"""Interval values as the client gets them: pushed, fetched, read by a job, and spoiled by faults."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from simulators.clock import instant

NEXT_DAY = "2026-03-28T00:30:00Z"  # after the daily collection that follows the start
AFTER_THAT = "2026-03-29T00:30:00Z"
FRIDAY = {"from": "2026-03-26T23:00:00Z", "to": "2026-03-27T23:00:00Z"}


def pushed(receiver: Any) -> list[dict[str, Any]]:
    return [block for push in receiver.of("intervals") for block in push["blocks"]]


def values(blocks: list[dict[str, Any]], obis: str = "1-0:1.29.0*255") -> dict[Any, str | None]:
    """Return what was told last of each interval."""
    return {
        instant(block["start"]) + place * timedelta(minutes=block["interval_minutes"]): value
        for block in blocks
        if block["obis"] == obis
        for place, value in enumerate(block["values"])
    }


def fired(head_end: Any, name: str) -> Any:
    return head_end.get("/control/faults")["fired"][name]


def truth(head_end: Any, meter: dict[str, Any], day: str = "2026-03-27") -> dict[str, Any]:
    """Return the true values of a meter's first channel."""
    channel: dict[str, Any] = head_end.get("/control/intervals", serial=meter["serial"], day=day)["channels"][0]
    return channel


def until(head_end: Any, *instants: str) -> None:
    for each in instants:
        head_end.advance_to(instant(each))
        head_end.idle()


class TestMeters:
    def test_have_interval_registers_beside_those_that_count(self, head_end: Any) -> None:
        meter = head_end.meters("LX200-SW")[0]
        assert [register["obis"] for register in meter["channels"]] == ["1-0:1.29.0*255", "1-0:2.29.0*255"]
        shown = head_end.get(f"/v1/meters/{meter['serial']}")["registers"]
        assert shown == meter["registers"] + meter["channels"]
        assert {register.get("interval_minutes") for register in shown} == {None, 15}

    def test_are_provisioned_with_those_asked_for(self, head_end: Any) -> None:
        meter = head_end.meters("LX200-SW")[0]
        head_end.provision(meter, channels=True)
        shown = head_end.get(f"/v1/meters/{meter['serial']}")["registers"]
        assert shown == meter["registers"] + meter["channels"]


class TestPushes:
    def test_come_each_quarter_hourly_or_daily_as_the_model_does(self, head_end: Any, receiver: Any) -> None:
        quarterly, hourly, daily = (head_end.meters(model)[0] for model in ("LX200-SW", "LX100-SW", "GX4-B"))
        head_end.provision(quarterly, hourly, daily, channels=True)
        seen = []
        for at in ("2026-03-27T10:15:59Z", "2026-03-27T10:16:00Z", "2026-03-27T11:01:00Z", NEXT_DAY):
            until(head_end, at)
            seen.append(
                {
                    name: sum(len(block["values"]) for block in pushed(receiver) if block["serial"] == meter["serial"])
                    for name, meter in (("quarterly", quarterly), ("hourly", hourly), ("daily", daily))
                }
            )
        assert seen == [
            {"quarterly": 0, "hourly": 0, "daily": 0},
            {"quarterly": 2, "hourly": 0, "daily": 0},
            {"quarterly": 2 * 4, "hourly": 4, "daily": 0},
            {"quarterly": 2 * (4 * 14 + 1), "hourly": 4 * 14, "daily": 13},
        ]

    def test_come_daily_from_all_where_told_so(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--profiles", "daily")
        head_end.provision(*head_end.meters("LX200-SW"), channels=True)
        until(head_end, "2026-03-27T22:59:00Z")
        assert pushed(receiver) == []
        until(head_end, NEXT_DAY)
        assert [len(block["values"]) for block in pushed(receiver)] == [13 * 4] * 4

    def test_come_from_nobody_without_an_interval_register(self, head_end: Any, receiver: Any) -> None:
        head_end.provision()
        until(head_end, NEXT_DAY)
        assert pushed(receiver) == []
        assert head_end.get("/v1/intervals", **FRIDAY) == {"blocks": [], "next_cursor": None}

    def test_are_told_as_far_as_the_truth_says(self, head_end: Any, receiver: Any) -> None:
        hourly, daily = (head_end.meters(model)[0] for model in ("LX100-SW", "GX4-B"))
        assert truth(head_end, hourly)["told_from"] is None
        head_end.provision(hourly, daily, channels=True)
        for at in ("2026-03-27T12:00:30Z", "2026-03-27T12:01:00Z", "2026-03-27T18:01:00Z", NEXT_DAY):
            until(head_end, at)
            for meter in (hourly, daily):
                channel = truth(head_end, meter)
                told = values([each for each in pushed(receiver) if each["serial"] == meter["serial"]], channel["obis"])
                begin, end = instant(channel["told_from"]), instant(channel["told_until"])
                length = timedelta(minutes=channel["interval_minutes"])
                assert sorted(told) == [begin + place * length for place in range(max(0, (end - begin) // length))]

    def test_add_up_to_the_advance_of_the_register(self, head_end: Any, receiver: Any) -> None:
        head_end.provision(channels=True)
        until(head_end, NEXT_DAY, "2026-03-29T00:30:00Z", "2026-03-30T00:30:00Z")
        blocks = pushed(receiver)
        # The 29th has 23 hours.
        begin, end = instant("2026-03-28T23:00:00Z"), instant("2026-03-29T22:00:00Z")
        for meter in head_end.meters()[:10]:
            mine = [block for block in blocks if block["serial"] == meter["serial"]]
            told = {at: value for at, value in values(mine, meter["channels"][0]["obis"]).items() if begin <= at < end}
            assert len(told) == 23 * 60 // meter["channels"][0]["interval_minutes"]
            channel = truth(head_end, meter, "2026-03-29")
            assert [told[at] for at in sorted(told)] == channel["values"]
            query = {"serial": meter["serial"], "obis": channel["register"]}
            at_end, at_begin = (
                Decimal(head_end.get("/control/true", **query, at=at.isoformat())["true"]) for at in (end, begin)
            )
            assert sum(Decimal(value or 0) for value in told.values()) == at_end - at_begin == Decimal(channel["sum"])

    def test_wait_for_the_one_before(self, head_end: Any, receiver: Any) -> None:
        head_end.provision(*head_end.meters("LX200-SW"), channels=True)
        receiver.answers = [500]
        until(head_end, "2026-03-27T10:16:00Z", "2026-03-27T10:31:00Z", "2026-03-27T10:46:00Z")
        assert receiver.refused == 1
        starts = [push["blocks"][0]["start"] for push in receiver.of("intervals")]
        assert starts == ["2026-03-27T10:00:00Z", "2026-03-27T10:15:00Z", "2026-03-27T10:30:00Z"]

    def test_tell_what_was_missed_after_a_kill(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run()
        meter = head_end.meters("LX200-SW")[0]
        head_end.provision(meter, channels=True)
        until(head_end, "2026-03-27T12:00:30Z")
        head_end.kill()
        head_end.advance_to(instant("2026-03-28T12:00:30Z"))
        head_end.start()
        until(head_end, "2026-03-28T12:01:00Z")
        told = values(pushed(receiver))
        assert len(told) == 26 * 4
        assert [told[at] for at in sorted(told)][: 13 * 4] == truth(head_end, meter)["values"][11 * 4 :]
        lengths = [len(block["values"]) for block in pushed(receiver) if block["obis"] == "1-0:1.29.0*255"]
        assert max(lengths) > 40  # what was missed comes in long blocks
        assert sum(lengths) == len(told)  # and nothing twice


class TestIntervals:
    def test_are_fetched_by_period_and_page_as_they_were_pushed(self, head_end: Any, receiver: Any) -> None:
        head_end.provision(channels=True)
        until(head_end, NEXT_DAY)
        blocks: list[dict[str, Any]] = []
        cursor: str | None = ""
        pages = 0
        while cursor is not None:
            page = head_end.get("/v1/intervals", **FRIDAY, limit="7", cursor=cursor)
            blocks += page["blocks"]
            cursor = page["next_cursor"]
            pages += 1
        assert pages == 3
        assert len({block["serial"] for block in blocks}) == 20
        for meter in head_end.meters():
            of_meter = [[b for b in told if b["serial"] == meter["serial"]] for told in (blocks, pushed(receiver))]
            fetched, told = (values(each, meter["channels"][0]["obis"]) for each in of_meter)
            assert fetched.items() <= told.items()
        serial = blocks[0]["serial"]
        one = head_end.get("/v1/intervals", **FRIDAY, serial=serial)["blocks"]
        assert one == [block for block in blocks if block["serial"] == serial]
        assert head_end.get("/v1/intervals", **FRIDAY, serial="9")["blocks"] == []

    @pytest.mark.parametrize(
        "query",
        [
            pytest.param({}, id="no-period"),
            pytest.param({"from": "2026-03-27"}, id="no-end"),
            pytest.param(FRIDAY | {"from": "2026-03-27T00:00:00"}, id="no-zone"),
            pytest.param(FRIDAY | {"limit": "0"}, id="limit"),
            pytest.param(FRIDAY | {"cursor": "MQ=="}, id="cursor-of-another-list"),
        ],
    )
    def test_need_a_readable_question(self, head_end: Any, query: dict[str, str]) -> None:
        for path in ("/v1/intervals", "/v1/events"):
            assert head_end.api.get(path, params=query).status_code == 400


class TestReadIntervals:
    def read(self, head_end: Any, receiver: Any, meter: dict[str, Any], **period: str) -> dict[str, Any]:
        order = {"serial": meter["serial"], "reference": "r", "period": FRIDAY | period}
        assert head_end.submit("read_intervals", order).status_code == 202
        results = receiver.results(count=len(head_end.get("/control/commands")["commands"]))
        result: dict[str, Any] = results["r"]
        return result

    def test_gives_what_the_meter_has(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100")[0]
        head_end.provision(meter, channels=True)
        head_end.advance(hours=1)
        result = self.read(head_end, receiver, meter)
        assert (result["status"], result["readings"]) == ("ok", [])
        [block] = result["blocks"]
        assert "serial" not in block
        # Ended by now, from midnight on: long before the meter was heard.
        assert (block["start"], len(block["values"])) == ("2026-03-26T23:00:00Z", 12 * 4)
        assert block["values"] == truth(head_end, meter)["values"]

    def test_fills_a_gap_for_whoever_fetches_afterwards(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100")[0]
        head_end.provision(meter, channels=True)
        gap = {"from": "2026-03-27T12:00:00Z", "to": "2026-03-27T13:00:00Z"}
        head_end.control("irregular", serial=meter["serial"], kind="gap", **gap)
        until(head_end, NEXT_DAY)
        [before] = head_end.get("/v1/intervals", **gap, serial=meter["serial"])["blocks"]
        assert (before["values"], before["quality"]) == ([None] * 4, ["2.5.259"] * 4)

        result = self.read(head_end, receiver, meter, **gap)

        [after] = head_end.get("/v1/intervals", **gap, serial=meter["serial"])["blocks"]
        assert after["values"] == result["blocks"][0]["values"] == truth(head_end, meter)["values"][13 * 4 : 14 * 4]
        head_end.kill()
        head_end.start()
        assert head_end.get("/v1/intervals", **gap, serial=meter["serial"])["blocks"] == [after]

    def test_fails_without_data(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100")[0]
        head_end.provision(meter, channels=True)
        future = {"from": "2026-03-28T00:00:00Z", "to": "2026-03-30T00:00:00Z"}
        assert self.read(head_end, receiver, meter, **future)["code"] == "NO_DATA"

    def test_fails_without_an_interval_register(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100")[0]
        head_end.provision(meter)
        head_end.advance(hours=1)
        assert self.read(head_end, receiver, meter)["code"] == "NO_DATA"


class TestFaults:
    @pytest.mark.parametrize("model", ["LX200-SW", "LX100"])
    def test_late_values_come_with_the_next_collection(self, head_end: Any, receiver: Any, model: str) -> None:
        meter = head_end.meters(model)[0]
        head_end.provision(meter, channels=True)
        head_end.control("faults", name="intervals_late")
        until(head_end, *(f"2026-03-27T{at}:00Z" for at in ("10:16", "10:31", "10:46", "11:01")))
        assert len(values(pushed(receiver))) == (0 if model == "LX100" else 3)
        until(head_end, NEXT_DAY)
        assert len(values(pushed(receiver))) == (0 if model == "LX100" else 14 * 4 + 1)
        until(head_end, AFTER_THAT)
        told = values(pushed(receiver))
        assert [told[at] for at in sorted(told)][: 13 * 4] == truth(head_end, meter)["values"][11 * 4 :]
        [hit] = fired(head_end, "intervals_late")["hits"]
        assert hit["serial"] == meter["serial"]

    def test_a_gap_is_told_as_not_collected(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100")[0]
        head_end.provision(meter, channels=True)
        head_end.control("faults", name="interval_gap")
        until(head_end, NEXT_DAY, AFTER_THAT)
        blocks = pushed(receiver)
        [hit] = fired(head_end, "interval_gap")["hits"]
        missing = [at for at, value in values(blocks).items() if value is None]
        assert missing
        assert all(instant(hit["from"]) <= at < instant(hit["to"]) for at in missing)
        assert len(missing) == (instant(hit["to"]) - instant(hit["from"])) // timedelta(minutes=15)
        assert set(blocks[0]["quality"]) == {None, "2.5.259"}

    def test_an_estimate_is_revised(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100")[0]
        head_end.provision(meter, channels=True)
        head_end.control("faults", name="interval_revised")
        until(head_end, NEXT_DAY)
        [first] = pushed(receiver)
        assert set(first["quality"]) == {None, "2.8.0"}
        true = truth(head_end, meter)["values"][11 * 4 :]
        assert len(first["values"]) == len(true)
        wrong = [place for place, value in enumerate(first["values"]) if value != true[place]]
        assert wrong == [place for place, quality in enumerate(first["quality"]) if quality]
        until(head_end, AFTER_THAT)
        revised = values(pushed(receiver))
        assert [revised[at] for at in sorted(revised)][: len(true)] == true
        assert fired(head_end, "interval_revised")["count"] == 1

    def test_what_was_wrong_while_it_was_down_is_told_right(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run()
        meter = head_end.meters("LX200-SW")[0]
        head_end.provision(meter, channels=True)
        for kind, hour in (("late", 11), ("revised", 12)):
            period = {"from": f"2026-03-27T{hour}:00:00Z", "to": f"2026-03-27T{hour + 1}:00:00Z"}
            head_end.control("irregular", serial=meter["serial"], kind=kind, **period)
        head_end.kill()
        head_end.advance_to(instant("2026-03-27T19:30:00Z"))
        head_end.start()
        until(head_end, "2026-03-27T19:31:00Z", "2026-03-27T23:01:00Z")
        told = values(pushed(receiver))
        assert [told[at] for at in sorted(told)] == truth(head_end, meter)["values"][11 * 4 :]
        assert not any("quality" in block for block in pushed(receiver)[:2])

    def test_a_block_is_told_again_in_another_delivery(self, head_end: Any, receiver: Any) -> None:
        head_end.provision(*head_end.meters("GX4-B"), channels=True)
        head_end.control("faults", name="duplicate_block")
        until(head_end, NEXT_DAY)
        blocks = pushed(receiver)
        [hit] = fired(head_end, "duplicate_block")["hits"]
        twice = [block for block in blocks if block["serial"] == hit["serial"]]
        assert len(twice) == 2
        assert twice[0] == twice[1]
        ids = {push["delivery_id"] for push in receiver.of("intervals") if twice[0] in push["blocks"]}
        assert len(ids) == 2
        assert len(blocks) == 4 + 1

    def test_all_fire_in_a_few_days_and_no_value_is_lost(self, run: Callable[..., Any], receiver: Any) -> None:
        names = ("intervals_late", "interval_gap", "interval_revised", "duplicate_block")
        head_end = run("--faults", ",".join(names), "--seed", "5")
        head_end.provision(channels=True)
        until(head_end, *(f"2026-03-{day}T02:30:00Z" for day in range(28, 32)), "2026-04-01T02:30:00Z")
        account = head_end.get("/control/faults")
        assert all(1 <= account["fired"][name]["count"] <= 3 for name in names)
        assert set(account["remaining"].values()) == {0}
        for meter in head_end.meters()[:10]:
            obis = meter["channels"][0]["obis"]
            told = values([block for block in pushed(receiver) if block["serial"] == meter["serial"]], obis)
            true = truth(head_end, meter, "2026-03-29")
            day = [told[at] for at in sorted(told) if at >= instant(true["start"])][: len(true["values"])]
            assert [value if value is not None else true["values"][at] for at, value in enumerate(day)] == true[
                "values"
            ]


class TestControl:
    def test_tells_no_truth_of_what_has_not_ended(self, head_end: Any) -> None:
        meter = head_end.meters("LX100")[0]
        channel = truth(head_end, meter)
        assert (channel["register"], channel["interval_minutes"]) == ("1-0:1.8.0*255", 15)
        assert len(channel["values"]) == 11 * 4
        assert truth(head_end, meter, "2026-03-28")["values"] == []

    def test_pushes_what_meters_have_stored(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100")[0]
        head_end.provision(meter, channels=True)
        told = head_end.control("intervals", serials=[meter["serial"]])
        assert told == {"from": "2026-03-25T23:00:00Z", "to": "2026-03-26T23:00:00Z", "meters": 1}
        [push] = receiver.wait("intervals")
        assert push["blocks"][0]["values"] == truth(head_end, meter, "2026-03-26")["values"]

    def test_pushes_estimates_that_differ_from_what_is_stored(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100")[0]
        head_end.provision(meter, channels=True)
        for estimated in (False, True):
            head_end.control("intervals", serials=[meter["serial"]], estimated=estimated)
        stored, estimates = receiver.wait("intervals", lambda pushes: len(pushes) == 2)
        of_meter, of_head_end = (values(push["blocks"]) for push in (stored, estimates))
        assert of_meter.keys() == of_head_end.keys()
        assert all(of_meter[at] != of_head_end[at] for at in of_meter)
        assert "quality" not in stored["blocks"][0]
        assert set(estimates["blocks"][0]["quality"]) == {"2.8.0"}

    @pytest.mark.parametrize(
        ("method", "path", "body", "status"),
        [
            pytest.param("GET", "intervals", {"serial": "9", "day": "2026-03-27"}, 404, id="truth-of-no-meter"),
            pytest.param("GET", "intervals", {"day": "friday"}, 400, id="truth-of-no-day"),
            pytest.param("POST", "intervals", {"serials": ["9"]}, 404, id="push-of-no-meter"),
            pytest.param("POST", "irregular", {"kind": "odd"}, 422, id="no-kind"),
            pytest.param("POST", "irregular", {"kind": "gap", "serial": "9"}, 404, id="no-meter"),
        ],
    )
    def test_refuses_what_there_is_not(
        self, head_end: Any, method: str, path: str, body: dict[str, Any], status: int
    ) -> None:
        body = {"serial": head_end.meters()[0]["serial"]} | body
        members: dict[str, Any] = {"params": body} if method == "GET" else {"json": body}
        assert head_end.api.request(method, f"/control/{path}", **members).status_code == status
