"""Each fault and each scripted ending, as the client meets it."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from simulators.clock import instant
from simulators.headend_rest.faults import FAULTS


@pytest.fixture
def meter(head_end: Any) -> dict[str, Any]:
    """A meter with a breaker, provisioned and heard."""
    meter: dict[str, Any] = head_end.meters("LX100-SW")[0]
    head_end.provision(meter)
    return meter


def disconnect(meter: dict[str, Any], reference: str = "r") -> dict[str, str]:
    return {"serial": meter["serial"], "reference": reference, "state": "disconnected"}


def state(head_end: Any, meter: dict[str, Any]) -> Any:
    return head_end.get("/control/switches")[meter["serial"]]["state"]


def fired(head_end: Any, name: str) -> Any:
    return head_end.get("/control/faults")["fired"][name]


class TestNeverAnswers:
    def test_cuts_the_connection_and_does_nothing(self, head_end: Any, meter: dict[str, Any]) -> None:
        head_end.control("faults", name="never_answers")
        correlation = str(uuid4())
        with pytest.raises(httpx.TransportError):
            head_end.submit("switch", disconnect(meter), correlation_id=correlation)
        assert head_end.get("/v1/jobs", correlation_id=correlation) == {"jobs": []}
        head_end.idle()
        assert state(head_end, meter) == "connected"
        count = head_end.get("/control/switch_counts")["r"]
        assert (count["received"], count["executed"], count["lost"]) == (0, 0, 1)
        assert fired(head_end, "never_answers")["hits"][0]["references"] == ["r"]
        assert head_end.submit("switch", disconnect(meter)).status_code == 202


class TestAmbiguousSubmit:
    def test_cuts_the_connection_but_carries_the_job_out(
        self, head_end: Any, meter: dict[str, Any], receiver: Any
    ) -> None:
        head_end.control("faults", name="ambiguous_submit")
        correlation = str(uuid4())
        with pytest.raises(httpx.TransportError):
            head_end.submit("switch", disconnect(meter), correlation_id=correlation)
        assert receiver.results(count=2)["r"]["switch_state"] == "disconnected"
        [job] = head_end.get("/v1/jobs", correlation_id=correlation)["jobs"]
        assert job["token"] == receiver.of("results")[-1]["token"]
        count = head_end.get("/control/switch_counts")["r"]
        assert (count["received"], count["executed"], count["lost"]) == (1, 1, 0)
        assert fired(head_end, "ambiguous_submit")["count"] == 1


class TestOverloaded:
    def test_answers_503_and_does_nothing(self, head_end: Any, meter: dict[str, Any]) -> None:
        head_end.control("faults", name="overloaded")
        answer = head_end.submit("switch", disconnect(meter))
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        head_end.idle()
        assert state(head_end, meter) == "connected"
        assert fired(head_end, "overloaded")["count"] == 1


class TestErrorPage:
    @pytest.mark.parametrize(
        ("fault", "status", "content", "executed"),
        [
            pytest.param("html_error_page", 500, "<h1>", 0, id="nothing was done"),
            pytest.param("html_error_page_after_acceptance", 500, "<h1>", 1, id="carried out"),
            pytest.param("empty_200", 200, "", 1, id="carried out, and nothing said"),
        ],
    )
    def test_says_nothing_of_what_was_done(
        self, head_end: Any, meter: dict[str, Any], fault: str, status: int, content: str, executed: int
    ) -> None:
        head_end.control("faults", name=fault)
        correlation = str(uuid4())
        answer = head_end.submit("switch", disconnect(meter), correlation_id=correlation)
        assert answer.status_code == status
        assert content in answer.text
        head_end.idle()
        assert state(head_end, meter) == ("disconnected" if executed else "connected")
        assert len(head_end.get("/v1/jobs", correlation_id=correlation)["jobs"]) == executed
        count = head_end.get("/control/switch_counts")["r"]
        assert (count["received"], count["executed"], count["lost"]) == (executed, executed, 1 - executed)
        assert head_end.submit("switch", disconnect(meter, "again")).status_code == 202


class TestAcceptsThenSilence:
    def test_does_nothing_and_tells_nothing(self, head_end: Any, meter: dict[str, Any], receiver: Any) -> None:
        head_end.control("faults", name="accepts_then_silence")
        answer = head_end.submit("switch", disconnect(meter))
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
        head_end.advance(days=2)
        head_end.idle()
        assert head_end.get(f"/v1/jobs/{answer.json()['token']}")["state"] == "running"
        assert state(head_end, meter) == "connected"
        assert "r" not in receiver.results()

    def test_hits_one_device_order_of_many(self, head_end: Any, receiver: Any) -> None:
        head_end.provision()
        head_end.control("faults", name="accepts_then_silence")
        meters = head_end.meters()
        head_end.submit("read_on_demand", *({"serial": m["serial"], "reference": m["serial"]} for m in meters))
        results = receiver.results(count=20 + 19)
        [hit] = fired(head_end, "accepts_then_silence")["hits"]
        assert {m["serial"] for m in meters} - results.keys() == set(hit["references"]) == {hit["serial"]}


class TestDuplicateCallback:
    def test_pushes_the_same_twice(self, head_end: Any, meter: dict[str, Any], receiver: Any) -> None:
        head_end.control("faults", name="duplicate_callback")
        head_end.submit("switch", disconnect(meter))
        pushes = receiver.wait("results", lambda pushes: len(pushes) == 3)
        assert pushes[1] == pushes[2]
        head_end.submit("switch_state", {"serial": meter["serial"], "reference": "s"})
        receiver.results(count=3)
        head_end.idle()
        assert len(receiver.of("results")) == 4


class TestCallbackBeforeAcknowledgement:
    def test_has_pushed_when_the_answer_comes(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--latency", "3600")
        meter = head_end.meters("LX100-SW")[0]
        head_end.provision(meter)
        head_end.control("faults", name="callback_before_acknowledgement")
        answer = head_end.submit("switch", disconnect(meter))
        # No waiting here: the push came first.
        assert receiver.of("results")[-1]["token"] == answer.json()["token"]

    def test_is_not_the_rule(self, run: Callable[..., Any], receiver: Any) -> None:
        head_end = run("--latency", "3600")
        meter = head_end.meters("LX100-SW")[0]
        head_end.provision(meter)
        head_end.submit("switch", disconnect(meter))
        assert len(receiver.of("results")) == 1


class TestStuckRelay:
    def test_fails_and_leaves_the_state(self, head_end: Any, meter: dict[str, Any], receiver: Any) -> None:
        head_end.control("faults", name="stuck_relay")
        head_end.submit("switch", disconnect(meter))
        result = receiver.results(count=2)["r"]
        assert (result["status"], result["code"], result["switch_state"]) == ("failed", "RELAY_STUCK", "connected")
        assert state(head_end, meter) == "connected"
        count = head_end.get("/control/switch_counts")["r"]
        assert (count["received"], count["executed"]) == (1, 0)


class TestLateResult:
    def test_acts_in_time_and_tells_after_expiry(self, head_end: Any, meter: dict[str, Any], receiver: Any) -> None:
        head_end.control("faults", name="late_result")
        expires_at = "2026-03-27T10:30:00Z"
        token = head_end.submit("switch", disconnect(meter), expires_at=expires_at).json()["token"]
        due = instant(head_end.idle()["next_due"])
        assert due > instant(expires_at)
        assert state(head_end, meter) == "disconnected"
        assert head_end.get(f"/v1/jobs/{token}")["results"] == []
        head_end.advance_to(due)
        result = receiver.results(count=2)["r"]
        assert (result["status"], result["completed_at"]) == ("ok", "2026-03-27T10:00:00Z")


class TestAll:
    def test_fire_in_a_run_of_switches_and_leave_every_account_true(self, run: Callable[..., Any]) -> None:
        can_be_met = {"provision", "switch", "disconnect"}
        of_jobs = [name for name, fault in FAULTS.items() if fault.hits_jobs and can_be_met & set(fault.kinds)]
        head_end = run("--faults", ",".join(of_jobs), "--seed", "11")
        meters = head_end.meters("LX100-SW") + head_end.meters("LX200-SW")
        for meter in meters:
            order = {
                "serial": meter["serial"],
                "reference": f"p-{meter['serial']}",
                "device_id": "1",
                "commodity": meter["commodity"],
                "registers": meter["registers"],
            }
            while not head_end.get(f"/v1/meters/{meter['serial']}")["provisioned"]:
                try:
                    head_end.submit("provision", order)
                except httpx.TransportError:
                    continue
                head_end.advance(minutes=1)  # maintenance ends
                head_end.idle()
        for number in range(100):
            try:
                head_end.submit("switch", *(disconnect(meter, f"{number}-{meter['serial']}") for meter in meters[:3]))
            except httpx.TransportError:
                continue
            head_end.advance(minutes=1)
        account = head_end.get("/control/faults")
        assert list(account["fired"]) == of_jobs
        assert all(1 <= each["count"] <= 3 for each in account["fired"].values())
        assert set(account["remaining"].values()) == {0}


class TestScript:
    def test_fails_twice_then_answers(self, head_end: Any, meter: dict[str, Any], receiver: Any) -> None:
        head_end.control("script", serial=meter["serial"], outcomes=["NO_RESPONSE", "BUSY"])
        for number in range(3):
            head_end.submit("read_on_demand", {"serial": meter["serial"], "reference": f"try-{number}"})
            receiver.results(count=2 + number)
        results = receiver.results(count=4)
        assert [results[f"try-{number}"]["code"] for number in range(3)] == ["NO_RESPONSE", "BUSY", None]

    def test_waits_for_its_kind(self, head_end: Any, meter: dict[str, Any], receiver: Any) -> None:
        head_end.control("script", serial=meter["serial"], kind="switch", outcomes=["NO_RESPONSE"])
        head_end.submit("read_on_demand", {"serial": meter["serial"], "reference": "read"})
        head_end.submit("switch", disconnect(meter, "switch"))
        results = receiver.results(count=3)
        assert (results["read"]["code"], results["switch"]["code"]) == (None, "NO_RESPONSE")
        assert state(head_end, meter) == "connected"

    @pytest.mark.parametrize(
        ("outcome", "status", "code", "told", "true"),
        [
            pytest.param("ok", "ok", None, "disconnected", "disconnected", id="ok"),
            pytest.param("acts_then_no_response", "failed", "NO_RESPONSE", None, "disconnected", id="acts-silently"),
            pytest.param("lies", "ok", None, "disconnected", "connected", id="lies"),
            pytest.param("RELAY_STUCK", "failed", "RELAY_STUCK", "connected", "connected", id="stuck"),
            pytest.param("LOW_CREDIT", "ok", None, "disconnected", "disconnected", id="credit-needed-to-connect-only"),
        ],
    )
    def test_ends_a_switch_as_told(
        self,
        head_end: Any,
        meter: dict[str, Any],
        receiver: Any,
        outcome: str,
        status: str,
        code: str | None,
        told: str | None,
        true: str,
    ) -> None:
        head_end.control("script", serial=meter["serial"], outcomes=[outcome])
        head_end.submit("switch", disconnect(meter))
        result = receiver.results(count=2)["r"]
        assert (result["status"], result["code"], result["switch_state"]) == (status, code, told)
        assert state(head_end, meter) == true

    def test_refuses_to_connect_without_credit(self, head_end: Any, meter: dict[str, Any], receiver: Any) -> None:
        head_end.submit("switch", disconnect(meter, "off"))
        head_end.idle()
        head_end.control("script", serial=meter["serial"], outcomes=["LOW_CREDIT"])
        head_end.submit("switch", {"serial": meter["serial"], "reference": "on", "state": "connected"})
        result = receiver.results(count=3)["on"]
        assert (result["code"], result["switch_state"]) == ("LOW_CREDIT", "disconnected")

    def test_tells_later_as_told(self, head_end: Any, meter: dict[str, Any]) -> None:
        head_end.control("script", serial=meter["serial"], outcomes=["late:90"])
        head_end.submit("switch", disconnect(meter))
        assert head_end.idle()["next_due"] == "2026-03-27T10:01:30Z"

    def test_keeps_named_faults_away(self, head_end: Any, meter: dict[str, Any], receiver: Any) -> None:
        head_end.control("faults", name="never_answers")
        head_end.control("script", serial=meter["serial"], outcomes=["ok"])
        assert head_end.submit("switch", disconnect(meter)).status_code == 202
        assert fired(head_end, "never_answers")["count"] == 0

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            pytest.param("script", {"serial": "1", "outcomes": ["ok"]}, 404, id="meter"),
            pytest.param("script", {"outcomes": ["explodes"]}, 422, id="outcome"),
            pytest.param("script", {"outcomes": ["late:soon"]}, 422, id="lateness"),
            pytest.param("script", {"outcomes": ["ok"], "kind": "open"}, 422, id="kind"),
            pytest.param("faults", {"name": "explodes"}, 422, id="fault"),
            pytest.param("faults", {"name": "never_answers", "times": 0}, 422, id="times"),
        ],
    )
    def test_is_refused_when_it_names_nothing(
        self, head_end: Any, meter: dict[str, Any], path: str, body: dict[str, Any], status: int
    ) -> None:
        answer = head_end.api.post(f"/control/{path}", json={"serial": meter["serial"]} | body)
        assert answer.status_code == status
