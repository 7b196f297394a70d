"""What is called back: results of orders, and what meters tell by themselves, as messages of MultiSpeak."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simulators.fleet.deliveries import Push
from simulators.fleet.events import POWER_FAILED, POWER_RESTORED, RELAY_CLOSED, RELAY_OPENED
from simulators.fleet.meters import CONNECTED, DISCONNECTED
from simulators.headend_multispeak import content
from simulators.headend_multispeak.content import TEXTS, Row
from simulators.headend_multispeak.faults import CALLED_BACK
from simulators.headend_multispeak.wire import Element, Version, element

_OUTAGES = {POWER_FAILED: "Outage", POWER_RESTORED: "Restoration"}
_RELAYS = {RELAY_OPENED: DISCONNECTED, RELAY_CLOSED: CONNECTED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """One message to the client; `at` is when what it tells happened, where 3.0 says that in its header alone."""

    message: Element
    at: str | None = None


class Tellings:
    """This will put pushes into messages; with `formatted`, readings that nobody asked for come as formatted blocks."""

    def __init__(self, version: Version, *, formatted: bool) -> None:
        self._version = version
        self._formatted = formatted

    def of(self, push: Push) -> list[Telling]:
        """This will list the messages of a push; none of what MultiSpeak has no word for."""
        body = push.body
        match push.topic:
            case "results" if body["kind"] in CALLED_BACK:
                return list(self._results(body))
            case "readings":
                return [self._readings(body["readings"])]
            case "intervals" if body["blocks"]:
                told = content.interval_data(self._version, "intervalReads", body["blocks"])
                return [Telling(message=element("IntervalDataNotification", told, element("transactionID", "")))]
            case "events":
                return list(self._events(body["events"]))
            case "heard":
                return list(self._first_heard(body["meters"]))
            case _:
                return []

    # ---- results -----------------------------------------------------------------------------------------------------

    def _results(self, body: dict[str, Any]) -> Iterator[Telling]:
        kind, transaction, results = body["kind"], body["correlation_id"], body["results"]
        named = element("transactionID", transaction)
        if kind == "read_on_demand":
            told = [read for one in results for read in self._reads(one)]
            reads = element("changedMeterReads", *told)
            yield Telling(message=element("ReadingChangedNotification", reads, named))
        elif kind == "ping":
            events = [self._ping(one) for one in results]
            yield Telling(message=element("ODEventNotification", element("ODEvents", *events), named))
        else:
            yield from self._positions([self._position(kind, one) for one in results], transaction)

    def _reads(self, result: Row) -> list[Element]:
        """This will tell of one result by itself: where it names another meter, that one is told of twice."""
        rows = [{"serial": result["serial"], **row} for row in result["readings"]]
        failed = {} if result["status"] == "ok" else {result["serial"]: _text(result)}
        return content.meter_reads(self._version, rows, failed)

    def _ping(self, result: Row) -> Element:
        kind = "PowerOn" if result["status"] == "ok" else "NoResponse"
        return content.outage_event(self._version, result["serial"], kind, result["completed_at"])

    def _position(self, kind: str, result: Row) -> Row:
        """This will say how a breaker stands after what was asked of it."""
        state, error = content.position(self._version, result["switch_state"]), None
        if result["code"] == "ARMED":
            state = "Armed"
        elif result["status"] != "ok":
            error = _text(result)
        elif kind == "limit_demand":
            state = "InitiatePowerLimitation"
        at = result["switched_at"] or result["completed_at"]
        return {"serial": result["serial"], "state": state, "error": error, "at": at}

    def _positions(self, rows: Sequence[Row], transaction: str) -> Iterator[Telling]:
        """This will tell of breakers: 3.0 of each by itself, 4.1 of one or of many."""
        named = element("transactionID", transaction)
        if self._version.is_3:
            for row in rows:
                message = element(
                    "CDStateChangedNotification",
                    element("meterNo", row["serial"]),
                    element("stateChange", row["state"]),
                    named,
                    element("errorString", row["error"]) if row["error"] else None,
                )
                yield Telling(message=message, at=row["at"])
            return
        name = "stateChange" if len(rows) == 1 else "CDStateChange"
        changes = [
            element(
                name,
                *self._version.meter(row["serial"]),
                element("stateChange", row["state"]),
                element("timestamp", self._version.times.said(row["at"])),
                objectID=row["serial"],
                errorString=row["error"],
            )
            for row in rows
        ]
        if len(rows) == 1:
            yield Telling(message=element("CDStateChangedNotification", *changes, named))
        elif rows:
            yield Telling(message=element("CDStatesChangedNotification", element("stateChanges", *changes), named))

    # ---- what is told by itself --------------------------------------------------------------------------------------

    def _readings(self, rows: Sequence[Row]) -> Telling:
        if self._formatted:
            return Telling(message=element("FormattedBlockNotification", content.formatted_block(self._version, rows)))
        reads = element("changedMeterReads", *content.meter_reads(self._version, rows))
        return Telling(message=element("ReadingChangedNotification", reads, element("transactionID", "")))

    def _events(self, rows: Sequence[Row]) -> Iterator[Telling]:
        outages = [row for row in rows if row["code"] in _OUTAGES]
        others = [row for row in rows if row["code"] not in _OUTAGES and row["code"] not in _RELAYS]
        if outages:
            made = [
                content.outage_event(
                    self._version, row["serial"], _OUTAGES[row["code"]], row["at"], object_id=row["event_id"]
                )
                for row in outages
            ]
            message = element("ODEventNotification", element("ODEvents", *made), element("transactionID", ""))
            yield Telling(message=message)
        for row in rows:
            if row["code"] in _RELAYS:
                state = content.position(self._version, _RELAYS[row["code"]])
                told = {"serial": row["serial"], "state": state, "error": None, "at": row["at"]}
                yield from self._positions([told], "")
        if others and self._version.is_3:
            yield self._logs(others)
        elif others:
            made = [content.meter_event(self._version, row) for row in others]
            events = element("events", element("eventInstances", *made))
            yield Telling(message=element("MeterEventNotification", events, element("transactionID", "")))

    def _first_heard(self, rows: Sequence[Row]) -> Iterator[Telling]:
        """This will tell of first communications: the log of a meter notes that it was read."""
        first = [
            {"serial": row["serial"], "at": row["at"], "said": content.READ_ACCESS} for row in rows if row["first"]
        ]
        if first:
            yield self._logs(first)

    def _logs(self, rows: Sequence[Row]) -> Telling:
        logs = element("changedHistoryLogs", *content.history_logs(self._version, rows))
        return Telling(message=element("HistoryLogChangedNotification", logs, element("transactionID", "")))


def failed_switches(push: Push) -> list[str]:
    """This will list the meters whose breakers are told to have failed to move, with where they stand."""
    if push.topic != "results" or push.body["kind"] != "switch":
        return []
    return [one["serial"] for one in push.body["results"] if _is_failed_switch(one)]


def as_ordered(push: Push) -> Push:
    """This will tell of breakers that failed to move as if they stood where they were ordered to."""
    other = {CONNECTED: DISCONNECTED, DISCONNECTED: CONNECTED}
    told = [
        one | {"switch_state": other[one["switch_state"]]} if _is_failed_switch(one) else one
        for one in push.body["results"]
    ]
    return replace(push, body=push.body | {"results": told})


def _is_failed_switch(result: Row) -> bool:
    return result["status"] != "ok" and result["code"] != "ARMED" and result["switch_state"] is not None


def _text(result: Row) -> str:
    return TEXTS.get(result["code"], result["text"] or result["code"])
