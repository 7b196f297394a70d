"""What a client asks for: calls of the methods, read as orders to meters."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from simulators.clock import stamp
from simulators.fleet.jobs import Order, Submission
from simulators.fleet.meters import CONNECTED, DISCONNECTED, Meter
from simulators.headend_multispeak.wire import NotUnderstood, Read, Version

#: Which service has which methods, by version: what GetMethods lists.
_MR_3 = (
    "PingURL",
    "GetMethods",
    "InitiateMeterReadByMeterNumber",
    "GetReadingsByMeterNo",
    "GetReadingsByDate",
    "GetReadingByMeterIDAndFieldNameIntervalData",
    "GetReadingsByDateAndFieldNameIntervalData",
    "GetHistoryLogsByDate",
    "GetAMRSupportedMeters",
    "MeterAddNotification",
    "MeterChangedNotification",
)
_MR_4 = (
    "PingURL",
    "GetMethods",
    "InitiateMeterReadingsByMeterID",
    "GetReadingsByMeterID",
    "GetReadingsByDate",
    "GetReadingsByMeterIDAndFieldNameIntervalData",
    "GetReadingsByDateAndFieldNameIntervalData",
    "GetHistoryLogsByDate",
    "GetAMRSupportedMeters",
    "MeterAddNotification",
    "MeterChangedNotification",
)
_CD = (
    "PingURL",
    "GetMethods",
    "InitiateConnectDisconnect",
    "InitiateCDStateRequest",
    "GetCDMeterState",
    "GetCDSupportedMeters",
)
_OD = ("PingURL", "GetMethods", "InitiateOutageDetectionEventRequest")
_LM = ("PingURL", "GetMethods", "InitiateLoadManagementEvent")

SERVICES = {
    "3.0": {"MR": _MR_3, "CD": _CD, "OD": _OD, "LM": _LM},
    "4.1": {"MR": _MR_4, "CD": _CD, "OD": _OD, "LM": _LM},
}

#: loadActionCodes that take a demand limit away.
_LIMIT_ENDS = ("CancelPowerLimitation", "Enable")

_STATES = {"Connect": CONNECTED, "Disconnect": DISCONNECTED}


def serial_of(element: Read) -> str:
    """This will return the meter an element is about."""
    told = element.child("meterID")
    inside = None if told is None else told.attribute("meterNo") or told.said("meterNo") or told.text
    serial = element.said("meterNo") or inside
    if not serial:
        raise NotUnderstood(f"{element.name} names no meter")
    return serial


def initiated(message: Read, version: Version, *, now: datetime) -> list[Submission]:
    """This will read a call whose results are called back; one of breakers may be of several kinds."""
    match message.name:
        case "InitiateMeterReadByMeterNumber" | "InitiateMeterReadingsByMeterID":
            parts = {"read_on_demand": _listed(message)}
        case "InitiateOutageDetectionEventRequest":
            parts = {"ping": _listed(message)}
        case "InitiateCDStateRequest":
            parts = {"switch_state": [_order(serial_of(each)) for each in message.below("CDState")]}
        case _:
            parts = _events(message)
    if not any(parts.values()):
        raise NotUnderstood(f"{message.name} names no meter")
    return [
        Submission(
            correlation_id=message.said("transactionID") or "",
            kind=kind,
            orders=orders,
            callback_url=message.said("responseURL"),
            expires_at=version.expiry(message, now),
        )
        for kind, orders in parts.items()
        if orders
    ]


def provisioning(message: Read, meters: dict[str, Meter]) -> Submission:
    """This will read a call that tells of meters.

    A meter is served with the registers named for it, all that it has where none are.
    """
    orders = []
    for each in message.below("meter", "electricMeter", "gasMeter", "waterMeter"):
        serial = each.said("meterNo") or ""
        added = {item.said("extName"): item.said("extValue") for item in each.below("extensionsItem")}
        meter = meters.get(serial)
        own = [] if meter is None else [*meter.registers, *meter.channels]
        units = {one.obis: one.unit for one in own}
        wanted = (added.get("registers") or " ".join(units)).split()
        registers = [{"obis": obis, "unit": units.get(obis, "")} for obis in wanted]
        wish = {
            "device_id": added.get("deviceID") or serial,
            "commodity": "" if meter is None else meter.commodity,
            "registers": registers,
        }
        orders.append(_order(serial, **wish))
    return Submission(correlation_id="", kind="provision", orders=orders)


def load_event(message: Read) -> Submission:
    """This will read a load management event: `pointID` is the meter, `target` the load left in percent."""
    event = message.child("theLMEvent")
    if event is None:
        raise NotUnderstood("InitiateLoadManagementEvent has no event")
    serial = event.said("pointID")
    if serial is None:
        raise NotUnderstood("theLMEvent names no point")
    is_over = event.said("controlEventType") == "Restore"
    wish: dict[str, Any] = {"event": event.attribute("objectID") or "", "action": "cancel" if is_over else "schedule"}
    if not is_over:
        wish |= {
            "start": stamp(event.when("scheduleDateTime")) if event.said("scheduleDateTime") else None,
            "minutes": int(float(event.said("duration") or 0)),
            "percent": int(float(event.said("target") or 0)),
        }
    return Submission(correlation_id="", kind="control_load", orders=[_order(serial, **wish)])


def interval_read(message: Read, *, begin: datetime, end: datetime) -> Submission:
    """This will read a call for the interval values of one meter."""
    wish = {"period": {"from": stamp(begin), "to": stamp(end)}}
    return Submission(correlation_id="", kind="read_intervals", orders=[_order(serial_of(message), **wish)])


def _listed(message: Read) -> list[Order]:
    serials: Iterable[str | None] = (
        each.attribute("meterNo") or each.text
        for container in message.children("meterNos", "meterIDs")
        for each in container.children("string", "meterID")
    )
    return [_order(serial) for serial in dict.fromkeys(serials) if serial]


def _events(message: Read) -> dict[str, list[Order]]:
    parts: dict[str, list[Order]] = {"switch": [], "limit_demand": []}
    for each in message.below("connectDisconnectEvent"):
        serial, action = serial_of(each), each.said("loadActionCode")
        if action in _STATES:
            parts["switch"].append(_order(serial, state=_STATES[action]))
        elif action == "InitiatePowerLimitation" and each.said("powerLimitationValue"):
            parts["limit_demand"].append(_order(serial, limit_kw=each.said("powerLimitationValue")))
        elif action in _LIMIT_ENDS:
            parts["limit_demand"].append(_order(serial, limit_kw=None))
        else:
            raise NotUnderstood(f"the loadActionCode {action!r} is none that this head end has")
    return parts


def _order(serial: str, **wish: Any) -> Order:
    # No reference comes with a call: the face makes one up.
    return Order(serial=serial, reference=serial, wish=wish)
