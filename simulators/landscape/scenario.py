"""Three local days of a utility, played through SAP: each business process is ordered here and judged in report.py.

Day 1 is the day before a change to daylight saving, day 2 the day of 23 hours, day 3 an ordinary one.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from simulators.landscape.clients import Clients, stamp
from simulators.landscape.events import EventActs
from simulators.landscape.head_ends import Share
from simulators.landscape.mixed import MixedActs
from simulators.landscape.process import Process
from simulators.landscape.profiles import ProfileActs
from simulators.landscape.steering import Steering
from simulators.landscape.technical import TechnicalActs

# SAP's meter reading reasons and categories, as the orders use them.
_PERIODIC, _MOVE_OUT, _MOVE_IN, _CONTROL, _DISCONNECTION = "01", "03", "06", "10", "13"
_STORED, _ON_DEMAND = "0", "1"
_DISCONNECT, _RECONNECT = 1, 2

#: When the first day begins for the landscape.
FIRST_HOUR = time(6)


def days_with_change(zone: ZoneInfo, *, after: datetime) -> tuple[date, date, date]:
    """This will return the day before the next change of the zone's offset, the day itself and the day after.

    In a zone without daylight saving it is the second day from `after`.
    """
    first = after.astimezone(zone).date() + timedelta(days=2)
    for day in (first + timedelta(days=n) for n in range(400)):
        begin = datetime.combine(day, time(), zone).utcoffset()
        end = datetime.combine(day + timedelta(days=1), time(), zone).utcoffset()
        if begin != end:
            return day - timedelta(days=1), day, day + timedelta(days=1)
    return first, first + timedelta(days=1), first + timedelta(days=2)


class Scenario:
    """Plays the three days; `progress(done, of, what)` is told how far it is."""

    def __init__(
        self,
        clients: Clients,
        steering: Steering,
        *,
        zone: ZoneInfo,
        days: tuple[date, date, date],
        seed: int,
        operate: Callable[..., None],
        progress: Callable[[int, int, str], None],
        storm_limit: int,
        spares: int = 0,
        shares: Sequence[Share] = (),
    ) -> None:
        self.clients = clients
        self.steering = steering
        self.zone = zone
        self.days = days
        self._random = Random(f"{seed}/scenario")
        self._operate = operate
        self._progress = progress
        self._spares = spares
        self.storm_limit = storm_limit
        self.meters: list[dict[str, Any]] = []
        self.spares: list[dict[str, Any]] = []  # meters of the head end that SAP does not know at first
        self.technical = TechnicalActs(self)
        self.telling = EventActs(self)
        self.profiles = ProfileActs(self)
        self.mixed = MixedActs(self, shares)
        self.processes: dict[str, Process] = {}
        self.resent: list[str] = []  # messages sent twice on purpose
        self.changed: list[str] = []  # messages sent again with other content

    @property
    def day_names(self) -> list[str]:
        """The three local days, ISO 8601."""
        return [day.isoformat() for day in self.days]

    def play(self) -> None:
        """This will run all three days and end in the morning after the last."""
        acts: Sequence[tuple[str, Callable[[], None]]] = (
            ("device initialization", self._initialize),
            ("load profiles of further head ends", self.mixed.assign),
            ("load profiles", self.profiles.assign),
            ("reading and disconnection at further head ends", self.mixed.begin),
            ("periodic and on-demand reading", self._first_readings),
            ("reconnection at further head ends", self.mixed.reconnect),
            ("cancellation", self._cancel),
            ("disconnection", self._disconnect),
            ("reconnection", self._reconnect),
            ("refused switching", self._refuse),
            ("repeated messages", self._repeat),
            ("smart meter events", self.telling.tell),
            ("the day of the change", self._second_day),
            ("stored values of further head ends", self.mixed.read_stored),
            ("technical change", self.technical.change),
            ("the last day", self._third_day),
            ("a meter moves to another head end", self.mixed.move),
            ("device replacement", self.technical.replace),
            ("reading of the meter that moved", self.mixed.read_moved),
            ("the last night", self._last_night),
        )
        for number, (what, act) in enumerate(acts):
            self._progress(number, len(acts), what)
            act()
        self._progress(len(acts), len(acts), "done")

    # Day 1 --------------------------------------------------------------------------------------------------------

    def _initialize(self) -> None:
        """Most devices in bulk and in order, some with their four messages shuffled, a few one by one."""
        meters = self.mixed.without_mover(self.clients.head_end.get("/control/meters")["meters"])
        known = len(meters) - self._spares
        self.meters, self.spares = self.profiles.measured(meters[:known]), meters[known:]
        singles = max(1, min(20, len(self.meters) // 20))
        shuffled = max(1, len(self.meters) // 10)
        groups = (
            (self.meters[:singles], {"bulk": False, "order": "in_order"}),
            (self.meters[singles : singles + shuffled], {"bulk": True, "order": "shuffled"}),
            (self.meters[singles + shuffled :], {"bulk": True, "order": "in_order"}),
        )
        process = self.process("device initialization")
        for meters, how in groups:
            if meters:
                made = self.clients.sap.post("/control/devices", meters=meters, profiles=True, **how)
                process.devices += [device["id"] for device in made["devices"]]
        self.mixed.initialize()
        self.steering.wait_for(self._all_registered, within=timedelta(hours=2), what="registration of all devices")

    def _all_registered(self) -> bool:
        registered = {
            device["id"] for device in self.clients.sap.get("/control/devices")["devices"] if device["registered"]
        }
        return registered >= {*self._initialized(), *self.mixed.awaited()}

    def _first_readings(self) -> None:
        self.steering.run_until(self.at(0, 9))
        self.order("periodic reading", self._initialized(), reason=_PERIODIC, on=0, source=_STORED)
        some = self.some(self.devices(), 0.05)
        self.order("on-demand reading", some, reason=_CONTROL, on=0, source=_ON_DEMAND)
        self.steering.settle(within=timedelta(minutes=20))

    def _cancel(self) -> None:
        """A reading order of a later day and a planned disconnection are taken back in time; one cancel comes twice."""
        orders = self.order("cancelled reading", self.some(self.devices(), 0.02), reason=_CONTROL, on=2, source=_STORED)
        self.steering.settle(within=timedelta(minutes=5))
        self.clients.sap.post("/control/cancel_readings", orders=orders, bulk=True)
        self.process("cancelled reading").cancelled.update(orders)
        documents = self._switch(
            "cancelled disconnection",
            self.some(self._switchable(), 0.02),
            category=_DISCONNECT,
            at=self.at(0, 16),
        )
        self.steering.settle(within=timedelta(minutes=10))
        self.clients.sap.post("/control/cancel_connections", documents=documents)
        self.process("cancelled disconnection").cancelled.update(documents)
        self.steering.settle(within=timedelta(minutes=10))

    def _disconnect(self) -> None:
        self.steering.run_until(self.at(0, 10))
        some = self.some(self._switchable(), 0.05)
        self.order("disconnection reading", some, reason=_DISCONNECTION, on=0, source=_ON_DEMAND)
        half = max(1, len(some) // 2)
        self._switch("disconnection", some[:half], category=_DISCONNECT, at=None)
        # The others: one document for several devices, planned for a later hour.
        self._switch("disconnection", some[half:], category=_DISCONNECT, at=self.at(0, 13), per_document=3)
        self.steering.run_until(self.at(0, 14))

    def _reconnect(self) -> None:
        disconnected = self.devices_of(self.process("disconnection"))
        self._switch("reconnection", disconnected, category=_RECONNECT, at=None)
        self.steering.run_until(self.at(0, 15, 30))

    def _refuse(self) -> None:
        """Each is a failed confirmation with its reason, and no breaker moves."""
        name = "refused switching"
        process, switchable = self.process(name), self._switchable()
        without = [device for device in self.devices() if device not in set(switchable)]
        late = self._switch(name, self.some(switchable, 0, least=1), category=_DISCONNECT, at=self.at(0, 12))
        test = self._switch(name, self.some(switchable, 0, least=1), category=_DISCONNECT, at=None, test=True)
        process.refusals |= dict.fromkeys(late, "planned more than 60 minutes ago")
        process.refusals |= dict.fromkeys(test, "test data")
        if without:
            none = self._switch(name, without[:1], category=_DISCONNECT, at=None)
            process.refusals |= dict.fromkeys(none, "no breaker")
        self.steering.settle(within=timedelta(minutes=15))
        self.operate("switching", "stop", "--reason", "demonstration of the kill switch")
        stopped = self._switch(name, self.some(switchable, 0, least=1), category=_DISCONNECT, at=None)
        process.refusals |= dict.fromkeys(stopped, "kill switch")
        self.steering.settle(within=timedelta(minutes=15))
        self.operate("switching", "start", "--reason", "end of the demonstration")

    def _repeat(self) -> None:
        """Delivered messages come again, byte for byte and with other content under the same UUID."""
        sent = self.clients.sap.get("/control/messages")["sent"]
        delivered = [message for message in sent if message["state"] == "delivered"]
        for process in ("device_create", "reading_order", "connection_order", "location"):
            mine = [message["uuid"] for message in delivered if message["process"] == process]
            for uuid in mine[:2]:
                self.clients.sap.post("/control/resend", uuid=uuid, changed=False)
                self.resent.append(uuid)
            for uuid in mine[2:3]:
                self.clients.sap.post("/control/resend", uuid=uuid, changed=True)
                self.changed.append(uuid)
        self.steering.settle(within=timedelta(minutes=10))

    # Days 2 and 3 -------------------------------------------------------------------------------------------------

    def _second_day(self) -> None:
        """A move: the old tenant's last and the new tenant's first reading on the day of 23 hours."""
        self.steering.run_until(self.at(1, 7))
        movers = self.some(self.devices(), 0.05)
        self.order("move-out reading", movers, reason=_MOVE_OUT, on=1, source=_STORED)
        self.order("move-in reading", movers, reason=_MOVE_IN, on=1, source=_STORED)
        # A back-dated order: its value was stored the night before.
        self.order("back-dated reading", self.some(self.devices(), 0.01), reason=_CONTROL, on=0, source=_STORED)
        self.profiles.bill()
        self.profiles.spoil()
        self.steering.settle(within=timedelta(hours=1))

    def _third_day(self) -> None:
        self.steering.run_until(self.at(2, 8))
        self.order("periodic reading", self.some(self.devices(), 0.10), reason=_PERIODIC, on=2, source=_STORED)
        orders = self.order(
            "cancel before its order",
            self.some(self.devices(), 0, least=1),
            reason=_CONTROL,
            on=2,
            source=_STORED,
        )
        self.clients.sap.post("/control/cancel_readings", orders=orders, bulk=False, early=True)
        self.process("cancel before its order").cancelled.update(orders)

    def _last_night(self) -> None:
        """Until what ended a day ago has been determined: MDUS does that at half past six."""
        self.steering.run_until(self.at(3, 7))

    # Ordering -----------------------------------------------------------------------------------------------------

    def operate(self, *command: str) -> None:
        """This will give MDUS a command as its operator does: `mdus <command>`."""
        self._operate(*command)

    def order(self, name: str, devices: Sequence[str], *, reason: str, on: int, source: str) -> list[str]:
        """This will order a reading of all registers of devices, scheduled for a day of the run."""
        made = self.ordered(devices, reason=reason, on=on, source=source)
        self.process(name).orders += made
        return made

    def ordered(self, devices: Sequence[str], *, reason: str, on: int, source: str) -> list[str]:
        """This will order such a reading outside the business processes of the report."""
        made = self.clients.sap.post(
            "/control/reading_orders",
            devices=list(devices),
            reason=reason,
            scheduled_on=self.days[on].isoformat(),
            data_source=source,
        )
        return list(made["orders"])

    def _switch(
        self,
        name: str,
        devices: Sequence[str],
        *,
        category: int,
        at: datetime | None,
        per_document: int = 1,
        test: bool = False,
    ) -> list[str]:
        if not devices:
            return []
        made = self.clients.sap.post(
            "/control/connection_orders",
            devices=list(devices),
            category=category,
            planned_at=None if at is None else stamp(at),
            devices_per_document=per_document,
            bulk=len(devices) > 2,
            test=test,
        )["documents"]
        self.process(name).documents += made
        return list(made)

    def process(self, name: str) -> Process:
        """This will return the business process with this name, new or not."""
        return self.processes.setdefault(name, Process(name=name))

    # Choosing -----------------------------------------------------------------------------------------------------

    def devices(self) -> list[str]:
        """This will return the devices in service that stay where they are."""
        replaced = set(self.technical.leaving())
        return [device for device in self._initialized() if device not in replaced]

    def _initialized(self) -> list[str]:
        return self.process("device initialization").devices

    def _switchable(self) -> list[str]:
        serials = {meter["serial"] for meter in self.meters if meter["has_breaker"]}
        devices = self.clients.sap.get("/control/devices")["devices"]
        staying = set(self.devices())
        return [device["id"] for device in devices if device["serial"] in serials and device["id"] in staying]

    def devices_of(self, process: Process) -> list[str]:
        wanted = set(process.documents)
        documents = self.clients.sap.get("/control/documents")["documents"]
        return [device for document in documents if document["id"] in wanted for device in document["devices"]]

    def some(self, devices: Iterable[str], share: float, *, least: int = 2) -> list[str]:
        """This will choose a share of devices, the same with the same seed."""
        among = sorted(devices)
        return self._random.sample(among, min(len(among), max(least, round(len(among) * share))))

    def at(self, day: int, hour: int, minute: int = 0) -> datetime:
        """This will return the instant of a local time of a day of the run, counted from 0."""
        start = self.days[0] + timedelta(days=day)
        return datetime.combine(start, time(hour, minute), self.zone).astimezone(UTC)
