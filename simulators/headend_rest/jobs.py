"""What the client submits: reading it, and keeping it until every device order has its result."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from simulators.clock import instant, stamp
from simulators.headend_rest.meters import CONNECTED, DISCONNECTED

KINDS = ("provision", "read_registers", "read_intervals", "read_on_demand", "switch", "switch_state", "ping")
COMMODITIES = ("electricity", "gas", "water")
MOST_DEVICES = 1000

# Why a device order was rejected or failed: the table of docs/head_ends/rest.md, 2.4.
TEXTS = {
    "UNKNOWN_METER": "no meter with this serial number",
    "NOT_PROVISIONED": "the meter was never provisioned",
    "REGISTER_MISMATCH": "the meter does not have such a register",
    "NO_BREAKER": "the meter has no breaker",
    "BUSY": "the meter is occupied by another job",
    "NO_RESPONSE": "the meter did not answer",
    "RELAY_STUCK": "the breaker did not move",
    "LOW_CREDIT": "no credit to connect with",
    "NO_DATA": "nothing is stored for the period",
    "EXPIRED": "expired before it was begun",
}


class NotAJob(Exception):
    """The body is JSON, but not a job; `errors` names every place."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class TooManyDevices(Exception):
    """A job may have 1,000 device orders."""


@dataclass(kw_only=True, slots=True)
class Order:
    """One device order: what was asked of one meter, what shall go wrong with it, and what became of it."""

    serial: str
    reference: str
    wish: dict[str, Any]  # the members of its kind, as submitted
    outcome: str | None = None  # a code, or a way to misbehave, see HeadEnd; None where all goes well
    due: datetime | None = None  # when it is carried out; None: never
    result: dict[str, Any] | None = None
    told_at: datetime | None = None  # when its result may be told, if that is later

    def record(self) -> list[Any]:
        """This will print what was decided on taking it, as the journal keeps it."""
        due = None if self.due is None else stamp(self.due)
        return [self.serial, self.reference, self.wish, self.outcome, due]

    @classmethod
    def from_record(cls, record: list[Any]) -> "Order":
        """This will read what `record` printed."""
        serial, reference, wish, outcome, due = record
        due_at = None if due is None else instant(due)
        return cls(serial=serial, reference=reference, wish=wish, outcome=outcome, due=due_at)


@dataclass(kw_only=True, slots=True)
class Job:
    """One accepted submit."""

    token: str
    correlation_id: str
    kind: str
    callback_url: str
    submitted_at: datetime
    expires_at: datetime | None
    orders: dict[str, Order]
    rejected: list[dict[str, Any]] = field(default_factory=list)
    duplicate_next_push: bool = False

    def told(self, now: datetime) -> list[dict[str, Any]]:
        """This will list the results the head end tells by now."""
        return [
            order.result
            for order in self.orders.values()
            if order.result is not None and (order.told_at is None or order.told_at <= now)
        ]

    def resource(self, now: datetime) -> dict[str, Any]:
        """This will print the job as `GET /v1/jobs/{token}` shows it."""
        results = self.told(now)
        return {
            "token": self.token,
            "correlation_id": self.correlation_id,
            "kind": self.kind,
            "state": "done" if len(results) == len(self.orders) else "running",
            "submitted_at": stamp(self.submitted_at),
            "expires_at": None if self.expires_at is None else stamp(self.expires_at),
            "accepted": len(self.orders),
            "rejected": self.rejected,
            "results": results,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A valid body of `POST /v1/jobs`."""

    correlation_id: str
    kind: str
    callback_url: str | None
    expires_at: datetime | None
    orders: list[Order]


def rejection(order: Order, code: str) -> dict[str, Any]:
    """This will print a device order refused at once."""
    return {"serial": order.serial, "reference": order.reference, "code": code, "text": TEXTS[code]}


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
