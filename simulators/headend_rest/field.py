"""What happens out there: one device order is carried out by one meter."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from simulators.clock import instant, stamp
from simulators.headend_rest.intervals import Profiles
from simulators.headend_rest.jobs import TEXTS, Job, Order
from simulators.headend_rest.meters import CONNECTED, MEMORY, Meter, midnight

# How a device order may be made to end: a code of the API, a fault that hits one device order, or a script's word.
OUTCOMES = {
    "ok": "carried out",
    "NO_RESPONSE": "nothing is done, the result says so",
    "BUSY": "nothing is done, the result says so",
    "LOW_CREDIT": "a connection is refused by the meter",
    "RELAY_STUCK": "the breaker stays, the result says so",
    "accepts_then_silence": "nothing is done and no result comes",
    "late_result": "carried out, the result comes after expires_at",
    "late:SECONDS": "carried out, the result comes so many seconds later",
    "acts_then_no_response": "the breaker moves, the result says NO_RESPONSE",
    "lies": "the breaker stays, the result says that it moved",
}


def provision(meter: Meter, wish: dict[str, Any], now: datetime) -> None:
    """This will let the head end serve the meter, or serve it differently from now on."""
    meter.device_id = wish["device_id"]
    meter.provisioned_registers = wish["registers"]
    meter.provisioned_at = meter.provisioned_at or now
    wanted = {register["obis"] for register in wish["registers"]}
    channels = [channel.obis for channel in meter.channels if channel.obis in wanted]
    meter.collected_since = {obis: meter.collected_since.get(obis, now) for obis in channels}


def carry_out(
    meter: Meter, *, job: Job, order: Order, now: datetime, zone: ZoneInfo, profiles: Profiles
) -> tuple[dict[str, Any], bool]:
    """This will return the result of a device order, and whether the breaker is to be operated; it changes nothing."""
    result: dict[str, Any] = {
        "serial": order.serial,
        "reference": order.reference,
        "status": "ok",
        "code": None,
        "text": None,
        "completed_at": stamp(now),
        "readings": [],
        "blocks": [],
        "switch_state": None,
        "switched_at": None,
    }
    code = _failure(meter, job, order, now)
    operated = False
    if code is None:
        operated = job.kind == "switch" and order.outcome != "lies"
        if order.outcome == "acts_then_no_response" and job.kind == "switch":
            code = "NO_RESPONSE"
        elif job.kind == "switch":
            result |= {"switch_state": order.wish["state"], "switched_at": stamp(now)}
        elif job.kind == "switch_state":
            result |= _breaker(meter)
        elif job.kind == "read_on_demand":
            # The clock of a meter knows whole seconds; value and instant belong together.
            at = now.replace(microsecond=0)
            result["readings"] = list(meter.readings(at, stamp(at)))
        elif job.kind == "read_registers":
            result["readings"] = _stored(meter, order.wish["period"], now=now, zone=zone)
            code = None if result["readings"] else "NO_DATA"
        elif job.kind == "read_intervals":
            result["blocks"] = _measured(meter, order.wish["period"], now=now, profiles=profiles)
            code = None if result["blocks"] else "NO_DATA"
    if code is not None:
        result |= {"status": "failed", "code": code, "text": TEXTS[code]}
        if code in ("RELAY_STUCK", "LOW_CREDIT"):
            result |= _breaker(meter)
    return result, operated


def _failure(meter: Meter, job: Job, order: Order, now: datetime) -> str | None:
    if job.expires_at is not None and job.expires_at < now:
        return "EXPIRED"
    if job.kind == "provision":
        return None if _has_registers(meter, order.wish) else "REGISTER_MISMATCH"
    if meter.first_heard_at is None:
        return "NO_RESPONSE"
    if order.outcome in ("stuck_relay", "RELAY_STUCK"):
        return "RELAY_STUCK"
    if order.outcome == "LOW_CREDIT":
        return order.outcome if order.wish.get("state") == CONNECTED else None
    return order.outcome if order.outcome in TEXTS else None


def _has_registers(meter: Meter, wish: dict[str, Any]) -> bool:
    if wish["commodity"] != meter.commodity:
        return False
    own = {register.obis: register.unit for register in meter.registers}
    own |= {channel.obis: channel.unit for channel in meter.channels}
    return all(own.get(register["obis"]) == register["unit"] for register in wish["registers"])


def _breaker(meter: Meter) -> dict[str, Any]:
    assert meter.breaker is not None
    switched_at = meter.breaker.switched_at
    return {
        "switch_state": meter.breaker.state,
        "switched_at": None if switched_at is None else stamp(switched_at),
    }


def _stored(meter: Meter, period: dict[str, str], *, now: datetime, zone: ZoneInfo) -> list[dict[str, str]]:
    begin, end = max(instant(period["from"]), now - MEMORY), min(instant(period["to"]), now)
    readings: list[dict[str, str]] = []
    day = begin.astimezone(zone).date()
    while (at := midnight(day, zone)) < end:
        if at >= begin:
            readings += meter.readings(at, stamp(at))
        day += timedelta(days=1)
    return readings


def _measured(meter: Meter, period: dict[str, str], *, now: datetime, profiles: Profiles) -> list[dict[str, Any]]:
    begin, end = max(instant(period["from"]), now - MEMORY), instant(period["to"])
    blocks = profiles.stored(meter, begin, end, now=now)
    return [{name: value for name, value in block.items() if name != "serial"} for block in blocks]
