"""Proofs about the further head ends and about a meter that moved: their simulators, MDUS and SAP compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from simulators.clock import instant
from simulators.landscape.clients import Client, Clients
from simulators.landscape.mixed import Move, Played
from simulators.landscape.process import Process
from simulators.landscape.scenario import Scenario
from simulators.landscape.verdicts import Check, HeadEnd, Row

#: A cover that was opened, as SAP calls it.
_COVER_OPENED = "0201"
_TOLERANCE = timedelta(minutes=2)
#: Whole days that the landscape sees the end of.
_DAYS = (1, 2)


class MixedProof:
    """This will judge what was played at further head ends; `row` counts the orders of a process."""

    def __init__(
        self,
        clients: Clients,
        scenario: Scenario,
        devices: Mapping[str, Mapping[str, Any]],
        *,
        row: Callable[[Process], Row],
    ) -> None:
        self._clients = clients
        self._scenario = scenario
        self._devices = devices
        self._row = row
        self._profiles = {each["id"]: each for each in clients.sap.get("/control/profiles")["profiles"]}
        self._events = clients.sap.get("/control/events")["events"]
        self._documents = {each["id"]: each for each in clients.sap.get("/control/documents")["documents"]}

    def elsewhere(self) -> set[str]:
        """This will return the devices that are not, or were not always, with the head end that has most meters."""
        moved = self._scenario.mixed.moved
        mine = {device for each in self._scenario.mixed.played for device in each.devices}
        return mine if moved is None else {*mine, moved.device}

    def head_ends(self) -> Iterator[HeadEnd]:
        """This will judge each further head end."""
        for each in self._scenario.mixed.played:
            yield self._judged(each)

    def checks(self) -> Iterator[Check]:
        """This will say whether the meter that moved was read at both head ends, without gap or double."""
        moved = self._scenario.mixed.moved
        if moved is not None:
            yield self._moved(moved)

    def _judged(self, each: Played) -> HeadEnd:
        head_end = each.share.head_end
        client = self._clients.further[head_end.name]
        done = [device for device in each.devices if _is_in_service(self._devices[device])]
        readings, switches = self._row(each.readings), self._row(each.switches)
        judged = HeadEnd(
            name=head_end.name,
            kind=head_end.kind,
            devices=(len(each.devices), len(done)),
            readings=readings,
            switches=switches,
        )
        judged.reasons = sorted({self._documents[name]["note"] for name in each.switches.refusals})
        judged.notes += ["a switch was refused without a reason"] if "" in judged.reasons else []
        wrong = [device for device in each.devices if not _is_in_service(self._devices[device])]
        judged.notes += [f"device {device} of {self._devices[device]['serial']} is not in service" for device in wrong]
        judged.notes += self._wrong_breakers(each, client)
        whole = [self._whole_days(profile, client) for profile in each.profiles]
        judged.days = (len(_DAYS) * len(each.profiles), sum(sum(days) for days in whole))
        lacking = [(name, days) for name, days in zip(each.profiles, whole, strict=True) if not all(days)]
        judged.notes += [self._lack(name, client) for name, _ in lacking]
        judged.events = (len(each.told), sum(self._times_at_sap(event) == 1 for event in each.told))
        judged.notes += [
            f"event of {event['serial']}: {self._times_at_sap(event)} at SAP"
            for event in each.told
            if self._times_at_sap(event) != 1
        ]
        return judged

    def _wrong_breakers(self, each: Played, client: Client) -> Iterator[str]:
        """Compare the meters' breakers with what SAP was told last, and look for orders that came twice."""
        states = client.get("/control/switches")
        serials = {device: meter["serial"] for device, meter in zip(each.devices, each.meters, strict=True)}
        told: dict[str, str] = {}
        for document in sorted(self._documents.values(), key=lambda one: str(one["id"])):
            for device, result in document["devices"].items():
                if device in serials and result == "1":
                    told[serials[device]] = "disconnected" if document["category"] == "1" else "connected"
        for serial, state in told.items():
            if states[serial]["state"] != state:
                yield f"the breaker of {serial} is {states[serial]['state']}, SAP was told {state}"
        for reference, count in client.get("/control/switch_counts").items():
            if count["received"] > 1:
                yield f"switch {reference} came {count['received']} times"

    def _whole_days(self, profile: str, client: Client) -> list[bool]:
        """Tell of each whole day whether SAP has all its values, as they truly passed."""
        return [not self._differing(self._profiles[profile], day, client) for day in _DAYS]

    def _differing(self, profile: Mapping[str, Any], day: int, client: Client) -> dict[datetime, Decimal | None]:
        """Return what SAP has instead of the truth, by the start of the interval; where nothing is true, a start."""
        serial = self._devices[profile["device"]]["serial"]
        answer = client.get("/control/intervals", serial=serial, day=self._scenario.day_names[day])
        channel = next(one for one in answer["channels"] if one["obis"] == profile["obis"])
        start, length = instant(channel["start"]), timedelta(minutes=channel["interval_minutes"])
        true = {start + number * length: Decimal(value) for number, value in enumerate(channel["values"])}
        had = {instant(at): Decimal(value) for at, value in profile["values"].items()}
        if not true:
            return {start: None}
        return {at: had.get(at) for at, value in true.items() if had.get(at) != value}

    def _lack(self, name: str, client: Client) -> str:
        profile = self._profiles[name]
        found = {at: value for day in _DAYS for at, value in self._differing(profile, day, client).items()}
        first = min(found)
        return (
            f"profile {name} of {self._devices[profile['device']]['serial']} {profile['obis']}: {len(found)} values "
            f"missing or not true, first {first:%Y-%m-%d %H:%M} UTC: {found[first]}"
        )

    def _times_at_sap(self, told: Mapping[str, Any]) -> int:
        at = instant(told["at"])
        return sum(
            event["device"] is not None
            and self._devices[event["device"]]["serial"] == told["serial"]
            and event["type"] == _COVER_OPENED
            and abs(instant(event["at"]) - at) <= _TOLERANCE
            for event in self._events
        )

    # The meter that moved -----------------------------------------------------------------------------------------

    def _moved(self, moved: Move) -> Check:
        serial, to = moved.meter["serial"], moved.share.head_end.name
        wrong = [*self._row(moved.before).notes, *self._row(moved.after).notes]
        wrong += [] if self._row(moved.before).held and self._row(moved.after).held else ["a reading is lost"]
        sent = {message["uuid"]: message for message in self._clients.sap.get("/control/messages")["sent"]}
        wrong += [
            f"the change is answered {sent[uuid]['confirmed']}"
            for uuid in moved.messages
            if set(sent[uuid]["confirmed"].values()) != {"3"}
        ]
        old, new = self._clients.head_end, self._clients.further[to]
        wrong += self._read_at(old, moved, "the head end it left", is_before=True)
        wrong += self._read_at(new, moved, to, is_before=False)
        known = self._clients.mdus.get(f"/api/v1/devices/S4HANA/{moved.device}")
        wrong += [] if known["head_end"] == to else [f"MDUS has it at {known['head_end']}"]
        registers = {(row["lrn"], row["obis"]) for row in self._devices[moved.device]["registers"]}
        same = {(row["measurement_task_id"], row["reading_type"]) for row in known["registers"]}
        wrong += [] if registers == same else [f"its registers are {sorted(same)}"]
        for name in moved.profiles:
            profile = self._profiles[name]
            wrong += [f"values of {name} came twice, changed"] if profile["changed"] else []
            # Both have the very meter: it is one, and shows what it shows.
            wrong += [] if all(self._whole_days(name, new)) else [self._lack(name, new)]
        return Check(
            name="a meter that moves to another head end stays the same, without gap or double",
            held=not wrong,
            seen="; ".join(wrong)
            or f"{serial}: meadow before {moved.at}, {to} after; {len(registers)} registers, "
            f"{len(moved.before.orders)} + {len(moved.after.orders)} readings, {len(moved.profiles)} profiles whole",
        )

    def _read_at(self, client: Client, moved: Move, where: str, *, is_before: bool) -> list[str]:
        """Look at a head end's own log for reads: those before the move were there, those after it elsewhere."""
        log = client.get("/control/commands", serial=moved.meter["serial"])["commands"]
        reads = [row for row in log if row["kind"] == "read_on_demand"]
        times = [instant(row["received_at"]) < instant(moved.at) for row in reads]
        return [] if reads and all(early is is_before for early in times) else [f"{where} was asked at {times}"]


def _is_in_service(device: Mapping[str, Any]) -> bool:
    return device["status"] == device["registers_status"] == "confirmed" and bool(device["registered"])
