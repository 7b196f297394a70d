"""What is a job, and what is not: every rule from both sides."""

from typing import Any

import pytest

from simulators.headend_rest.jobs import NotAJob, TooManyDevices, read_submission

CORRELATION = "0c2f8f0e-2f0c-4d42-9a52-1f3a3c0d7a11"
DEVICE = {"serial": "0000001234", "reference": "cmd-1"}
REGISTER = {"obis": "1-0:1.8.0*255", "unit": "kWh", "digits": 6, "decimals": 2, "factor": "1"}
PROVISION = DEVICE | {"device_id": "1", "commodity": "electricity", "registers": [REGISTER]}
PERIOD = {"from": "2026-03-27T23:00:00Z", "to": "2026-03-28T23:00:00Z"}


LOAD = DEVICE | {"event": "e", "action": "schedule", "start": "2026-03-27T17:00:00Z", "minutes": 60, "percent": 40}


def job(kind: str, *devices: Any, **members: Any) -> dict[str, Any]:
    return {"correlation_id": CORRELATION, "kind": kind, "devices": list(devices)} | members


class TestReadSubmission:
    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(job("provision", PROVISION), id="provision"),
            pytest.param(job("read_registers", DEVICE | {"period": PERIOD}), id="read-registers"),
            pytest.param(job("read_intervals", DEVICE | {"period": PERIOD}), id="read-intervals"),
            pytest.param(job("read_on_demand", DEVICE), id="read-on-demand"),
            pytest.param(job("switch", DEVICE | {"state": "connected"}), id="connect"),
            pytest.param(job("switch", DEVICE | {"state": "disconnected"}), id="disconnect"),
            pytest.param(job("switch_state", DEVICE), id="switch-state"),
            pytest.param(job("limit_demand", DEVICE | {"limit_kw": "4.5"}), id="limit"),
            pytest.param(job("limit_demand", DEVICE | {"limit_kw": None}), id="no-limit"),
            pytest.param(job("control_load", LOAD), id="load"),
            pytest.param(job("control_load", DEVICE | {"event": "e", "action": "cancel"}), id="load-cancelled"),
            pytest.param(job("set_time", DEVICE), id="time"),
            pytest.param(job("show_text", DEVICE | {"text": "t" * 200}), id="longest-text"),
            pytest.param(job("switch_state", DEVICE, expires_at="2026-03-28T10:00:00.123456Z"), id="expires"),
            pytest.param(job("switch_state", DEVICE, callback_url="http://127.0.0.1/x"), id="callback"),
            pytest.param(job("switch_state", DEVICE | {"reference": "r" * 64}), id="longest-reference"),
            pytest.param(job("switch_state", DEVICE, colour="green"), id="unknown-member"),
            pytest.param(
                job("switch_state", *({"serial": "1", "reference": str(each)} for each in range(1000))),
                id="1000-devices",
            ),
        ],
    )
    def test_takes_a_job(self, body: dict[str, Any]) -> None:
        submission = read_submission(body)
        assert submission.kind == body["kind"]
        assert [order.serial for order in submission.orders] == [device["serial"] for device in body["devices"]]

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            pytest.param([], "the body is not an object", id="no-object"),
            pytest.param(job("switch_state", DEVICE, correlation_id="x"), "correlation_id is not a UUID", id="no-uuid"),
            pytest.param(job("open", DEVICE), "kind is none of", id="no-kind"),
            pytest.param(job("switch_state"), "devices is not a list of at least one", id="no-device"),
            pytest.param(job("switch_state", "0001"), r"devices\[0\] is not an object", id="device-is-text"),
            pytest.param(job("switch_state", {"reference": "r"}), r"devices\[0\].serial is missing", id="no-serial"),
            pytest.param(job("switch_state", DEVICE | {"serial": 1234}), "serial is missing", id="serial-is-a-number"),
            pytest.param(job("switch_state", DEVICE | {"reference": "r" * 65}), "64 characters", id="long-reference"),
            pytest.param(job("switch_state", DEVICE | {"reference": ""}), "64 characters", id="empty-reference"),
            pytest.param(
                job("switch_state", DEVICE, DEVICE), r"devices\[1\].reference is not unique", id="same-reference"
            ),
            pytest.param(job("switch", DEVICE), "neither connected nor disconnected", id="no-state"),
            pytest.param(
                job("limit_demand", DEVICE | {"limit_kw": 4.5}), "limit_kw is not a decimal", id="limit-number"
            ),
            pytest.param(job("limit_demand", DEVICE | {"limit_kw": "-1"}), "limit_kw is not a decimal", id="negative"),
            pytest.param(job("limit_demand", DEVICE | {"limit_kw": "four"}), "limit_kw is not a decimal", id="words"),
            pytest.param(job("control_load", LOAD | {"action": "stop"}), "schedule nor cancel", id="load-action"),
            pytest.param(job("control_load", LOAD | {"event": ""}), "event is missing", id="load-event"),
            pytest.param(job("control_load", LOAD | {"start": "soon"}), "start is not an instant", id="load-start"),
            pytest.param(job("control_load", LOAD | {"minutes": 0}), "minutes is not", id="load-minutes"),
            pytest.param(job("control_load", LOAD | {"percent": 101}), "percent is not", id="load-percent"),
            pytest.param(job("show_text", DEVICE | {"text": "t" * 201}), "200 characters", id="text-too-long"),
            pytest.param(job("show_text", DEVICE), "200 characters", id="no-text"),
            pytest.param(job("read_intervals", DEVICE), r"devices\[0\].period is missing", id="no-period"),
            pytest.param(job("read_registers", DEVICE), r"devices\[0\].period is missing", id="no-period"),
            pytest.param(
                job("read_registers", DEVICE | {"period": PERIOD | {"to": PERIOD["from"]}}),
                "begin before",
                id="empty-period",
            ),
            pytest.param(
                job("read_registers", DEVICE | {"period": PERIOD | {"to": "2026-03-28T23:00:00"}}),
                "period.to is not an instant",
                id="no-zone",
            ),
            pytest.param(
                job("switch_state", DEVICE, expires_at="soon"), "expires_at is not an instant", id="no-instant"
            ),
            pytest.param(job("switch_state", DEVICE, callback_url="/x"), "callback_url is not a URL", id="no-url"),
            pytest.param(job("provision", PROVISION | {"registers": []}), "registers is not a list", id="no-register"),
            pytest.param(
                job("provision", PROVISION | {"commodity": "steam"}), "commodity is none of", id="no-commodity"
            ),
            pytest.param(
                job("provision", PROVISION | {"registers": [REGISTER | {"factor": 1}]}),
                "factor is not text",
                id="factor",
            ),
            pytest.param(
                job("provision", PROVISION | {"registers": [REGISTER | {"digits": "6"}]}),
                "digits is not a",
                id="digits",
            ),
        ],
    )
    def test_refuses_what_is_no_job(self, body: Any, error: str) -> None:
        with pytest.raises(NotAJob, match=error):
            read_submission(body)

    def test_names_every_mistake(self) -> None:
        with pytest.raises(NotAJob) as raised:
            read_submission({"kind": "switch", "devices": [DEVICE, {"reference": 5}]})
        assert len(raised.value.errors) == 5

    def test_refuses_more_than_1000_devices(self) -> None:
        with pytest.raises(TooManyDevices):
            read_submission(job("switch_state", *({"serial": "1", "reference": str(each)} for each in range(1001))))
