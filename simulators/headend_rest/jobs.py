"""What the client submits by `POST /v1/jobs`: reading it, with every mistake named."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from simulators.clock import instant, stamp
from simulators.fleet.jobs import KINDS, Order, Submission
from simulators.fleet.meters import CONNECTED, DISCONNECTED

COMMODITIES = ("electricity", "gas", "water")
MOST_DEVICES = 1000
_LONGEST_TEXT = 200


class NotAJob(Exception):
    """The body is JSON, but not a job; `errors` names every place."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class TooManyDevices(Exception):
    """A job may have 1,000 device orders."""


def read_submission(body: object) -> Submission:
    """This will read a body of `POST /v1/jobs`; NotAJob with every mistake, or TooManyDevices."""
    if not isinstance(body, dict):
        raise NotAJob(["the body is not an object"])
    errors: list[str] = []
    correlation_id = body.get("correlation_id")
    try:
        UUID(correlation_id)
    except (TypeError, ValueError, AttributeError):
        errors.append("correlation_id is not a UUID")
    kind = body.get("kind")
    if kind not in KINDS:
        errors.append(f"kind is none of {', '.join(KINDS)}")
    callback_url = body.get("callback_url")
    if callback_url is not None and not (
        isinstance(callback_url, str) and callback_url.startswith(("http://", "https://"))
    ):
        errors.append("callback_url is not a URL")
    expires_at = None
    if body.get("expires_at") is not None:
        expires_at = _instant(body["expires_at"], "expires_at", errors)
    devices = body.get("devices")
    if not isinstance(devices, list) or not devices:
        errors.append("devices is not a list of at least one")
        devices = []
    if len(devices) > MOST_DEVICES:
        raise TooManyDevices
    orders: dict[str, Order] = {}
    for at, device in enumerate(devices):
        order = _read_order(device, kind, f"devices[{at}]", errors)
        if order is None:
            continue
        if order.reference in orders:
            errors.append(f"devices[{at}].reference is not unique")
        orders[order.reference] = order
    if errors:
        raise NotAJob(errors)
    return Submission(
        correlation_id=str(correlation_id),
        kind=str(kind),
        callback_url=callback_url,
        expires_at=expires_at,
        orders=list(orders.values()),
    )


def _read_order(device: object, kind: object, where: str, errors: list[str]) -> Order | None:
    if not isinstance(device, dict):
        errors.append(f"{where} is not an object")
        return None
    serial, reference = device.get("serial"), device.get("reference")
    if not isinstance(serial, str) or not serial:
        errors.append(f"{where}.serial is missing")
    if not isinstance(reference, str) or not 1 <= len(reference) <= 64:
        errors.append(f"{where}.reference is not text of 1 to 64 characters")
    wish: dict[str, Any] = {}
    if kind == "switch":
        wish["state"] = device.get("state")
        if wish["state"] not in (CONNECTED, DISCONNECTED):
            errors.append(f"{where}.state is neither {CONNECTED} nor {DISCONNECTED}")
    elif kind in ("read_registers", "read_intervals"):
        wish["period"] = _period(device.get("period"), f"{where}.period", errors)
    elif kind == "provision":
        wish = _provisioning(device, where, errors)
    elif kind == "limit_demand":
        wish["limit_kw"] = device.get("limit_kw")
        if wish["limit_kw"] is not None and not _is_quantity(wish["limit_kw"]):
            errors.append(f"{where}.limit_kw is not a decimal number in a string")
    elif kind == "control_load":
        wish = _load_event(device, where, errors)
    elif kind == "show_text":
        wish["text"] = device.get("text")
        if not isinstance(wish["text"], str) or not 1 <= len(wish["text"]) <= _LONGEST_TEXT:
            errors.append(f"{where}.text is not text of 1 to {_LONGEST_TEXT} characters")
    if not isinstance(serial, str) or not isinstance(reference, str):
        return None
    return Order(serial=serial, reference=reference, wish=wish)


def _period(period: object, where: str, errors: list[str]) -> dict[str, str]:
    if not isinstance(period, dict):
        errors.append(f"{where} is missing")
        return {}
    begin = _instant(period.get("from"), f"{where}.from", errors)
    end = _instant(period.get("to"), f"{where}.to", errors)
    if begin is None or end is None:
        return {}
    if begin >= end:
        errors.append(f"{where} does not begin before it ends")
    return {"from": stamp(begin), "to": stamp(end)}


def _load_event(device: dict[str, Any], where: str, errors: list[str]) -> dict[str, Any]:
    wish = {name: device.get(name) for name in ("event", "action", "start", "minutes", "percent")}
    if not isinstance(wish["event"], str) or not wish["event"]:
        errors.append(f"{where}.event is missing")
    if wish["action"] not in ("schedule", "cancel"):
        errors.append(f"{where}.action is neither schedule nor cancel")
    if wish["action"] == "schedule":
        start = _instant(wish["start"], f"{where}.start", errors)
        wish["start"] = None if start is None else stamp(start)
        if not isinstance(wish["minutes"], int) or wish["minutes"] < 1:
            errors.append(f"{where}.minutes is not a number from 1")
        if not isinstance(wish["percent"], int) or not 0 <= wish["percent"] <= 100:
            errors.append(f"{where}.percent is not a number from 0 to 100")
    return wish


def _is_quantity(value: object) -> bool:
    try:
        number = Decimal(value) if isinstance(value, str) else Decimal("NaN")
    except InvalidOperation:
        return False
    return number.is_finite() and number >= 0


def _provisioning(device: dict[str, Any], where: str, errors: list[str]) -> dict[str, Any]:
    if not isinstance(device.get("device_id"), str) or not device["device_id"]:
        errors.append(f"{where}.device_id is missing")
    if device.get("commodity") not in COMMODITIES:
        errors.append(f"{where}.commodity is none of {', '.join(COMMODITIES)}")
    registers = device.get("registers")
    if not isinstance(registers, list) or not registers:
        errors.append(f"{where}.registers is not a list of at least one")
        registers = []
    for at, register in enumerate(registers):
        if not isinstance(register, dict):
            errors.append(f"{where}.registers[{at}] is not an object")
            continue
        for name in ("obis", "unit", "factor"):
            if not isinstance(register.get(name), str):
                errors.append(f"{where}.registers[{at}].{name} is not text")
        for name in ("digits", "decimals"):
            if not isinstance(register.get(name), int) or register[name] < 0:
                errors.append(f"{where}.registers[{at}].{name} is not a number of digits")
    return {"device_id": device.get("device_id"), "commodity": device.get("commodity"), "registers": registers}


def _instant(value: object, where: str, errors: list[str]) -> datetime | None:
    try:
        return instant(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        errors.append(f"{where} is not an instant with a zone")
        return None
