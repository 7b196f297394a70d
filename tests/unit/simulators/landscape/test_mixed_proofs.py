"""The landscape's judgement of further head ends, and of a meter that moved: what held, and what did not."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from simulators.landscape.head_ends import Further, Share
from simulators.landscape.mixed import Move, Played
from simulators.landscape.mixed_proofs import MixedProof
from simulators.landscape.process import Process
from simulators.landscape.verdicts import Row
from tests.unit.simulators.landscape.test_proofs import Side, scenario

OBIS = "1-0:1.29.0*255"
BEGIN = datetime(2027, 3, 28, 0, tzinfo=UTC)
QUARTERS = [(BEGIN + timedelta(minutes=15 * number)).isoformat() for number in range(4)]
EARLY, MOVED, LATE = "2027-03-28T08:00:00Z", "2027-03-29T08:00:00Z", "2027-03-29T09:00:00Z"
ORCHARD = Share(head_end=Further(kind="multispeak", name="orchard", ams_id="AM02"), first=70, meters=1, port=1)

DEVICE: dict[str, Any] = {
    "id": "D1",
    "serial": "S1",
    "status": "confirmed",
    "registers_status": "confirmed",
    "registered": True,
    "registers": [{"lrn": "1", "obis": OBIS}],
}
PROFILE = {
    "id": "P1",
    "device": "D1",
    "obis": OBIS,
    "values": {at: str(number) for number, at in enumerate(QUARTERS)},
    "changed": {},
}
EVENT = {"device": "D1", "type": "0201", "at": EARLY}


class World:
    """All sides of a landscape in which everything went well; a test spoils it."""

    def __init__(self) -> None:
        self.sap: dict[str, Any] = {
            "/control/profiles": {"profiles": [deepcopy(PROFILE)]},
            "/control/events": {"events": [dict(EVENT)]},
            "/control/documents": {"documents": [{"id": "1", "category": "1", "devices": {"D1": "1"}, "note": ""}]},
            "/control/messages": {"sent": [{"uuid": "u", "confirmed": {"D1": "3"}}]},
        }
        truth = {"channels": [{"obis": OBIS, "start": QUARTERS[0], "interval_minutes": 15, "values": list("0123")}]}
        self.orchard: dict[str, Any] = {
            "/control/switches": {"S1": {"state": "disconnected"}},
            "/control/switch_counts": {"r": {"received": 1}},
            "/control/intervals": truth,
            "/control/commands": {"commands": [{"kind": "read_on_demand", "received_at": LATE}]},
        }
        self.meadow: dict[str, Any] = {
            "/control/commands": {"commands": [{"kind": "read_on_demand", "received_at": EARLY}]}
        }
        register = {"measurement_task_id": "1", "reading_type": OBIS}
        self.mdus: dict[str, Any] = {"/api/v1/devices/S4HANA/D1": {"head_end": "orchard", "registers": [register]}}
        self.device = dict(DEVICE)
        self.refusals: dict[str, str] = {}
        self.row = Row(process="p", sent=1, confirmed=1)

    def proof(self, *, has_moved: bool = False) -> MixedProof:
        clients: Any = SimpleNamespace(
            sap=Side(self.sap),
            mdus=Side(self.mdus),
            head_end=Side(self.meadow),
            further={"orchard": Side(self.orchard)},
        )
        process = Process(name="p")
        played = Played(
            share=ORCHARD,
            meters=[{"serial": "S1"}],
            readings=process,
            switches=process,
            devices=["D1"],
            profiles=["P1"],
            told=[{"serial": "S1", "at": EARLY}],
        )
        moved = Move(
            share=ORCHARD,
            meter={"serial": "S1"},
            before=process,
            after=process,
            device="D1",
            profiles=["P1"],
            messages=["u"],
            at=MOVED,
        )
        played.switches.refusals = self.refusals
        mixed = SimpleNamespace(played=[] if has_moved else [played], moved=moved if has_moved else None)
        return MixedProof(clients, scenario(mixed=mixed), {"D1": self.device}, row=lambda _: self.row)


def lose_a_value(world: World) -> None:
    del world.sap["/control/profiles"]["profiles"][0]["values"][QUARTERS[2]]


def change_a_value(world: World) -> None:
    world.sap["/control/profiles"]["profiles"][0]["values"][QUARTERS[2]] = "7"


def know_no_truth(world: World) -> None:
    world.orchard["/control/intervals"]["channels"][0]["values"] = []


def lose_the_event(world: World) -> None:
    world.sap["/control/events"]["events"] = []


def tell_the_event_twice(world: World) -> None:
    world.sap["/control/events"]["events"] *= 2


def leave_the_breaker(world: World) -> None:
    world.orchard["/control/switches"]["S1"]["state"] = "connected"


def switch_twice(world: World) -> None:
    world.orchard["/control/switch_counts"]["r"]["received"] = 2


def register_never(world: World) -> None:
    world.device["registered"] = False


def refuse_without_a_reason(world: World) -> None:
    world.refusals = {"1": "its head end takes no switch"}


def lose_an_order(world: World) -> None:
    world.row = Row(process="p", sent=1, lost=1)


class TestAHeadEnd:
    def test_holds_where_all_came_about(self) -> None:
        [judged] = World().proof().head_ends()
        assert (judged.name, judged.kind, judged.held) == ("orchard", "multispeak", True)
        assert (judged.devices, judged.days, judged.events) == ((1, 1), (2, 2), (1, 1))

    @pytest.mark.parametrize(
        "spoil",
        [
            lose_a_value,
            change_a_value,
            know_no_truth,
            lose_the_event,
            tell_the_event_twice,
            leave_the_breaker,
            switch_twice,
            register_never,
            refuse_without_a_reason,
            lose_an_order,
        ],
    )
    def test_does_not_hold_where_one_thing_is_wrong(self, spoil: Any) -> None:
        world = World()
        spoil(world)
        [judged] = world.proof().head_ends()
        assert not judged.held

    def test_says_why_switches_were_refused(self) -> None:
        world = World()
        refuse_without_a_reason(world)
        world.sap["/control/documents"]["documents"][0]["note"] = "It takes none"
        [judged] = world.proof().head_ends()
        assert (judged.reasons, judged.held) == (["It takes none"], True)

    def test_is_elsewhere_with_its_devices(self) -> None:
        assert World().proof().elsewhere() == World().proof(has_moved=True).elsewhere() == {"D1"}


def be_asked_at_the_old_one_late(world: World) -> None:
    world.meadow["/control/commands"]["commands"].append({"kind": "read_on_demand", "received_at": LATE})


def be_asked_at_the_new_one_early(world: World) -> None:
    world.orchard["/control/commands"]["commands"].append({"kind": "read_on_demand", "received_at": EARLY})


def be_asked_never(world: World) -> None:
    world.orchard["/control/commands"]["commands"] = []


def refuse_the_change(world: World) -> None:
    world.sap["/control/messages"]["sent"][0]["confirmed"] = {"D1": "5"}


def stay(world: World) -> None:
    world.mdus["/api/v1/devices/S4HANA/D1"]["head_end"] = "meadow"


def have_other_registers(world: World) -> None:
    world.mdus["/api/v1/devices/S4HANA/D1"]["registers"] = []


def come_twice(world: World) -> None:
    world.sap["/control/profiles"]["profiles"][0]["changed"] = {QUARTERS[1]: "7"}


class TestAMeterThatMoved:
    def test_holds_where_it_stayed_the_same(self) -> None:
        [check] = World().proof(has_moved=True).checks()
        assert check.held, check.seen
        assert "meadow before" in check.seen

    @pytest.mark.parametrize(
        "spoil",
        [
            be_asked_at_the_old_one_late,
            be_asked_at_the_new_one_early,
            be_asked_never,
            refuse_the_change,
            stay,
            have_other_registers,
            come_twice,
            lose_a_value,
            lose_an_order,
        ],
    )
    def test_does_not_hold_where_one_thing_is_wrong(self, spoil: Any) -> None:
        world = World()
        spoil(world)
        [check] = world.proof(has_moved=True).checks()
        assert not check.held

    def test_is_not_spoken_of_where_none_did(self) -> None:
        assert list(World().proof().checks()) == []
