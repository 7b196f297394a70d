"""SAP = MDUS = head end, every night: what differs is provisioned or becomes a case, what is mended closes it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device import EndDeviceStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.workers import reconcile, registry_sync
from tests.flows import registry
from tests.flows.both_sides import ENERGY, BothSides, texts

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
DEVICE, SERIAL = "000000000000000042", "S000000000000000042"
SWITCH = "SmartMeterUtilitiesConnectionStatusChangeRequestERPCreateRequest"


class Landscape:
    """A device that SAP has told of, and the head end that should serve it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.sides = BothSides(url, folder, now=START)

    def initialize(self, *, register: bool = True, location: bool = True) -> None:
        """Let SAP tell of the device, and MDUS tell its head end."""
        self.sides.tell(registry.DEVICE, registry.device(DEVICE))
        if register:
            self.sides.tell(registry.REGISTER, registry.register(DEVICE))
        if location:
            self.sides.tell(registry.LOCATION, registry.location(DEVICE))
        self.sides.rest()

    def serve(self, **changes: Any) -> dict[str, Any]:
        """Let the head end have the meter, as it should or otherwise."""
        meter = {
            "serial": SERIAL,
            "provisioned": True,
            "device_id": DEVICE,
            "registers": [{"obis": ENERGY}],
            "first_heard_at": "2026-03-28T10:05:00Z",
            "last_heard_at": "2026-03-29T09:00:00Z",
            "has_breaker": True,
            "switch_state": "connected",
            **changes,
        }
        self.sides.head_end.meters = [meter]
        return meter

    def provisioned(self, **result: Any) -> None:
        """Let the head end take the meter over, or say why not."""
        self.sides.answer(CommandKind.PROVISION, **result)
        self.sides.rest()

    def night(self) -> tuple[str, str]:
        """A day goes by, then both jobs run, what the first makes is carried out between; returns what the jobs say."""
        self.sides.clock.move(days=1)
        now = self.sides.clock.now()
        head_ends = {"city": self.sides.connected}
        synced = registry_sync.run(self.sides.database, head_ends, now=now, day=now.date())
        self.sides.rest()
        reconciled = reconcile.run(self.sides.database, head_ends, now=now, day=now.date())
        self.sides.rest()
        return synced, reconciled

    def cases(self) -> list[str]:
        """The kinds of the open cases."""
        return sorted(case.kind for case in self.sides.all(ExceptionCase) if case.closed_at is None)

    def provisionings(self) -> int:
        """How often the head end was told of the meter."""
        return len(self.sides.submitted(CommandKind.PROVISION))


@pytest.fixture
def landscape(sqlite_url: str, tmp_path: Path) -> Iterator[Landscape]:
    made = Landscape(sqlite_url, tmp_path)
    yield made
    made.sides.close()


class TestSidesInStep:
    def test_stay_as_they_are(self, landscape: Landscape) -> None:
        landscape.initialize()
        landscape.serve()
        landscape.provisioned()
        synced, reconciled = landscape.night()

        nothing = "0 missing, 0 unknown, 0 left behind, 0 failed to provision"
        assert synced == f"city: 1 devices compared, 0 to be provisioned, {nothing}"
        assert "no contradiction" in reconciled
        assert landscape.cases() == []
        assert landscape.provisionings() == 1

    def test_make_a_lost_first_communication_good(self, landscape: Landscape) -> None:
        """The push that the meter was heard got lost: SAP is told a night later."""
        landscape.initialize()
        landscape.serve()
        assert landscape.sides.sap.messages(registry.ALL_REGISTERED) == []
        landscape.night()

        (told,) = landscape.sides.sap.messages(registry.ALL_REGISTERED)
        assert texts(told, f"{registry.REGISTERED}Message/UtilitiesDevice/ID") == [DEVICE]
        landscape.night()
        assert len(landscape.sides.sap.messages(registry.ALL_REGISTERED)) == 1


class TestAMissingMeter:
    def test_is_a_case_until_its_head_end_has_it_and_is_provisioned_then(self, landscape: Landscape) -> None:
        landscape.initialize()
        landscape.provisioned(status="failed", code="UNKNOWN_METER", text="not here")
        landscape.night()
        assert landscape.cases() == ["device_never_heard", "meter_missing"]

        landscape.serve(provisioned=False, device_id=None, registers=[], first_heard_at=None, last_heard_at=None)
        landscape.night()
        assert landscape.provisionings() == 2
        assert "meter_missing" not in landscape.cases()

        landscape.provisioned()
        landscape.serve()
        landscape.night()
        assert landscape.cases() == []


class TestAnExtraMeter:
    def test_is_a_case_until_sap_tells_of_it(self, landscape: Landscape) -> None:
        landscape.serve()
        landscape.night()
        assert landscape.cases() == ["meter_unknown"]

        landscape.initialize()
        landscape.night()
        assert landscape.cases() == []

    def test_that_is_not_provisioned_is_none(self, landscape: Landscape) -> None:
        landscape.serve(provisioned=False)
        landscape.night()
        assert landscape.cases() == []


class TestADifferingMeter:
    @pytest.mark.parametrize(
        "changes",
        [
            pytest.param({"registers": []}, id="a register is missing"),
            pytest.param({"registers": [{"obis": ENERGY}, {"obis": "1-0:2.8.0*255"}]}, id="a register is extra"),
            pytest.param({"device_id": "000000000000099999"}, id="it is another device there"),
            pytest.param({"provisioned": False}, id="it is not provisioned any more"),
        ],
    )
    def test_is_provisioned_again(self, landscape: Landscape, changes: dict[str, Any]) -> None:
        landscape.initialize()
        landscape.provisioned()
        landscape.serve(**changes)
        landscape.night()
        assert landscape.provisionings() == 2

        landscape.provisioned()
        landscape.serve()
        landscape.night()
        assert landscape.provisionings() == 2
        assert landscape.cases() == []

    def test_that_cannot_be_provisioned_is_a_case(self, landscape: Landscape) -> None:
        landscape.initialize()
        landscape.provisioned(status="failed", code="REGISTER_MISMATCH", text="no such unit")
        landscape.serve(registers=[])
        landscape.night()
        assert landscape.cases() == ["provisioning_failed"]
        (case,) = landscape.sides.all(ExceptionCase)
        assert "REGISTER_MISMATCH" in case.note


class TestADeviceOutOfStep:
    def test_without_registers_is_a_case_until_sap_sends_one(self, landscape: Landscape) -> None:
        landscape.initialize(register=False)
        landscape.serve(provisioned=False, registers=[])
        landscape.night()
        assert landscape.cases() == ["register_missing"]
        assert landscape.provisionings() == 0

        landscape.sides.tell(registry.REGISTER, registry.register(DEVICE))
        landscape.sides.rest()
        landscape.provisioned()
        landscape.serve()
        landscape.night()
        assert landscape.cases() == []
        assert landscape.provisionings() == 1

    def test_that_falls_silent_is_a_case_until_it_is_heard(self, landscape: Landscape) -> None:
        landscape.initialize()
        landscape.serve()
        for _ in range(3):
            landscape.night()
            assert landscape.cases() == []
        landscape.night()
        assert landscape.cases() == ["device_silent"]

        heard = {"serial": SERIAL, "first": False, "at": landscape.sides.clock.now().isoformat()}
        landscape.sides.push("heard", {"delivery_id": "h-1", "meters": [heard]})
        landscape.sides.rest()
        landscape.night()
        assert landscape.cases() == []


class TestABreaker:
    def order(self, landscape: Landscape) -> None:
        """SAP has the meter disconnected, and is told so."""
        landscape.sides.tell(
            SWITCH,
            "<UtilitiesConnectionStatusChangeRequest><ID>1</ID><CategoryCode>1</CategoryCode>"
            f"<PlannedProcessingDateTime>{landscape.sides.clock.now():%Y-%m-%dT%H:%M:%SZ}</PlannedProcessingDateTime>"
            f"<DeviceConnectionStatus><UtilitiesDeviceID>{DEVICE}</UtilitiesDeviceID><SmartMeter>"
            "<UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>"
            "</DeviceConnectionStatus></UtilitiesConnectionStatusChangeRequest>",
        )
        landscape.sides.rest()
        for kind in (CommandKind.SWITCH, CommandKind.SWITCH_STATE):
            landscape.sides.clock.move(seconds=20)
            now = landscape.sides.clock.now().isoformat()
            landscape.sides.answer(kind, switch_state="disconnected", switched_at=now)
            landscape.sides.rest()

    def test_that_its_head_end_reports_otherwise_is_a_case_and_is_not_switched(self, landscape: Landscape) -> None:
        landscape.initialize()
        landscape.serve()
        landscape.night()
        self.order(landscape)
        landscape.night()
        assert landscape.cases() == ["switch_state_differs"]
        assert len(landscape.sides.submitted(CommandKind.SWITCH)) == 1

        landscape.serve(switch_state="disconnected")
        landscape.night()
        assert landscape.cases() == []

    def test_that_stands_otherwise_than_sap_was_told_is_a_case(self, landscape: Landscape) -> None:
        landscape.initialize()
        landscape.serve(switch_state="disconnected")
        landscape.night()
        self.order(landscape)
        (status,) = landscape.sides.all(EndDeviceStatus)
        assert status.switch_state == "disconnected"
        landscape.night()
        assert landscape.cases() == []

        self.told_to_be(landscape, "connected")  # somebody connected it by hand
        landscape.serve()
        landscape.night()
        assert landscape.cases() == ["switch_contradiction", "switch_report_contradicted"]

    def told_to_be(self, landscape: Landscape, state: str) -> None:
        """A result that comes late says how the breaker stands."""
        landscape.sides.clock.move(hours=2)
        now = landscape.sides.clock.now().isoformat()
        for number, job in enumerate(landscape.sides.head_end.submitted, start=1):
            if job["kind"] != CommandKind.SWITCH_STATE.value:
                continue
            (order,) = job["devices"]
            result = {
                "serial": order["serial"],
                "reference": order["reference"],
                "status": "ok",
                "completed_at": now,
                "readings": [],
                "switch_state": state,
                "switched_at": now,
            }
            told = {"delivery_id": "late", "token": f"t-{number}", "correlation_id": job["correlation_id"]}
            landscape.sides.push("results", {**told, "kind": "switch_state", "results": [result]})
        landscape.sides.rest()


class TestAHeadEndThatDoesNotAnswer:
    def test_is_named_and_leaves_the_cases_as_they_are(self, landscape: Landscape) -> None:
        landscape.initialize()
        landscape.provisioned(status="failed", code="UNKNOWN_METER", text="not here")
        landscape.night()
        before = landscape.cases()
        landscape.sides.head_end.down = True
        synced, reconciled = landscape.night()
        assert "city" in synced
        assert "503" in synced
        assert "503" in reconciled
        assert landscape.cases() == before
