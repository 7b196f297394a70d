"""Proofs about what meters tell by themselves and about meters that were replaced: head end, MDUS and SAP compared.

MDUS's own word counts only where SAP or the head end can contradict it: why an event was held back is checked by the
policy, what a profile holds by what truly passed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from simulators.clock import instant
from simulators.landscape.clients import Clients
from simulators.landscape.scenario import Scenario
from simulators.landscape.verdicts import Check, Row

#: What the utility has agreed on: the end of an IEC 61968-9 type -> SAP's type. The others are not sent.
_SAP_TYPES = {
    "26.0.85": "0100",
    "26.0.216": "0101",
    "12.0.257": "0200",
    "12.29.39": "0201",
    "12.66.257": "0202",
    "2.22.150": "0300",
    "31.0.42": "0400",
    "31.0.68": "0401",
}
_STORM_TYPE = "1006"
_REPEATED_WITHIN = timedelta(minutes=15)
_WINDOW = timedelta(hours=1)
#: MDUS and the head end look at the clock apart: what a meter tells of the future happened when it was told.
_TOLERANCE = timedelta(minutes=2)
_OWN_TYPES = "1000"  # from here on MDUS tells of itself


class EventProof:
    """This will compare the events meters told with those SAP has, but of devices that are `elsewhere`."""

    def __init__(
        self,
        clients: Clients,
        scenario: Scenario,
        devices: Mapping[str, Mapping[str, Any]],
        *,
        elsewhere: Collection[str] = (),
    ) -> None:
        self._scenario = scenario
        self._devices = {device["serial"]: device for device in devices.values()}
        begin, end = scenario.at(0, 0), scenario.at(4, 0)
        self._told = list(_pages(clients, "/v1/events", "events", begin, end))
        at_sap = clients.sap.get("/control/events")["events"]
        self._at_sap = [event for event in at_sap if event["device"] not in elsewhere]
        self._fates = list(clients.mdus.pages("/api/v1/events"))
        #: How many events at SAP are an event of the head end, by its id; and those that are none.
        self._counts, self._invented = self._matched()
        #: How many events of a type SAP got in a window of MDUS's policy, by when MDUS was told.
        self._passed: Counter[tuple[str, datetime]] = Counter()
        exactly = {(event["device"], event["type"], _second(event["at"])) for event in self._at_sap}
        for row in self._fates:
            kind = _sap_type(row["event_type"])
            if kind and (row["device_id"], kind, _second(row["at"])) in exactly:
                self._passed[kind, _window(row["told_at"])] += 1

    def _matched(self) -> tuple[Counter[str], int]:
        """Match what SAP has of meters with what they told, each with the nearest of its kind; the rest nobody told."""
        told: defaultdict[tuple[str, str | None], list[dict[str, Any]]] = defaultdict(list)
        for event in self._told:
            if (device := self._devices.get(event["serial"])) is not None:
                told[device["id"], _sap_type(event["code"])].append(event)
        counts: Counter[str] = Counter()
        invented = 0
        for at_sap in self._at_sap:
            if at_sap["type"] >= _OWN_TYPES:
                continue
            near = [event for event in told[at_sap["device"], at_sap["type"]] if _apart(event, at_sap) <= _TOLERANCE]
            best = min(near, key=lambda event: (counts[event["event_id"]], _apart(event, at_sap)), default=None)
            if best is None:
                invented += 1
            else:
                counts[best["event_id"]] += 1
        return counts, invented

    def row(self) -> Row:
        """This will count the events: at SAP once, held back as the policy says, or lost."""
        row = Row(process="smart meter events")
        for event in self._told:
            row.sent += 1
            device, kind = self._devices.get(event["serial"]), _sap_type(event["code"])
            count = self._counts[event["event_id"]]
            if count == 1:
                row.confirmed += 1
            elif count == 0 and (device is None or kind is None or self._is_held_back(event, device, kind)):
                row.refused += 1
            else:
                row.lost += 1
                row.notes.append(f"event {event['event_id']} {event['code']} of {event['serial']}: {count} at SAP")
        return row

    def checks(self) -> Iterator[Check]:
        """This will say whether SAP has anything nobody told, and how storms ended."""
        yield Check(
            name="a meter told every event SAP has of one",
            held=not self._invented,
            seen=f"{self._counts.total() + self._invented} events of meters, {self._invented} that none told",
        )
        storms = {(row["event_type"], _window(row["told_at"])) for row in self._fates if row["reason"] == "storm"}
        reports = sum(event["type"] == _STORM_TYPE for event in self._at_sap)
        most = max(self._passed.values(), default=0)
        size = min(len(self._scenario.meters), 3 * self._scenario.storm_limit)
        expected = size > self._scenario.storm_limit
        yield Check(
            name="storms are held back, and SAP is told of each once",
            held=most <= self._scenario.storm_limit and reports == len(storms) and (bool(storms) or not expected),
            seen=f"{len(storms)} storms, {reports} told, at most {most} events of one type in an hour "
            f"(limit {self._scenario.storm_limit})",
        )

    def led_to(self, hits: Sequence[Mapping[str, Any]]) -> str:
        """This will say what became of events a fault brought about."""
        if any("meters" in hit for hit in hits):
            return f"{sum(hit.get('meters', 0) for hit in hits)} meters without power, SAP told of the storm"
        ids = {hit["event_id"] for hit in hits if "event_id" in hit}
        counts = Counter(self._counts[event_id] for event_id in ids)
        return ", ".join(f"{number} at SAP {'once' if n == 1 else f'{n} times'}" for n, number in counts.items())

    def _is_held_back(self, event: Mapping[str, Any], device: Mapping[str, Any], kind: str) -> bool:
        """Tell whether the policy keeps this event of a known device from SAP."""
        # Held until a register of the meter counts: never, where it counted on another day.
        day = instant(event["at"]).astimezone(self._scenario.zone).date()
        if not device["start_on"] <= day.isoformat() <= (device["last_day"] or "9999-12-31"):
            return True
        fates = [row for row in self._fates if (row["device_id"], row["event_type"]) == (device["id"], event["code"])]
        fate = min(fates, key=lambda row: _apart(event, row), default=None)
        if fate is None or _apart(event, fate) > _TOLERANCE:
            return False
        if fate["reason"] == "repeated":
            return any(
                other["serial"] == event["serial"]
                and other["code"] == event["code"]
                and other["event_id"] != event["event_id"]
                and abs(instant(other["at"]) - instant(event["at"])) < _REPEATED_WITHIN
                for other in self._told
            )
        return fate["reason"] == "storm" and self._passed[kind, _window(fate["told_at"])] >= self._scenario.storm_limit


class ProfileProof:
    """This will compare the load profiles SAP has of the second day with what truly passed."""

    def __init__(self, clients: Clients, scenario: Scenario, devices: Mapping[str, Mapping[str, Any]]) -> None:
        self._clients = clients
        self._scenario = scenario
        self._devices = devices
        profiles = clients.sap.get("/control/profiles")["profiles"]
        self._profiles = [profile for profile in profiles if profile["device"] in devices]
        self._begin, self._end = scenario.at(1, 0), scenario.at(2, 0)
        self._day = scenario.day_names[1]
        self._unread = self._never_measured()
        self.counts: dict[int, set[int]] = defaultdict(set)  # minutes -> intervals of the day
        self._changed = sum(len(profile["changed"]) for profile in self._profiles)

    def rows(self) -> Iterator[Row]:
        """This will count profiles by the length of their intervals: complete and true, short and explained, lost."""
        for minutes, name in ((15, "load profile, 15 minutes"), (60, "load profile, hourly")):
            some = [profile for profile in self._profiles if profile["minutes"] == minutes]
            if some:
                row = Row(process=name)
                for profile in some:
                    self._count(row, profile)
                yield row
        yield self._queries()

    def checks(self) -> Iterator[Check]:
        """This will say how many intervals the second day had, and whether the revised value came as a change."""
        if not self._profiles:
            return
        hours = int((self._end - self._begin) / timedelta(hours=1))
        seen = ", ".join(f"{sorted(counts)} of {minutes} minutes" for minutes, counts in sorted(self.counts.items()))
        yield Check(
            name=f"the day of {hours} hours has {hours * 4} quarters of an hour and {hours} hours",
            held=all(counts == {hours * 60 // minutes} for minutes, counts in self.counts.items()),
            seen=seen,
        )
        if self._scenario.profiles.revised is None:
            return
        serial, at = self._scenario.profiles.revised
        came = [
            profile
            for profile in self._profiles
            if self._devices[profile["device"]]["serial"] == serial and _starts(profile["changed"]).get(at)
        ]
        yield Check(
            name="the revised value came to SAP as a change",
            held=bool(came),
            seen=f"{self._changed} values changed, {'that' if came else 'not that'} of {serial} at {at:%H:%M} UTC",
        )

    def led_to(self, hits: Sequence[Mapping[str, Any]]) -> tuple[str, bool]:
        """This will say what SAP has of the intervals a fault hit, and whether that is all of them."""
        had = 0
        wanted = 0
        for hit in hits:
            begin, end = instant(hit["from"]), instant(hit["to"])
            for profile in self._profiles:
                if self._devices[profile["device"]]["serial"] == hit["serial"]:
                    wanted += int((end - begin) / timedelta(minutes=profile["minutes"]))
                    had += sum(begin <= at < end for at in _starts(profile["values"]))
        return f"SAP has {had} of {wanted} values", had == wanted

    def _count(self, row: Row, profile: Mapping[str, Any]) -> None:
        row.sent += 1
        device = self._devices[profile["device"]]
        true = self._true(profile)
        self.counts[profile["minutes"]].add(len(true))
        values = {at: Decimal(value) for at, value in _starts(profile["values"]).items()}
        wrong = [at for at, value in true.items() if at in values and values[at] != value]
        missing = [at for at in true if at not in values]
        if not wrong and not missing:
            row.confirmed += 1
        elif not wrong and all(at in self._unread[device["serial"], profile["obis"]] for at in missing):
            row.failed += 1
            row.notes.append(f"profile {profile['id']}: the head end has no value of {len(missing)} intervals")
        else:
            row.lost += 1
            first = min([*wrong, *missing])
            row.notes.append(
                f"profile {profile['id']} of {device['serial']}: {len(missing)} values missing, {len(wrong)} not true, "
                f"first {first:%Y-%m-%d %H:%M} UTC: {values.get(first)} instead of {true[first]}"
            )

    def _true(self, profile: Mapping[str, Any]) -> dict[datetime, Decimal]:
        """Return what truly passed in each interval of the second day, the register's factor applied."""
        device = self._devices[profile["device"]]
        register = next(one for one in device["registers"] if one["lrn"] == profile["lrn"])
        answer = self._clients.head_end.get("/control/intervals", serial=device["serial"], day=self._day)
        channel = next(one for one in answer["channels"] if one["obis"] == profile["obis"])
        start, length = instant(channel["start"]), timedelta(minutes=channel["interval_minutes"])
        factor = Decimal(register["factor"])
        values = [Decimal(value) for value in channel["values"]]
        if sum(values) != Decimal(channel["sum"]):
            raise ValueError(f"the head end's values of {device['serial']} do not add up")
        return {start + number * length: value * factor for number, value in enumerate(values)}

    def _never_measured(self) -> defaultdict[tuple[str, str], set[datetime]]:
        """Return, by serial and OBIS code, the intervals of the second day that the head end itself has no value of."""
        lost: defaultdict[tuple[str, str], set[datetime]] = defaultdict(set)
        for block in _pages(self._clients, "/v1/intervals", "blocks", self._begin, self._end):
            length = timedelta(minutes=block["interval_minutes"])
            for number, value in enumerate(block["values"]):
                if value is None:
                    lost[block["serial"], block["obis"]].add(instant(block["start"]) + number * length)
        return lost

    def _queries(self) -> Row:
        """Ask MDUS for the second day of one profile of each length and compare with what it sent."""
        row = Row(process="profile query")
        first = {profile["minutes"]: profile for profile in reversed(self._profiles)}
        for profile in first.values():
            row.sent += 1
            local = {"start": f"{self._day}T00:00:00", "end": f"{self._scenario.day_names[2]}T00:00:00"}
            answer = self._clients.sap.post("/control/query_profile", profile=profile["id"], **local)
            sent = {at: Decimal(v) for at, v in _starts(profile["values"]).items() if self._begin <= at < self._end}
            answered = {at: Decimal(value) for at, value in _starts(answer["values"]).items()}
            if sent and sent == answered:
                row.confirmed += 1
            else:
                row.lost += 1
                row.notes.append(f"profile {profile['id']}: {len(answered)} values answered, {len(sent)} were sent")
        return row


class TechnicalProof:
    """This will look at the places of replaced meters in MDUS: who measured them, day by day."""

    def __init__(self, clients: Clients, scenario: Scenario, devices: Mapping[str, Mapping[str, Any]]) -> None:
        self._clients = clients
        self._scenario = scenario
        self._devices = devices

    def checks(self) -> Iterator[Check]:
        """This will say whether a place was ever without meter or had two, and whether registers changed."""
        replaced = self._scenario.technical.replaced
        if not replaced:
            return
        wrong = [old for old, new in replaced.items() if not self._is_seamless(old, new)]
        commodities = Counter(self._devices[old]["commodity"] for old in replaced)
        yield Check(
            name="replaced meters follow each other without gap or overlap",
            held=not wrong,
            seen=", ".join(f"{count} {name}" for name, count in commodities.items())
            + (f"; wrong: {', '.join(wrong[:3])}" if wrong else ""),
        )

    def _is_seamless(self, old: str, new: str) -> bool:
        before, after = (self._clients.mdus.get(f"/api/v1/devices/S4HANA/{device}") for device in (old, new))
        day = self._scenario.day_names[2]
        midnight = self._scenario.at(2, 0)
        numbers = {register["lrn"] for register in self._devices[old]["registers"]}
        return (
            {row["measurement_task_id"] for row in before["registers"] if row["valid_to"] == day} == numbers
            and {row["measurement_task_id"] for row in after["registers"] if row["valid_from"] == day} == numbers
            and all(row["valid_to"] is not None and row["valid_to"] <= day for row in before["registers"])
            and [row["valid_to"] for row in before["locations"]] == [day]
            and [(row["valid_from"], row["valid_to"]) for row in after["locations"]] == [(day, None)]
            and {row["installation_point_id"] for row in before["locations"]}
            == {row["installation_point_id"] for row in after["locations"]}
            and all(row["valid_to"] and instant(row["valid_to"]) == midnight for row in before["usage_points"])
            and all(instant(row["valid_from"]) == midnight for row in after["usage_points"])
            and len(after["usage_points"]) == len(numbers)
        )


def _pages(clients: Clients, path: str, name: str, begin: datetime, end: datetime) -> Iterator[dict[str, Any]]:
    """Yield all rows of a paged list of the head end's own API."""
    period = {"from": begin.isoformat(), "to": end.isoformat()}
    cursor = None
    while True:
        page = clients.field.get(path, **period, limit=1000, **({"cursor": cursor} if cursor else {}))
        yield from page[name]
        cursor = page.get("next_cursor")
        if not cursor:
            return


def _sap_type(code: str) -> str | None:
    return _SAP_TYPES.get(code.partition(".")[2])


def _apart(one: Mapping[str, Any], other: Mapping[str, Any]) -> timedelta:
    return abs(instant(one["at"]) - instant(other["at"]))


def _second(text: str) -> datetime:
    return instant(text).replace(microsecond=0)


def _window(text: str) -> datetime:
    return instant(text).replace(minute=0, second=0, microsecond=0)


def _starts(values: Mapping[str, Any]) -> dict[datetime, Any]:
    return {instant(start): value for start, value in values.items()}
