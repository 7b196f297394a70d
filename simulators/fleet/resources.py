"""Meters as they are printed: neutral JSON, for the control API and for faces."""

from typing import Any

from simulators.clock import stamp
from simulators.fleet.meters import Meter


def meter_resource(meter: Meter) -> dict[str, Any]:
    """This will print a meter as the head end knows it."""
    breaker = meter.breaker
    return {
        "serial": meter.serial,
        "model": meter.material,
        "commodity": meter.commodity,
        "provisioned": meter.provisioned_at is not None,
        "device_id": meter.device_id,
        "registers": meter.provisioned_registers or own_registers(meter) + own_channels(meter),
        "first_heard_at": None if meter.first_heard_at is None else stamp(meter.first_heard_at),
        "last_heard_at": None if meter.last_heard_at is None else stamp(meter.last_heard_at),
        "has_breaker": breaker is not None,
        "switch_state": None if breaker is None else breaker.state,
        "switched_at": None if breaker is None or breaker.switched_at is None else stamp(breaker.switched_at),
        "clock_offset_seconds": None if meter.last_heard_at is None else meter.clock_offset,
        "concentrator": meter.concentrator,
    }


def own_registers(meter: Meter) -> list[dict[str, Any]]:
    """This will print the registers that count of a meter, whatever of them is collected."""
    return [
        {"obis": each.obis, "unit": each.unit, "digits": each.digits, "decimals": each.decimals, "factor": each.factor}
        for each in meter.registers
    ]


def own_channels(meter: Meter) -> list[dict[str, Any]]:
    """This will print the interval registers of a meter, whatever of them is collected."""
    return [
        {
            "obis": each.obis,
            "unit": each.unit,
            "digits": each.register.digits,
            "decimals": 6,
            "factor": each.register.factor,
            "interval_minutes": each.minutes,
        }
        for each in meter.channels
    ]


def controls(meter: Meter) -> dict[str, Any]:
    """This will print what a meter was told beside switching: limit, load events, text, clock."""
    return {
        "limit_kw": meter.limit_kw,
        "load_events": list(meter.load_events.values()),
        "shown_text": meter.shown_text,
        "clock_set_at": None if meter.clock_set_at is None else stamp(meter.clock_set_at),
    }


def history(meter: Meter) -> dict[str, Any]:
    """This will print what faults did to a meter: when it was exchanged, and when its register rolls over."""
    return {
        "exchanged_at": [stamp(each) for each in meter.exchanged_at],
        "rolls_over_at": None if meter.rolls_over_at is None else stamp(meter.rolls_over_at),
    }
