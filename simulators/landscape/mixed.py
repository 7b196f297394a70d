"""A mixed fleet, played through SAP: meters at head ends of other kinds, and one that moves from one to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulators.clock import stamp
from simulators.landscape.head_ends import Share, has_mover
from simulators.landscape.process import Process

if TYPE_CHECKING:
    from simulators.landscape.scenario import Scenario

# SAP's meter reading reason, and the categories of values and of switching.
_CONTROL = "10"
_STORED, _ON_DEMAND = "0", "1"
_DISCONNECT, _RECONNECT = 1, 2
#: A block of meters has all makes: of the first the interval values are measured.
_MEASURED = 10
_SWITCHED, _TELLING = 2, 2
_COVER_OPENED = "3.12.29.39"


@dataclass(slots=True, kw_only=True)
class Played:
    """What was ordered of a head end: devices, profiles and events by what they are, orders and documents by name."""

    share: Share
    meters: list[dict[str, Any]]
    readings: Process
    switches: Process
    devices: list[str] = field(default_factory=list)
    profiles: list[str] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)  # events


@dataclass(slots=True, kw_only=True)
class Move:
    """A meter that moves: the device, and what was ordered of it at the head end it leaves and where it goes."""

    share: Share  # where it goes
    meter: dict[str, Any]
    before: Process
    after: Process
    device: str = ""
    profiles: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    at: str = ""


class MixedActs:
    """This will play the further head ends of `scenario`; nothing where there are none."""

    def __init__(self, scenario: Scenario, shares: Sequence[Share]) -> None:
        self._scenario = scenario
        self._shares = shares
        self.played: list[Played] = []
        self.moved: Move | None = None

    def without_mover(self, meters: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """This will take the meter that is to move from the meters of the head end that has most of them."""
        if not has_mover(self._shares):
            return meters
        before, after = Process(name="reading before a move"), Process(name="reading after a move")
        self.moved = Move(share=self._shares[0], meter=meters[-1], before=before, after=after)
        return meters[:-1]

    # Each act only orders: what comes of it happens while the acts after it wait for what they have ordered.

    def initialize(self) -> None:
        """Meters of all head ends are put into service."""
        for share in self._shares:
            name = share.head_end.name
            meters = self._scenario.clients.further[name].get("/control/meters")["meters"]
            if self.moved is not None and share is self.moved.share:
                meters = meters[1:]
            readings, switches = Process(name=f"reading at {name}"), Process(name=f"switching at {name}")
            played = Played(share=share, meters=meters, readings=readings, switches=switches)
            measured = [{**meter, "channels": meter["channels"] * (n < _MEASURED)} for n, meter in enumerate(meters)]
            played.devices = self._create(measured, system=share.head_end.ams_id)
            self.played.append(played)
        if self.moved is not None:
            [self.moved.device] = self._create([self.moved.meter])

    def awaited(self) -> list[str]:
        """This will return the devices that are soon heard of: not those of a head end that tells of none by itself."""
        moved = [] if self.moved is None else [self.moved.device]
        return moved + [device for each in self._taking_orders() for device in each.devices]

    def assign(self) -> None:
        """Load profiles are assigned from the first whole day on."""
        for each in self.played:
            each.profiles = self._assign(each.devices[:_MEASURED])
        if self.moved is not None:
            self.moved.profiles = self._assign([self.moved.device])

    def begin(self) -> None:
        """Meters are read on demand, and some switched off; where no orders are taken SAP tries all the same."""
        for each in self._taking_orders():
            self._read(each.readings, each.devices, on=0, source=_ON_DEMAND)
        if self.moved is not None:
            self._read(self.moved.before, [self.moved.device], on=0, source=_ON_DEMAND)
        for each in self.played:
            self._switch(each, _DISCONNECT)

    def reconnect(self) -> None:
        """Those meters are switched on again, and others tell something."""
        for each in self._taking_orders():
            self._switch(each, _RECONNECT)
        for each in self.played:
            self._tell(each)

    def read_stored(self) -> None:
        """The values stored in the night are read at all head ends."""
        for each in self.played:
            self._read(each.readings, each.devices, on=1, source=_STORED)
        if self.moved is not None:
            self._read(self.moved.before, [self.moved.device], on=1, source=_STORED)

    def move(self) -> None:
        """A meter goes over: its old head end hears of it no more, and SAP names its new metering system."""
        clients, moved = self._scenario.clients, self.moved
        if moved is None:
            return
        moved.at = stamp(self._scenario.steering.now())
        clients.head_end.post("/control/leave", serials=[moved.meter["serial"]])
        system = moved.share.head_end.ams_id
        moved.messages = clients.sap.post("/control/move_devices", devices=[moved.device], system=system)["messages"]

    def read_moved(self) -> None:
        """That meter is read where it is now."""
        if self.moved is not None:
            self._read(self.moved.after, [self.moved.device], on=2, source=_ON_DEMAND)

    def _taking_orders(self) -> list[Played]:
        return [each for each in self.played if each.share.head_end.takes_orders]

    def _create(self, meters: list[dict[str, Any]], **system: str) -> list[str]:
        made = self._scenario.clients.sap.post("/control/devices", meters=meters, profiles=True, **system)
        return [device["id"] for device in made["devices"]]

    def _assign(self, devices: list[str]) -> list[str]:
        sap, since = self._scenario.clients.sap, self._scenario.day_names[1]
        return list(sap.post("/control/assign_profiles", devices=devices, start_on=since)["profiles"])

    def _read(self, process: Process, devices: Sequence[str], *, on: int, source: str) -> None:
        process.orders += self._scenario.ordered(devices, reason=_CONTROL, on=on, source=source)

    def _switch(self, each: Played, category: int) -> None:
        pairs = zip(each.devices, each.meters, strict=True)
        able = [device for device, meter in pairs if meter["has_breaker"]][:_SWITCHED]
        made = self._scenario.clients.sap.post("/control/connection_orders", devices=able, category=category)
        each.switches.documents += made["documents"]
        if not each.share.head_end.takes_orders:
            each.switches.refusals |= dict.fromkeys(made["documents"], "its head end takes no switch")

    def _tell(self, each: Played) -> None:
        at = stamp(self._scenario.steering.now().replace(microsecond=0))
        some = [meter["serial"] for meter in each.meters if meter["commodity"] == "electricity"][-_TELLING:]
        client = self._scenario.clients.further[each.share.head_end.name]
        each.told += [client.post("/control/event", serial=serial, code=_COVER_OPENED, at=at) for serial in some]
