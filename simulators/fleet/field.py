"""What happens out there: one device order is carried out by one meter."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from simulators.clock import instant, stamp
from simulators.fleet.intervals import Profiles
from simulators.fleet.jobs import OF_BREAKERS, OF_ELECTRICITY, TEXTS, Job, Order
from simulators.fleet.meters import CONNECTED, DISCONNECTED, MEMORY, Meter, fraction, midnight

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
    "denies": "the breaker moves, the result says that it did not (RELAY_STUCK)",
    "ARMED": "a connection only arms the meter, the result says so",
    "LOAD_SIDE_VOLTAGE": "a connection is refused by the meter",
    "DISCONNECT_REFUSED": "a disconnection is refused by the meter",
}

# The faults of one device order, by the ending they mean, where that has another name.
_ENDINGS = {
    "stuck_relay": "RELAY_STUCK",
    "relay_stuck_but_acknowledged": "lies",
    "relay_moved_but_denied": "denies",
    "arm_only_meter": "ARMED",
    "load_side_voltage_blocks_close": "LOAD_SIDE_VOLTAGE",
    "disconnect_refused": "DISCONNECT_REFUSED",
    "no_response_is_no_outage": "NO_RESPONSE",
}

# Endings that only an order to this state can have.
_OF_STATE = {
    "LOW_CREDIT": CONNECTED,
    "ARMED": CONNECTED,
    "LOAD_SIDE_VOLTAGE": CONNECTED,
    "DISCONNECT_REFUSED": DISCONNECTED,
}

_ACTS = ("switch", "limit_demand", "control_load", "set_time", "show_text")
_MOST_DRIFT = 120  # seconds
_JUMP = timedelta(hours=1)
_1970, _2000 = (datetime(year, 1, 1, tzinfo=UTC) for year in (1970, 2000))
_ROLLS_OVER_AFTER = (timedelta(hours=6), timedelta(hours=30))


def provision(meter: Meter, wish: dict[str, Any], now: datetime) -> None:
    """This will let the head end serve the meter, or serve it differently from now on."""
    meter.device_id = wish["device_id"]
    meter.provisioned_registers = wish["registers"]
    meter.provisioned_at = meter.provisioned_at or now
    wanted = {register["obis"] for register in wish["registers"]}
    channels = [channel.obis for channel in meter.channels if channel.obis in wanted]
    meter.collected_since = {obis: meter.collected_since.get(obis, now) for obis in channels}


def roll_over_soon(meter: Meter, now: datetime, *, seed: int) -> None:
    """This will let a register of a meter that nobody has read pass its last digit in 6 to 30 hours."""
    soonest, latest = _ROLLS_OVER_AFTER
    at = now + soonest + (latest - soonest) * fraction(seed, meter.serial, "rollover")
    meter.roll_over(at.replace(microsecond=0))


def obey(meter: Meter, kind: str, wish: dict[str, Any], at: datetime) -> None:
    """This will let a meter do what it was told: what `carry_out` said it does."""
    match kind:
        case "switch":
            assert meter.breaker is not None
            meter.breaker.operate(wish["state"], at)
        case "limit_demand":
            meter.limit_kw = wish["limit_kw"]
        case "control_load" if wish["action"] == "cancel":
            meter.load_events.pop(wish["event"], None)
        case "control_load":
            meter.load_events[wish["event"]] = {name: wish[name] for name in ("event", "start", "minutes", "percent")}
        case "set_time":
            meter.clock_offset, meter.clock_set_at = "0", at
        case "show_text":
            meter.shown_text = wish["text"]


def carry_out(
    meter: Meter, *, job: Job, order: Order, now: datetime, zone: ZoneInfo, profiles: Profiles, is_reached: bool = True
) -> tuple[dict[str, Any], bool]:
    """This will return the result of a device order, and whether the meter is to `obey`; it changes nothing."""
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
    code = _failure(meter, job, order, now, is_reached=is_reached)
    obeys = False
    if code is None:
        obeys = job.kind in _ACTS and _ending(order) != "lies"
        if order.outcome == "acts_then_no_response" and job.kind in _ACTS:
            code = "NO_RESPONSE"
        elif _ending(order) == "denies" and job.kind == "switch":
            code = "RELAY_STUCK"
        elif job.kind == "switch":
            result |= {"switch_state": order.wish["state"], "switched_at": stamp(now)}
        elif job.kind == "switch_state":
            result |= _breaker(meter)
        elif job.kind == "read_on_demand":
            # The clock of a meter knows whole seconds; value and instant belong together.
            at = now.replace(microsecond=0)
            wrong = {"meter_clock_drift": at + _drift(meter, at), "meter_clock_jump": at - _JUMP}
            said = (wrong | {"stamp_of_1970": _1970, "stamp_of_2000": _2000}).get(order.outcome or "", at)
            result["readings"] = list(meter.readings(at, stamp(said)))
        elif job.kind == "read_registers":
            result["readings"] = _stored(meter, order.wish["period"], now=now, zone=zone)
            code = None if result["readings"] else "NO_DATA"
        elif job.kind == "read_intervals":
            result["blocks"] = _measured(meter, order.wish["period"], now=now, profiles=profiles)
            code = None if result["blocks"] else "NO_DATA"
    if code is not None:
        result |= {"status": "failed", "code": code, "text": TEXTS[code]}
        if job.kind == "switch" and code in ("RELAY_STUCK", *_OF_STATE):
            result |= _breaker(meter)
    return result, obeys


def refusal(meter: Meter | None, kind: str) -> str | None:
    """This will say why the head end takes no order of this kind for a meter, None where it does."""
    if meter is None:
        return "UNKNOWN_METER"
    if kind != "provision" and meter.provisioned_at is None:
        return "NOT_PROVISIONED"
    if kind in OF_BREAKERS and meter.breaker is None:
        return "NO_BREAKER"
    if kind in OF_ELECTRICITY and meter.commodity != "electricity":
        return "NOT_SUPPORTED"
    return None


def _ending(order: Order) -> str | None:
    return None if order.outcome is None else _ENDINGS.get(order.outcome, order.outcome)


def _failure(meter: Meter, job: Job, order: Order, now: datetime, *, is_reached: bool) -> str | None:
    if job.expires_at is not None and job.expires_at < now:
        return "EXPIRED"
    if job.kind == "provision":
        return None if _has_registers(meter, order.wish) else "REGISTER_MISMATCH"
    if meter.first_heard_at is None or not is_reached:
        return "NO_RESPONSE"
    ending = _ending(order)
    if ending in _OF_STATE and order.wish.get("state") != _OF_STATE[ending]:
        return None
    return ending if ending in TEXTS else None


def _has_registers(meter: Meter, wish: dict[str, Any]) -> bool:
    if wish["commodity"] != meter.commodity:
        return False
    own = {register.obis: register.unit for register in meter.registers}
    own |= {channel.obis: channel.unit for channel in meter.channels}
    return all(own.get(register["obis"]) == register["unit"] for register in wish["registers"])


def _drift(meter: Meter, at: datetime) -> timedelta:
    share = 2 * fraction(meter.serial, stamp(at), "drift") - 1
    return timedelta(seconds=math.copysign(math.ceil(abs(share) * _MOST_DRIFT), share))


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
