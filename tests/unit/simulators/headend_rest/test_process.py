"""The process: its command line, its control API, what it pushes until taken, and what outlives a SIGKILL."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulators.clock import instant
from simulators.fleet.process import arguments, build, main
from simulators.headend_rest import VARIANTS
from simulators.headend_rest.face import KIND
from simulators.headend_rest.faults import FAULTS


def read(meter: dict[str, Any], reference: str) -> dict[str, str]:
    return {"serial": meter["serial"], "reference": reference}


class TestCommandLine:
    def test_lists_every_fault_with_a_sentence_and_its_process(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(KIND, ["--list-faults"]) == 0
        table = json.loads(capsys.readouterr().out)
        assert [row["name"] for row in table] == [*FAULTS, "tls_certificate_rollover"]
        assert all(row["description"].endswith(".") and row["process"] for row in table)

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            pytest.param([], "no password", id="no-password"),
            pytest.param(["--password", "x", "--faults", "explodes"], "no fault 'explodes'", id="fault"),
            pytest.param(["--password", "x", "--time-zone", "Mars/Olympus"], "Mars/Olympus", id="zone"),
            pytest.param(["--password", "x", "--concentrators", "-1"], "below 0", id="concentrators"),
        ],
    )
    def test_ends_with_2_and_the_reason_when_set_up_wrongly(
        self,
        options: list[str],
        complaint: str,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.delenv("HEADEND_REST_PASSWORD", raising=False)
        assert main(KIND, options) == 2
        assert complaint in capsys.readouterr().err

    def test_says_first_where_it_is_and_what_row_it_is(self, head_end: Any) -> None:
        assert head_end.row == {"kind": "rest", "url": str(head_end.api.base_url).rstrip("/")}

    def test_has_one_variant_without_further_options(self) -> None:
        assert VARIANTS == {"": []}

    def test_starts_without_mdus_at_hand(self) -> None:
        script = "import sys, simulators.headend_rest.__main__; sys.exit('mdus' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0

    def test_makes_the_same_meters_from_the_same_seed(self, run: Callable[..., Any], tmp_path: Path) -> None:
        first, second, other = (
            run("--seed", seed, "--state", str(tmp_path / f"{number}")).get(
                "/control/meters", at="2026-03-27T10:00:00Z"
            )
            for number, seed in enumerate(("4", "4", "5"))
        )
        assert first == second
        assert first["meters"] != other["meters"]


class TestControl:
    @pytest.mark.parametrize(
        ("address", "status"),
        [pytest.param("127.0.0.1", 200, id="loopback"), pytest.param("10.0.0.9", 403, id="beyond")],
    )
    def test_is_answered_to_the_loopback_only(self, address: str, status: int) -> None:
        app = build(KIND, arguments(KIND).parse_args(["--meters", "1", "--password", "x", "--callback-password", "x"]))

        async def ask() -> int:
            transport = httpx.ASGITransport(app, client=(address, 50000))
            async with httpx.AsyncClient(transport=transport, base_url="http://head-end") as client:
                return (await client.get("/control/meters")).status_code

        assert asyncio.run(ask()) == status

    def test_lists_meters_with_material_registers_and_true_values(self, head_end: Any) -> None:
        listed = head_end.get("/control/meters", at="2026-03-27T10:00:00Z")
        assert (listed["seed"], listed["time_zone"], len(listed["meters"])) == (1, "Europe/Berlin", 20)
        register = listed["meters"][0]["registers"][0]
        assert register.keys() >= {"obis", "unit", "digits", "decimals", "factor", "true", "shown"}
        assert listed["meters"][0]["material"] == "LX100-SW"

    def test_tells_no_truth_of_a_register_that_is_not(self, head_end: Any) -> None:
        serial = head_end.meters()[0]["serial"]
        assert head_end.api.get("/control/true", params={"serial": serial, "obis": "9"}).status_code == 404
        unreadable = {"serial": serial, "obis": "1-0:1.8.0*255", "at": "noon"}
        assert head_end.api.get("/control/true", params=unreadable).status_code == 400

    def test_lets_meters_be_heard_when_told(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--hear-delay", "86400")
        first, second = head_end.meters()[:2]
        head_end.control("hear", serials=[first["serial"]])
        head_end.control("hear", serials=[second["serial"]], at="2026-03-27T12:00:00Z")
        head_end.submit(
            "provision",
            *(
                read(meter, meter["serial"])
                | {"device_id": "1", "commodity": meter["commodity"], "registers": meter["registers"]}
                for meter in (first, second)
            ),
        )
        assert [each["serial"] for each in receiver.wait("heard")[0]["meters"]] == [first["serial"]]
        assert head_end.idle()["next_due"] == "2026-03-27T12:00:00Z"
        head_end.advance_to(instant("2026-03-27T12:00:00Z"))
        pushes = receiver.wait("heard", lambda pushes: len(pushes) == 2)
        assert [each["serial"] for each in pushes[1]["meters"]] == [second["serial"]]

    def test_pushes_a_snapshot_of_the_past_now(self, head_end: Any, receiver: Any) -> None:
        head_end.provision()
        serial = head_end.meters()[0]["serial"]
        assert head_end.control("snapshot") == {"at": "2026-03-26T23:00:00Z", "meters": 20}
        assert head_end.control("snapshot", serials=[serial], at="2026-03-27T10:00:00Z")["meters"] == 1
        pushes = receiver.wait("readings", lambda pushes: len(pushes) == 2)
        assert {reading["serial"] for push in pushes[-1:] for reading in push["readings"]} == {serial}
        assert head_end.api.post("/control/snapshot", json={"at": "2026-03-27T10:01:00Z"}).status_code == 422

    def test_tells_of_concentrators_and_takes_them_away(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--concentrators", "2", "--concentrator-limit", "3")
        head_end.provision()
        first = head_end.meters()[0]
        assert first["concentrator"] == "DC-001"
        assert head_end.api.post("/control/concentrators", json={"name": "DC-9", "online": True}).status_code == 404
        assert head_end.api.post("/control/concentrators", json={"name": "DC-001", "online": 1}).status_code == 422
        head_end.control("concentrators", name="DC-001", online=False)
        head_end.submit("ping", read(first, "away"))
        assert receiver.results(count=21)["away"]["code"] == "NO_RESPONSE"
        told = {"under_way": 0, "most_under_way": 1, "limit": 3, "back_at": None}
        assert head_end.get("/control/concentrators") == {
            "DC-001": told | {"online": False},
            "DC-002": told | {"online": True, "most_under_way": 0},
        }

    def test_shows_what_meters_were_told(self, head_end: Any) -> None:
        meter = head_end.meters()[0]
        head_end.provision(meter)
        head_end.submit("limit_demand", read(meter, "limit") | {"limit_kw": "4.5"})
        head_end.submit("show_text", read(meter, "text") | {"text": "hello"})
        head_end.idle()
        shown = head_end.meters()[0]
        assert (shown["limit_kw"], shown["shown_text"], shown["load_events"]) == ("4.5", "hello", [])

    def test_logs_what_it_was_told_to_do(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters("LX100-SW")[0]
        head_end.provision(meter)
        head_end.submit("switch", read(meter, "off") | {"state": "disconnected"})
        result = receiver.results(count=2)["off"]
        [command] = head_end.get("/control/commands", kind="switch")["commands"]
        assert (command["reference"], command["state"], command["result"]) == ("off", "disconnected", result)


class TestAnswerDelay:
    def test_leaves_who_does_not_wait_unsure_of_a_job_that_is_taken(self, run: Callable[..., Any]) -> None:
        head_end = run("--answer-delay", "600")
        call = "6a0c8d5e-0f57-4f0e-9a41-6a0d6b1c2f10"
        body = {"correlation_id": call, "kind": "read_on_demand", "devices": [{"serial": "9", "reference": "r"}]}

        with pytest.raises(httpx.ReadTimeout):
            head_end.api.post("/v1/jobs", json=body, timeout=0.5)

        assert [job["correlation_id"] for job in head_end.get("/v1/jobs", correlation_id=call)["jobs"]] == [call]


class TestPushes:
    def test_are_repeated_until_taken(self, head_end: Any, receiver: Any) -> None:
        meter = head_end.meters()[0]
        receiver.answers = [500, 302, 401]
        head_end.provision(meter)
        assert receiver.refused == 3
        assert len(receiver.of("results")) == 1

    def test_carry_the_credentials_of_the_head_end(self, head_end: Any, receiver: Any) -> None:
        receiver.user = ("someone", "else")
        meter = head_end.meters()[0]
        head_end.submit("switch_state", read(meter, "r"))  # rejected: nothing is pushed
        order = {"device_id": "1", "commodity": meter["commodity"], "registers": meter["registers"]}
        head_end.submit("provision", read(meter, "p") | order)
        while not receiver.refused:
            head_end.get("/control/activity")
        assert head_end.get("/control/activity")["in_flight"] > 0
        receiver.user = ("head-end", "callback-secret")
        assert receiver.results()["p"]["status"] == "ok"


class TestKill:
    def test_forgets_nothing_it_answered(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--latency", "60", "--faults", "stuck_relay=1")
        stuck, moved = head_end.meters("LX100-SW")[:2]
        head_end.provision()
        head_end.submit("switch", read(stuck, "stuck") | {"state": "disconnected"})
        head_end.advance(hours=1)
        head_end.idle()
        head_end.submit("switch", read(moved, "moved") | {"state": "disconnected"})
        head_end.advance(hours=1)
        head_end.idle()
        head_end.control("script", serial=moved["serial"], outcomes=["NO_RESPONSE"])
        open_job = head_end.submit("switch_state", read(moved, "open")).json()["token"]
        later_job = head_end.submit("switch_state", read(moved, "later")).json()["token"]
        paths = ["/control/switches", "/control/switch_counts", "/control/faults", "/control/commands"]
        paths += [f"/v1/jobs/{open_job}", "/v1/meters"]
        before = [head_end.get(path) for path in paths]
        head_end.kill()
        head_end.start()
        assert [head_end.get(path) for path in paths] == before
        head_end.advance(hours=1)
        results = receiver.results(count=20 + 4)
        assert results["open"]["code"] == "NO_RESPONSE"
        assert results["later"]["switch_state"] == "disconnected"
        head_end.idle()
        assert head_end.get(f"/v1/jobs/{later_job}")["state"] == "done"
        counts = head_end.get("/control/switch_counts")
        assert {name: (each["received"], each["executed"]) for name, each in counts.items()} == {
            "stuck": (1, 0),
            "moved": (1, 1),
        }

    def test_pushes_afterwards_what_was_not_taken_before(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run()
        meter = head_end.meters()[0]
        head_end.provision(meter)
        receiver.user = ("nobody", "")
        head_end.submit("read_on_demand", read(meter, "r"))
        while not receiver.refused:
            head_end.get("/control/activity")
        head_end.kill()
        receiver.user = ("head-end", "callback-secret")
        assert len(receiver.of("results")) == 1
        head_end.start()
        assert receiver.results(count=2)["r"]["status"] == "ok"

    def test_catches_up_the_midnights_it_missed(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run()
        head_end.provision()
        head_end.kill()
        head_end.advance(days=3)
        head_end.start()
        head_end.idle()
        midnights = {reading["at"] for push in receiver.of("readings") for reading in push["readings"]}
        assert midnights == {"2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"}

    def test_keeps_a_late_result_until_its_time(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--faults", "late_result=1")
        meter = head_end.meters("LX100-SW")[0]
        head_end.provision(meter)
        head_end.submit("switch", read(meter, "late") | {"state": "disconnected"})
        due = head_end.idle()["next_due"]
        head_end.kill()
        head_end.start()
        assert head_end.idle()["next_due"] == due
        assert "late" not in receiver.results()
        head_end.advance_to(instant(due))
        assert receiver.results(count=2)["late"]["switch_state"] == "disconnected"
        assert head_end.get("/control/switch_counts")["late"]["executed"] == 1

    def test_refuses_the_state_of_other_meters(self, run: Callable[..., Any], capsys: Any) -> None:
        head_end = run()
        head_end.provision()
        head_end.kill()
        options = ["--password", "x", "--meters", "20", "--state", str(head_end.state_file)]
        assert main(KIND, [*options, "--seed", "2"]) == 2
        assert "of seed 1" in capsys.readouterr().err
