"""What the client asks for: messages read as orders to meters, or as questions about all of them."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from simulators.clock import instant
from simulators.fleet.jobs import Order, Submission
from simulators.fleet.meters import CONNECTED, DISCONNECTED, Meter
from simulators.headend_cim.envelopes import Asked, Element, every, first, text
from simulators.headend_cim.words import BAD_NOUN, BAD_VERB, ELEMENT_MISSING, MRIDS, RELAY, is_of_intervals, obis_of


class Refused(Exception):
    """The message asks for what this head end does not do; `code` is the reply code."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question about all meters, answered at once: readings, intervals, events or meters."""

    about: str
    start: str | None
    end: str | None


def read(asked: Asked, meters: dict[str, Meter]) -> Submission | Question:
    """This will read a message; Refused where it cannot be."""
    if asked.content is None:
        raise Refused(ELEMENT_MISSING, "nothing stands in Request or Payload")
    match asked.verb, asked.noun:
        case "get", "MeterReadings":
            return _readings(asked, asked.content)
        case "get", "EndDeviceConfig":
            return _submission(asked, "switch_state", [_order(each) for each in every(asked.content, "EndDevice")])
        case "get", "EndDeviceEvents":
            return Question(about="events", start=asked.start, end=asked.end)
        case "get", "MeterConfig":
            return Question(about="meters", start=None, end=None)
        case "create", "EndDeviceControls":
            return _controls(asked, asked.content)
        case "create" | "change", "MeterConfig":
            orders = [_provisioning(each, meters) for each in every(asked.content, "Meter")]
            return _submission(asked, "provision", orders)
        case _, "MeterReadings" | "EndDeviceConfig" | "EndDeviceEvents" | "MeterConfig" | "EndDeviceControls":
            raise Refused(BAD_VERB, f"{asked.noun} cannot be asked to {asked.verb or 'nothing'}")
        case _:
            raise Refused(BAD_NOUN, f"nothing is known of {asked.noun or 'no noun'}")


def _submission(asked: Asked, kind: str, orders: list[Order]) -> Submission:
    unique = {order.reference: order for order in orders}
    if not unique:
        raise Refused(ELEMENT_MISSING, "no meter is named")
    return Submission(
        correlation_id=asked.correlation,
        kind=kind,
        orders=list(unique.values()),
        callback_url=asked.reply_address,
    )


def serial_of(element: Element | None) -> str:
    """This will read which meter an element names: by a name, a serial number or an mRID."""
    named = {text(each, "NameType", "name") or "MeterNumber": text(each, "name") for each in every(element, "Names")}
    found = named.get("MeterNumber") or text(element, "serialNumber") or text(element, "mRID")
    if found is None:
        raise Refused(ELEMENT_MISSING, "a meter has no name")
    return found


def _order(element: Element | None, reference: str | None = None, **wish: Any) -> Order:
    serial = serial_of(element)
    return Order(serial=serial, reference=reference or serial, wish=wish)


def _readings(asked: Asked, content: Element) -> Submission | Question:
    mrids = [text(each, "mRID") or "" for each in every(content, "ReadingType")]
    is_intervals = bool(mrids) and all(map(is_of_intervals, mrids))
    devices = list(every(content, "EndDevice"))
    if not devices:
        return Question(about="intervals" if is_intervals else "readings", start=asked.start, end=asked.end)
    if mrids == [RELAY]:
        return _submission(asked, "switch_state", [_order(each) for each in devices])
    if asked.start is None or asked.end is None:
        return _submission(asked, "read_on_demand", [_order(each) for each in devices])
    period = {"from": asked.start, "to": asked.end}
    kind = "read_intervals" if is_intervals else "read_registers"
    return _submission(asked, kind, [_order(each, period=period) for each in devices])


# ---- controls --------------------------------------------------------------------------------------------------------


def _controls(asked: Asked, content: Element) -> Submission:
    kinds: set[str] = set()
    orders = []
    ends: list[datetime] = []
    for control in every(content, "EndDeviceControl"):
        kind, wish = _control(control)
        kinds.add(kind)
        orders.append(_order(first(control, "EndDevices"), text(control, "mRID"), **wish))
        end = _end(control) if kind in ("switch", "limit_demand") else None
        if end is not None:
            ends.append(end)
    if len(kinds) > 1:
        raise Refused(ELEMENT_MISSING, f"controls of one kind are taken in a message, not {', '.join(sorted(kinds))}")
    submission = _submission(asked, kinds.pop() if kinds else "switch", orders)
    return replace(submission, expires_at=min(ends, default=None))


def _end(control: Element) -> datetime | None:
    """This will read until when a control may be begun, None where it does not say."""
    told = text(control, "primaryDeviceTiming", "interval", "end")
    try:
        return None if told is None else instant(told)
    except ValueError as error:
        raise Refused(ELEMENT_MISSING, f"the end of a control is no instant: {error}") from None


def _control(control: Element) -> tuple[str, dict[str, Any]]:
    kind_of = first(control, "EndDeviceControlType")
    code = "" if kind_of is None else str(kind_of.get("ref") or "")
    match code.split(".")[1:]:
        case ["31", "0", "18"]:
            return "switch", {"state": CONNECTED}
        case ["31", "0", "23"]:
            return "switch", {"state": DISCONNECTED}
        case ["31", "139", "26"] | ["15", "0", "54"]:
            return "limit_demand", {"limit_kw": text(first(control, "EndDeviceControlAttribute"), "value")}
        case ["31", "139", "22"] | ["15", "0", "55"]:
            return "limit_demand", {"limit_kw": None}
        case ["36", "116", "13"]:
            return "set_time", {}
        case ["15", "43", "300"]:
            return "control_load", _load_event(control)
        case ["15", "43", "8"]:
            return "control_load", {"event": text(control, "issuerTrackingID") or "", "action": "cancel"}
    shown = text(control, "PanDisplay", "textMessage")
    if shown is not None:
        return "show_text", {"text": shown}
    raise Refused(BAD_VERB, f"no control has the type {code or '(none)'}")


def _load_event(control: Element) -> dict[str, Any]:
    timing = first(control, "primaryDeviceTiming")
    adjustment, minutes = text(control, "PanDemandResponse", "avgLoadAdjustment"), text(timing, "duration")
    start = text(timing, "interval", "start")
    if adjustment is None or minutes is None or start is None:
        raise Refused(ELEMENT_MISSING, "a load control says how much, from when and how long")
    return {
        "event": text(control, "issuerTrackingID") or "",
        "action": "schedule",
        "start": start,
        "minutes": int(minutes),
        "percent": 100 + int(adjustment),
    }


# ---- meters ----------------------------------------------------------------------------------------------------------


def _provisioning(element: Element, meters: dict[str, Meter]) -> Order:
    serial = serial_of(element)
    names = {text(each, "NameType", "name"): text(each, "name") for each in every(element, "Names")}
    factor = text(element, "MeterMultipliers", "value") or "1"
    registers = [
        {
            "obis": obis_of(mrid) or mrid,
            "unit": "kWh" if mrid.endswith(".72.0") else "m3",
            "digits": int(text(each, "leftDigitCount") or "0"),
            "decimals": int(text(each, "rightDigitCount") or "0"),
            "factor": factor,
        }
        for each in every(first(element, "SimpleEndDeviceFunction"), "Registers")
        if (mrid := _mrid_of(each))
    ]
    # Of what commodity it is stands in the reading types; the meter's own is meant where they agree.
    commodities = {_COMMODITIES.get(_mrid_parts(row["obis"])) for row in registers}
    meter = meters.get(serial)
    own = meter.commodity if meter is not None else ""
    commodity = commodities.pop() if len(commodities) == 1 else own
    wish = {"device_id": names.get("UtilitiesDeviceID"), "commodity": commodity, "registers": registers}
    return Order(serial=serial, reference=serial, wish=wish)


_COMMODITIES = {"1": "electricity", "7": "gas", "9": "water"}


def _mrid_parts(obis: str) -> str:
    return MRIDS.get(obis, obis).split(".")[5] if len(MRIDS.get(obis, obis).split(".")) == 18 else ""


def _mrid_of(register: Element) -> str:
    found = first(register, "Channels", "ReadingType")
    return "" if found is None else str(found.get("ref") or "")
