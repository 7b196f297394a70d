"""Concentrators at a real broker: birth and last will, commands, what was kept while away, and how they misbehave."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest

from simulators.clock import stamp
from simulators.fleet.process import main
from simulators.headend_mqtt import VARIANTS
from simulators.headend_mqtt.face import KIND
from simulators.headend_mqtt.faults import FAULTS
from tests.unit.simulators.headend_mqtt.conftest import Reader, Site

Start = Callable[..., Site]


class TestCommandLine:
    def test_lists_every_fault_with_a_sentence(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(KIND, ["--list-faults"]) == 0
        table = json.loads(capsys.readouterr().out)
        assert [row["name"] for row in table] == list(FAULTS)
        assert all(row["description"].endswith(".") and row["process"] for row in table)

    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            (["--broker", "carrier-pigeon"], "mosquitto, amqtt or mqtt://host:port"),
            (["--broker", "amqtt", "--concentrators", "0"], "nobody is at the broker"),
        ],
        ids=["broker", "concentrators"],
    )
    def test_ends_with_2_and_the_reason_when_set_up_wrongly(
        self, options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(KIND, options) == 2
        assert complaint in capsys.readouterr().err

    def test_starts_without_mdus_at_hand(self) -> None:
        script = "import sys, simulators.headend_mqtt.__main__; sys.exit('mdus' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("variant", sorted(VARIANTS))
class TestBothVersions:
    def test_say_at_birth_which_meters_are_behind_them(self, start: Start, variant: str) -> None:
        site = start(variant)
        site.until(lambda: len(site.reader.told) >= 2, "two birth messages")

        behind = {each.body["src"]: each.body["meters"] for each in site.reader.told}
        assert sorted(behind) == ["DC-001", "DC-002"]
        assert sorted(behind["DC-001"] + behind["DC-002"]) == sorted(meter["serial"] for meter in site.meters())
        assert all(each.retain for each in site.reader.told)
        assert site.row["options"] == {"version": variant, "headend": "field"}

    def test_answer_commands_and_carry_them_out_once(self, start: Start, variant: str) -> None:
        site = start(variant)
        meter = site.meter()
        assert site.answer(site.command(meter, "ping"))["code"] == "NOT_PROVISIONED"
        site.install(meter)

        key = site.command(meter, "switch", args={"state": "disconnected"})
        assert site.answer(key)["state"] == "disconnected"
        site.command(meter, "switch", args={"state": "disconnected"}, id=key)

        assert site.answer(key, count=2)["status"] == "ok"
        assert [count["executed"] for count in site.get("switch_counts").values()] == [1]
        read = site.answer(site.command(meter, "read_on_demand"))
        assert [row["obis"] for row in read["reads"]] == [row["obis"] for row in meter["registers"]]

    def test_do_nothing_that_expired_or_is_not_understood(self, start: Start, variant: str) -> None:
        site = start(variant)
        meter = site.meter()
        site.install(meter)
        past = stamp(site.now - timedelta(seconds=1))

        late = site.command(meter, "switch", args={"state": "disconnected"}, expires=past)
        odd = site.command(meter, "switch", args={"state": "ajar"})

        assert site.answer(late)["code"] == "EXPIRED"
        assert site.answer(odd)["code"] == "NOT_UNDERSTOOD"
        assert site.get("switches")[meter["serial"]]["state"] == "connected"

    def test_leave_a_last_will_and_tell_later_what_they_kept(self, start: Start, variant: str) -> None:
        site = start(variant)
        meter = site.meter()
        site.install(meter)
        name = meter["concentrator"]
        site.post("concentrators", {"name": name, "online": False})
        site.until(lambda: site.states(name)[-1:] == ["offline"], "the last will")

        for number in range(3):
            site.post("event", {"serial": meter["serial"], "code": f"3.12.29.{number + 39}"})
        site.post("concentrators", {"name": name, "online": True})

        site.until(lambda: sum(each.kind == "evt" for each in site.reader.told) == 3, "the backlog")
        assert site.states(name)[-1] == "online"

    def test_answer_what_waited_for_them_at_the_broker(self, start: Start, variant: str) -> None:
        site = start(variant)
        meter = site.meter()
        site.install(meter)
        site.post("concentrators", {"name": meter["concentrator"], "online": False})
        key = site.command(meter, "switch", args={"state": "disconnected"})
        site.until(lambda: any(each.body.get("id") == key for each in site.reader.told), "the command at the broker")

        site.advance(minutes=61)
        site.post("concentrators", {"name": meter["concentrator"], "online": True})

        assert site.answer(key)["code"] == "EXPIRED"
        assert site.get("switches")[meter["serial"]]["state"] == "connected"

    def test_take_more_commands_than_their_network_bears_at_once(self, start: Start, variant: str) -> None:
        site = start(variant, "--profile", "plc", "--meters", "150", "--concentrators", "1")

        keys = [site.command(meter, "ping") for meter in site.meters()]

        assert {site.answer(key)["code"] for key in keys} == {"NOT_PROVISIONED"}


class TestFaults:
    @pytest.fixture
    def site(self, start: Start) -> Site:
        site = start("5")
        site.install(site.meter())
        return site

    def test_a_response_may_name_no_command(self, site: Site) -> None:
        site.arm("message_without_cid")
        site.command(site.meter(), "read_on_demand")

        site.until(lambda: site.reader.told[-1].kind == "rsp" and site.reader.told[-1].cid is None, "such a response")
        assert site.reader.told[-1].body["reads"]

    def test_a_command_that_nobody_gave_may_be_answered(self, site: Site) -> None:
        site.arm("response_to_unknown_cid")
        key = site.command(site.meter(), "ping")
        site.answer(key)

        unknown, right = site.reader.told[-2:]
        assert unknown.cid not in (None, key)
        assert right.cid == key

    def test_a_response_may_be_retained(self, site: Site) -> None:
        site.arm("retained_old_response")
        key = site.command(site.meter(), "ping")
        site.answer(key)

        later = Reader(site.port, is_5=True)
        site.until(lambda: [each.cid for each in later.told if each.kind == "rsp"] == [key], "the old response")
        later.close()

    def test_a_message_may_come_twice(self, site: Site) -> None:
        site.arm("duplicate_message")
        key = site.command(site.meter(), "ping")

        site.answer(key, count=2)
        first, second = site.answers(key)
        assert first == second

    def test_a_birth_message_may_be_lost_and_repeated(self, start: Start) -> None:
        site = start("5", "--faults", "birth_lost=1", "--concentrators", "1")
        assert site.reader.told == []

        site.advance(minutes=5)

        site.until(lambda: site.states("DC-001") == ["online"], "the repetition")

    def test_a_response_may_come_in_parts(self, site: Site) -> None:
        meter = next(each for each in site.meters() if len(each["registers"]) > 1)
        site.install(meter)
        site.arm("response_in_parts")
        whole = len(site.answer(site.command(meter, "ping"))["reads"])  # no values to be parted
        assert (whole, site.get("faults")["fired"]["response_in_parts"]["count"]) == (0, 0)

        key = site.command(meter, "read_on_demand")

        site.answer(key, count=2)
        first, second = site.answers(key)
        assert (first["final"], second["final"]) == (False, True)
        assert first["id"] != second["id"]
        read = [row["obis"] for row in first["reads"] + second["reads"]]
        assert read == [row["obis"] for row in meter["registers"]]
        assert first["reads"]

    def test_a_concentrator_may_vanish_with_a_command_and_come_back_with_what_it_kept(self, site: Site) -> None:
        meter = site.meter()
        site.arm("concentrator_offline")
        lost = site.command(meter, "switch", args={"state": "disconnected"})
        site.until(lambda: site.states(meter["concentrator"])[-1] == "offline", "the last will")
        site.post("event", {"serial": meter["serial"], "code": "3.12.29.39"})
        site.advance(minutes=9)
        assert not [each for each in site.reader.told if each.kind == "evt"]

        site.advance(hours=6)

        site.until(lambda: [each for each in site.reader.told if each.kind == "evt"], "what was kept")
        assert site.answer(site.command(meter, "switch_state"))["state"] == "connected"
        assert site.answers(lost) == []

    def test_the_broker_may_start_again(self, site: Site) -> None:
        site.arm("broker_restarted")
        site.post("event", {"serial": site.meter()["serial"], "code": "3.12.29.39"})

        site.until(lambda: [each for each in site.reader.told if each.kind == "evt"], "the event, after all")
        assert site.answer(site.command(site.meter(), "ping"))["status"] == "ok"
        assert site.get("faults")["fired"]["broker_restarted"]["count"] == 1
