"""What this head end tells, as payloads: readings, interval values, events, controls, meters."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from simulators.clock import instant, stamp
from simulators.fleet.meters import CONNECTED, DISCONNECTED
from simulators.headend_cim.envelopes import Node, Writer
from simulators.headend_cim.words import HEARD, MRIDS, RELAY

Row = Mapping[str, Any]

#: Types of the controls a client may give, by kind of job; a switch has one for each state.
_TYPES = {
    "set_time": "3.36.116.13",
    "show_text": "0.0.0.0",
    "limit_demand": "3.31.139.26",
    "control_load": "0.15.43.300",
}
_SWITCHES = {CONNECTED: "3.31.0.18", DISCONNECTED: "3.31.0.23"}


def name_meter(node: Node, serial: str) -> None:
    """This will name a meter by its number."""
    named = node.add("Names")
    named.add("name", serial)
    named.add("NameType").add("name", "MeterNumber")


class MeterReadings:
    """Readings by meter, in the order they are told."""

    def __init__(self, writer: Writer, *, has_periods: bool) -> None:
        self.node = writer.payload("MeterReadings")
        self._has_periods = has_periods
        self._said = writer.times.said
        self._of_meter: dict[str, list[tuple[str, Any]]] = {}

    @property
    def is_there(self) -> bool:
        """Whether there are any."""
        return bool(self._of_meter)

    def reading(self, serial: str, row: Row) -> None:
        """This will add what a register shows."""
        self._of_meter.setdefault(serial, []).append(("reading", row))

    def block(self, serial: str, row: Row) -> None:
        """This will add interval values."""
        self._of_meter.setdefault(serial, []).append(("block", row))

    def position(self, serial: str, state: str, at: str) -> None:
        """This will add where a breaker stands."""
        self._of_meter.setdefault(serial, []).append(("position", (state, at)))

    def written(self) -> Node:
        """This will write them: blocks, meter, readings, as the profile has them."""
        for serial, told in self._of_meter.items():
            node = self.node.add("MeterReading")
            for what, row in told:
                if what == "block":
                    self._block(node, row)
            name_meter(node.add("Meter"), serial)
            for what, row in told:
                if what == "reading":
                    self._reading(node, row["at"], row["value"], MRIDS[row["obis"]])
                elif what == "position":
                    self._reading(node, row[1], "closed" if row[0] == CONNECTED else "open", RELAY)
        return self.node

    def _reading(self, node: Node, at: str, value: str, mrid: str) -> None:
        reading = node.add("Readings")
        reading.add("timeStamp", self._said(at))
        reading.add("value", value)
        reading.add("ReadingType", ref=mrid)

    def _block(self, node: Node, row: Row) -> None:
        block = node.add("IntervalBlocks")
        length = timedelta(minutes=row["interval_minutes"])
        begin = instant(row["start"])
        qualities = row.get("quality") or [None] * len(row["values"])
        for value, quality in zip(row["values"], qualities, strict=True):
            reading = block.add("IntervalReadings")
            reading.add("timeStamp", self._said(stamp(begin + length)))  # the end of the interval
            if value is not None:
                reading.add("value", value)
            reading.add("ReadingQualities").add("ReadingQualityType", ref=quality or "2.0.0")
            if self._has_periods:
                period = reading.add("timePeriod")
                period.add("end", self._said(stamp(begin + length)))
                period.add("start", self._said(stamp(begin)))
            begin += length
        block.add("ReadingType", ref=MRIDS[row["obis"]])


def events(writer: Writer, rows: Iterable[Row]) -> Node:
    """This will write what meters tell of themselves."""
    node = writer.payload("EndDeviceEvents")
    for row in rows:
        event = node.add("EndDeviceEvent")
        event.add("mRID", row["event_id"])
        event.add("createdDateTime", writer.times.said(row["at"]))
        if row["text"] is not None:
            event.add("reason", row["text"])
        name_meter(event.add("Assets"), row["serial"])
        for name, value in row["properties"].items():
            detail = event.add("EndDeviceEventDetails")
            detail.add("name", name)
            detail.add("value", value)
        event.add("EndDeviceEventType", ref=row["code"])
    return node


def heard(writer: Writer, rows: Iterable[Row]) -> Node:
    """This will write that meters communicate."""
    told = [
        {"event_id": f"h-{row['serial']}-{row['at']}", "at": row["at"], "text": "heard", "properties": {}}
        | {"serial": row["serial"], "code": HEARD}
        for row in rows
    ]
    return events(writer, told)


def controls(writer: Writer, kind: str, results: Sequence[Row], wishes: Mapping[str, Mapping[str, Any]]) -> Node:
    """This will write controls with when they were carried out."""
    node = writer.payload("EndDeviceControls")
    for result in results:
        wish = wishes.get(result["reference"], {})
        control = node.add("EndDeviceControl")
        control.add("mRID", result["reference"])
        control.add("EndDeviceControlType", ref=_SWITCHES.get(wish.get("state", ""), _TYPES.get(kind, "0.0.0.0")))
        if result["switch_state"] is not None:
            attribute = control.add("EndDeviceControlAttribute")
            attribute.add("name", "switchState")
            attribute.add("value", result["switch_state"])
        name_meter(control.add("EndDevices"), result["serial"])
        interval = control.add("primaryDeviceTiming").add("interval")
        interval.add("start", writer.times.said(result["switched_at"] or result["completed_at"]))
    return node


def positions(writer: Writer, results: Sequence[Row]) -> Node:
    """This will write where breakers stand."""
    node = writer.payload("EndDeviceConfig")
    for result in results:
        device = node.add("EndDevice")
        function = device.add("ConnectDisconnectFunction")
        function.add("isConnected", str(result["switch_state"] == CONNECTED).lower())
        name_meter(device, result["serial"])
    return node


def served(writer: Writer, results: Sequence[Row]) -> Node:
    """This will write that meters are served from now on."""
    node = writer.payload("MeterConfig")
    for result in results:
        name_meter(node.add("Meter"), result["serial"])
    return node


def registry(writer: Writer, resources: Iterable[Row]) -> Node:
    """This will write the meters there are, served or not."""
    node = writer.payload("MeterConfig")
    for row in resources:
        meter = node.add("Meter")
        if row["has_breaker"]:
            is_connected = str(row["switch_state"] == CONNECTED).lower()
            meter.add("ConnectDisconnectFunction").add("isConnected", is_connected)
        meter.add("serialNumber", row["serial"])
        name_meter(meter, row["serial"])
        if row["device_id"] is not None:
            named = meter.add("Names")
            named.add("name", row["device_id"])
            named.add("NameType").add("name", "UtilitiesDeviceID")
        factors = {register["factor"] for register in row["registers"]}
        if len(factors) == 1:
            multiplier = meter.add("MeterMultipliers")
            multiplier.add("kind", "transformerRatio")
            multiplier.add("value", factors.pop())
        function = meter.add("SimpleEndDeviceFunction")
        for register in row["registers"]:
            told = function.add("Registers")
            told.add("leftDigitCount", str(register["digits"]))
            told.add("rightDigitCount", str(register["decimals"]))
            told.add("Channels").add("ReadingType", ref=MRIDS.get(register["obis"], register["obis"]))
        status = meter.add("status")
        if row["last_heard_at"] is not None:
            status.add("dateTime", writer.times.said(row["last_heard_at"]))
        status.add("value", "active" if row["provisioned"] else "unprovisioned")
    return node
