"""Each path of the API, over HTTP, against a running head end."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

CALLBACK = "http://127.0.0.1:9/nowhere"


def device(meter: dict[str, Any], reference: str = "r", **members: Any) -> dict[str, Any]:
    return {"serial": meter["serial"], "reference": reference, **members}


class TestAuthentication:
    @pytest.mark.parametrize(
        "auth",
        [
            pytest.param(None, id="none"),
            pytest.param(("mdus", "x"), id="password"),
            pytest.param(("x", "secret"), id="user"),
        ],
    )
    def test_refuses_wrong_credentials(self, head_end: Any, auth: tuple[str, str] | None) -> None:
        head_end.api.auth = None
        answer = head_end.api.get("/v1/meters", auth=auth)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
        assert answer.headers["Content-Type"] == "application/problem+json"

    def test_lets_the_client_in(self, head_end: Any) -> None:
        assert head_end.api.get("/v1/meters").status_code == 200


class TestCapabilities:
    def test_names_every_kind_of_job(self, head_end: Any) -> None:
        told = head_end.api.get("/v1/capabilities").json()
        assert set(told) == {"kinds", "version"}
        assert {"switch", "limit_demand", "control_load", "set_time", "show_text"} <= set(told["kinds"])
        for kind in told["kinds"]:
            refused = head_end.api.post("/v1/jobs", json={"kind": kind}).json()["errors"]
            assert not any(error.startswith("kind is none of") for error in refused), kind


class TestSubmit:
    @pytest.mark.parametrize(
        ("content", "status"),
        [
            pytest.param(b"{", 400, id="not-json"),
            pytest.param(b"[]", 400, id="not-an-object"),
            pytest.param(b"{}", 422, id="not-a-job"),
        ],
    )
    def test_refuses_what_is_no_job(self, head_end: Any, content: bytes, status: int) -> None:
        answer = head_end.api.post("/v1/jobs", content=content)
        assert answer.status_code == answer.json()["status"] == status
        assert answer.headers["Content-Type"] == "application/problem+json"

    def test_names_the_mistakes(self, head_end: Any) -> None:
        answer = head_end.submit("switch", {"serial": "1", "reference": "r"})
        assert answer.json()["errors"] == ["devices[0].state is neither connected nor disconnected"]

    def test_refuses_more_than_1000_devices(self, head_end: Any) -> None:
        devices = [{"serial": "1", "reference": str(each)} for each in range(1001)]
        assert head_end.submit("switch_state", *devices).status_code == 413
        assert head_end.submit("switch_state", *devices[:1000]).status_code == 202

    def test_answers_503_beyond_its_limit(self, run: Callable[..., Any]) -> None:
        head_end = run("--max-outstanding", "2", "--latency", "60")
        one, two, three = head_end.meters()[:3]
        head_end.provision(one, two)
        head_end.provision(three)
        assert head_end.submit("read_on_demand", device(one, "1"), device(two, "2")).status_code == 202
        answer = head_end.submit("read_on_demand", device(three, "3"))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")

    def test_rejects_single_device_orders_and_takes_the_others(self, head_end: Any) -> None:
        first, second = head_end.meters("LX100-SW")[:2]
        gas = head_end.meters("GX4-B")[0]
        head_end.provision(first, gas)
        answer = head_end.submit(
            "switch",
            device(first, "a", state="disconnected"),
            device(gas, "b", state="disconnected"),
            device(second, "c", state="disconnected"),
            {"serial": "9", "reference": "d", "state": "disconnected"},
        ).json()
        assert answer["accepted"] == 1
        assert {each["reference"]: each["code"] for each in answer["rejected"]} == {
            "b": "NO_BREAKER",
            "c": "NOT_PROVISIONED",
            "d": "UNKNOWN_METER",
        }

    def test_rejects_what_expired_before_it_came(self, head_end: Any) -> None:
        meter = head_end.meters()[0]
        head_end.provision(meter)
        past = head_end.submit("read_on_demand", device(meter, "1"), expires_at="2026-03-27T09:59:59Z").json()
        present = head_end.submit("read_on_demand", device(meter, "2"), expires_at="2026-03-27T10:00:00Z").json()
        assert [each["code"] for each in past["rejected"]] == ["EXPIRED"]
        assert present["rejected"] == []

    def test_fails_what_expired_before_it_was_begun(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--latency", "60")
        meter = head_end.meters("LX100-SW")[0]
        head_end.provision(meter)
        head_end.submit("switch", device(meter, state="disconnected"), expires_at="2026-03-27T10:00:01Z")
        head_end.advance(hours=1)
        assert receiver.results(count=2)["r"]["code"] == "EXPIRED"
        assert head_end.get("/control/switches")[meter["serial"]]["state"] == "connected"

    def test_pushes_to_the_url_of_the_job(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters()[0]
        head_end.provision(meter)
        base = receiver.url.replace("city", "other")
        head_end.submit("read_on_demand", device(meter), callback_url=base)
        head_end.idle()
        assert [path for path, _ in receiver.pushes][-1] == "/head-ends/other/results"


class TestJobs:
    def test_acts_twice_on_the_same_correlation_id(self, head_end: Any) -> None:
        meter = head_end.meters("LX100-SW")[0]
        head_end.provision(meter)
        correlation = str(uuid4())
        order = device(meter, "twice", state="disconnected")
        tokens = [
            head_end.submit("switch", order, correlation_id=correlation).json()["token"],
            head_end.submit("switch", order, correlation_id=correlation.upper()).json()["token"],
        ]
        head_end.idle()
        found = head_end.get("/v1/jobs", correlation_id=correlation)["jobs"]
        assert [job["token"] for job in found] == tokens
        count = head_end.get("/control/switch_counts", reference="twice")["twice"]
        assert (count["received"], count["executed"]) == (2, 2)

    def test_finds_no_job_that_never_was(self, head_end: Any) -> None:
        assert head_end.get("/v1/jobs", correlation_id=str(uuid4())) == {"jobs": []}
        assert head_end.api.get("/v1/jobs").status_code == 400
        assert head_end.api.get("/v1/jobs/j-1").status_code == 404

    def test_shows_running_then_done_with_the_results_pushed(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--latency", "60")
        meter = head_end.meters()[0]
        head_end.provision(meter)
        token = head_end.submit("read_on_demand", device(meter)).json()["token"]
        job = head_end.get(f"/v1/jobs/{token}")
        assert (job["state"], job["accepted"], job["results"]) == ("running", 1, [])
        head_end.advance(hours=1)
        result = receiver.results(count=2)["r"]
        job = head_end.get(f"/v1/jobs/{token}")
        assert (job["state"], job["results"]) == ("done", [result])
        push = receiver.of("results")[-1]
        assert (push["token"], push["correlation_id"], push["kind"]) == (token, job["correlation_id"], "read_on_demand")

    def test_tells_a_large_job_in_a_few_pushes(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--latency", "5", "--meters", "1000", "--failure-rate", "0.05")
        head_end.provision()
        head_end.submit("read_on_demand", *(device(meter, meter["serial"]) for meter in head_end.meters()))
        head_end.advance(hours=1)
        results = receiver.results(count=2000)
        assert 10 < sum(result["code"] == "NO_RESPONSE" for result in results.values()) < 100
        assert len(receiver.of("results")) <= 4


class TestProvision:
    def test_makes_a_meter_known_and_heard_after_a_while(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--hear-delay", "180")
        meter = head_end.meters()[0]
        order = device(
            meter, device_id="000000000000000042", commodity=meter["commodity"], registers=meter["registers"]
        )
        head_end.submit("provision", order)
        assert receiver.results()["r"]["status"] == "ok"
        before = head_end.get(f"/v1/meters/{meter['serial']}")
        assert (before["provisioned"], before["device_id"]) == (True, "000000000000000042")
        assert before["first_heard_at"] is None
        head_end.submit("read_on_demand", device(meter, "too-early"))
        assert receiver.results(count=2)["too-early"]["code"] == "NO_RESPONSE"
        assert timedelta(seconds=180) <= head_end_next(head_end) - head_end.now <= timedelta(seconds=360)
        head_end.advance_to(head_end_next(head_end))
        heard = receiver.wait("heard")[0]["meters"]
        assert [(each["serial"], each["first"]) for each in heard] == [(meter["serial"], True)]
        assert head_end.get(f"/v1/meters/{meter['serial']}")["first_heard_at"] == heard[0]["at"]

    def test_is_repeatable_and_heard_but_once(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters()[0]
        head_end.provision(meter)
        head_end.provision(meter)
        assert len(receiver.of("heard")) == 1

    @pytest.mark.parametrize(
        "change",
        [
            pytest.param({"commodity": "water"}, id="commodity"),
            pytest.param({"obis": "1-0:2.8.0*255"}, id="obis"),
            pytest.param({"unit": "MWh"}, id="unit"),
        ],
    )
    def test_refuses_what_the_meter_does_not_have(self, head_end: Any, receiver: Any, change: dict[str, str]) -> None:
        meter = head_end.meters("LX100-SW")[0]
        registers = [meter["registers"][0] | change]
        order = device(meter, device_id="1", commodity=change.get("commodity", "electricity"), registers=registers)
        head_end.submit("provision", order)
        assert receiver.results()["r"]["code"] == "REGISTER_MISMATCH"
        assert head_end.get(f"/v1/meters/{meter['serial']}")["provisioned"] is False


class TestReading:
    def test_tells_what_the_registers_show(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX200-SW")[0]
        head_end.provision(meter)
        head_end.submit("read_on_demand", device(meter))
        readings = receiver.results(count=2)["r"]["readings"]
        codes = ["1-0:1.8.0*255", "1-0:1.8.1*255", "1-0:1.8.2*255", "1-0:2.8.0*255"]
        assert [reading["obis"] for reading in readings] == codes
        for reading in readings:
            truth = head_end.get("/control/true", serial=meter["serial"], obis=reading["obis"], at=reading["at"])
            assert (reading["value"], reading["unit"]) == (truth["shown"], "kWh")
            assert truth["true"].startswith(reading["value"])

    def test_tells_the_stored_midnights_of_a_period(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("GX4-B")[0]
        head_end.provision(meter)
        head_end.advance(days=4)
        period = {"from": "2026-03-27T23:00:00Z", "to": "2026-03-30T22:00:00Z"}
        head_end.submit("read_registers", device(meter, period=period))
        readings = receiver.results(count=2)["r"]["readings"]
        # The clocks go forward on the 29th: that day has 23 hours.
        assert [reading["at"] for reading in readings] == [
            "2026-03-27T23:00:00Z",
            "2026-03-28T23:00:00Z",
            "2026-03-29T22:00:00Z",
        ]

    def test_fails_for_a_period_without_data(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters()[0]
        head_end.provision(meter)
        future = {"from": "2026-03-28T00:00:00Z", "to": "2026-03-30T00:00:00Z"}
        head_end.submit("read_registers", device(meter, period=future))
        assert receiver.results(count=2)["r"]["code"] == "NO_DATA"


class TestSwitch:
    def test_moves_the_breaker_and_stops_the_register(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100-SW")[0]
        head_end.provision(meter)
        head_end.submit("switch_state", device(meter, "before"))
        assert receiver.results(count=2)["before"]["switch_state"] == "connected"
        assert receiver.results(count=2)["before"]["switched_at"] is None
        head_end.submit("switch", device(meter, "off", state="disconnected"))
        off = receiver.results(count=3)["off"]
        assert (off["status"], off["switch_state"], off["switched_at"]) == (
            "ok",
            "disconnected",
            "2026-03-27T10:00:00Z",
        )
        truths = [
            head_end.get("/control/true", serial=meter["serial"], obis="1-0:1.8.0*255", at=at)["true"]
            for at in ("2026-03-27T09:00:00Z", "2026-03-27T10:00:00Z", "2026-03-27T16:00:00Z")
        ]
        assert truths[0] < truths[1] == truths[2]
        head_end.advance(hours=1)
        head_end.submit("switch", device(meter, "on", state="connected"))
        assert receiver.results(count=4)["on"]["switch_state"] == "connected"
        shown = head_end.get(f"/v1/meters/{meter['serial']}")
        assert (shown["switch_state"], shown["switched_at"]) == ("connected", "2026-03-27T11:00:00Z")


class TestMeters:
    def test_are_paged_by_serial(self, head_end: Any) -> None:
        serials: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = head_end.get("/v1/meters", limit="8", cursor=cursor)
            serials += [meter["serial"] for meter in page["meters"]]
            cursor = page["next_cursor"]
        assert serials == [meter["serial"] for meter in head_end.meters()]

    def test_are_narrowed_to_those_provisioned(self, head_end: Any) -> None:
        meter = head_end.meters()[3]
        head_end.provision(meter)
        provisioned = head_end.get("/v1/meters", provisioned="true")["meters"]
        others = head_end.get("/v1/meters", provisioned="false")["meters"]
        assert [each["serial"] for each in provisioned] == [meter["serial"]]
        assert len(others) == 19

    @pytest.mark.parametrize(
        "parameters",
        [
            pytest.param({"limit": "0"}, id="limit-0"),
            pytest.param({"limit": "1001"}, id="limit-1001"),
            pytest.param({"limit": "ten"}, id="limit-text"),
            pytest.param({"provisioned": "yes"}, id="provisioned"),
            pytest.param({"cursor": "%%%"}, id="cursor"),
        ],
    )
    def test_refuse_unreadable_parameters(self, head_end: Any, parameters: dict[str, str]) -> None:
        assert head_end.api.get("/v1/meters", params=parameters).status_code == 400

    def test_that_do_not_exist_are_not_found(self, head_end: Any) -> None:
        assert head_end.api.get("/v1/meters/1234").status_code == 404


class TestSnapshots:
    def test_are_pushed_after_midnight_with_the_values_of_midnight(self, head_end: Any, receiver: Any) -> None:
        head_end.provision()
        midnight = "2026-03-27T23:00:00Z"
        head_end.advance_to(head_end_next(head_end))
        head_end.advance(minutes=20)
        head_end.idle()
        pushed = [reading for push in receiver.of("readings") for reading in push["readings"]]
        assert {reading["at"] for reading in pushed} == {midnight}
        assert len(pushed) == sum(len(meter["registers"]) for meter in head_end.meters())
        queries = [{"serial": each["serial"], "obis": each["obis"], "at": midnight} for each in pushed]
        truths = head_end.control("true", queries=queries)["values"]
        assert [truth["shown"] for truth in truths] == [reading["value"] for reading in pushed]
        beats = [meter for push in receiver.of("heard")[1:] for meter in push["meters"]]
        assert [each["first"] for each in beats] == [False] * 20

    def test_come_by_period_and_page_once_collected(self, head_end: Any) -> None:
        head_end.provision()
        period = {"from": "2026-03-27T00:00:00Z", "to": "2026-03-29T23:00:00Z"}
        assert head_end.get("/v1/snapshots", **period) == {"readings": [], "next_cursor": None}
        head_end.advance(days=2)
        head_end.idle()
        readings: list[dict[str, str]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = head_end.get("/v1/snapshots", **period, limit="7", cursor=cursor)
            readings += page["readings"]
            cursor = page["next_cursor"]
        # Two midnights, 20 meters, of which two have four registers.
        assert len(readings) == 2 * (20 + 2 * 3)
        assert readings == sorted(readings, key=lambda each: (each["at"], each["serial"], each["obis"]))
        serial = readings[0]["serial"]
        one = head_end.get("/v1/snapshots", **period, serial=serial)["readings"]
        assert one == [reading for reading in readings if reading["serial"] == serial]

    def test_need_a_period(self, head_end: Any) -> None:
        assert head_end.api.get("/v1/snapshots").status_code == 400
        assert head_end.api.get("/v1/snapshots?from=2026-03-27&to=2026-03-28").status_code == 400

    def test_come_late_for_some_meters(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--failure-rate", "0.3", "--meters", "100")
        head_end.provision()
        head_end.advance_to(head_end_next(head_end))
        head_end.advance(minutes=20)
        head_end.idle()
        early = {reading["serial"] for push in receiver.of("readings") for reading in push["readings"]}
        head_end.advance(hours=4)
        head_end.idle()
        everything = {reading["serial"] for push in receiver.of("readings") for reading in push["readings"]}
        assert len(early) < len(everything) == 100


def head_end_next(head_end: Any) -> Any:
    from simulators.clock import instant

    return instant(head_end.idle()["next_due"])
