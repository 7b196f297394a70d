"""The results of jobs as replies: what was done goes into a payload, what was not into Errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulators.fleet.jobs import Order
from simulators.headend_cim import payloads
from simulators.headend_cim.envelopes import Failure, Node, Writer
from simulators.headend_cim.words import ATTEMPTED, REPLY_CODES

Row = Mapping[str, Any]

READS = ("read_registers", "read_intervals", "read_on_demand")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a reply says: its noun, what it holds, what failed."""

    noun: str
    payload: Node | None
    failures: Sequence[Failure]
    has_done: bool  # anything

    @property
    def result(self) -> str:
        """OK, PARTIAL or FAILED."""
        return "OK" if not self.failures else "PARTIAL" if self.has_done else "FAILED"


def failure_of(row: Row, kind: str) -> Failure:
    """This will print why something was not done with one meter; a control is named by its mRID, too."""
    reference = row["reference"] if kind in _NOUNS and _NOUNS[kind] == "EndDeviceControls" else None
    code = row["code"]
    return Failure(code=REPLY_CODES[code], reason=row["text"], serial=row["serial"], reference=reference)


def told(writer: Writer, body: Row, *, orders: Mapping[str, Order], relay: str, periods: bool) -> Reply:
    """This will make a reply of results."""
    kind, results = body["kind"], body["results"]
    failures = [failure_of(each, kind) for each in results if each["status"] != "ok"]
    done = []
    for each in results:
        order = orders.get(each["reference"])
        if each["status"] == "ok" and order is not None and order.outcome == "attempted_and_failed":
            failures.append(
                Failure(
                    code=ATTEMPTED, reason="attempted and failed", serial=each["serial"], reference=each["reference"]
                )
            )
        elif each["status"] == "ok":
            done.append(each)
    # A breaker that did not move, but can be asked, is told with where it stands.
    stuck = [each for each in results if each["status"] != "ok" and each["switch_state"] is not None]
    noun = relay if kind == "switch_state" else _NOUNS[kind]
    payload: Node | None = None
    if noun == "EndDeviceControls" and done + stuck:
        wishes = {reference: order.wish for reference, order in orders.items()}
        payload = payloads.controls(writer, kind, done + stuck, wishes)
    elif noun == "EndDeviceConfig" and done:
        payload = payloads.positions(writer, done)
    elif noun == "MeterConfig" and done:
        payload = payloads.served(writer, done)
    elif noun == "MeterReadings" and done:
        readings = payloads.MeterReadings(writer, has_periods=periods)
        for each in done:
            if kind == "switch_state":
                readings.position(each["serial"], each["switch_state"], each["completed_at"])
            for reading in each["readings"]:
                readings.reading(each["serial"], reading)
            for block in each["blocks"]:
                readings.block(each["serial"], block)
        payload = readings.written()
    return Reply(noun=noun, payload=payload, failures=failures, has_done=bool(done))


def halves(body: Row) -> list[dict[str, Any]]:
    """This will part what was read of each meter in two: the first half, and the rest with all that failed."""
    first: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []
    for each in body["results"]:
        values = [("readings", row) for row in each["readings"]] + [("blocks", row) for row in each["blocks"]]
        middle = len(values) // 2
        if not middle:
            rest.append(each)
            continue
        for told_in, some in ((first, values[:middle]), (rest, values[middle:])):
            part = {what: [row for of, row in some if of == what] for what in ("readings", "blocks")}
            told_in.append({**each, **part})
    return [{**body, "results": first, "more": True}, {**body, "results": rest, "is_last_part": True}]


_NOUNS = {
    "provision": "MeterConfig",
    "read_registers": "MeterReadings",
    "read_intervals": "MeterReadings",
    "read_on_demand": "MeterReadings",
    "switch": "EndDeviceControls",
    "limit_demand": "EndDeviceControls",
    "control_load": "EndDeviceControls",
    "set_time": "EndDeviceControls",
    "show_text": "EndDeviceControls",
}
