"""A meter, and what the tests of every kind of head end have to do with it: commands, a register, a batch."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.head_end import Batch, FieldReading
from mdus.domain.register import Register

AT = datetime(2026, 3, 29, 1, 0, 4, tzinfo=UTC)
KEY = ("SAP", "000000000000010042")
SERIAL = "0000001234"
CORRELATION = "0c2f8f0e-2f0c-4d42-9a52-1f3a3c0d7a11"

#: What commands of load control say: for 90 minutes 40 % of the load are left; or that this is taken back.
LOAD_EVENT = {"event": "peak", "action": "schedule", "start": "2026-03-29T16:00:00Z", "minutes": "90", "percent": "40"}
LOAD_EVENT_CANCELLED = {"event": "peak", "action": "cancel"}


def device(**changes: Any) -> EndDevice:
    """Return the meter's device."""
    values: dict[str, Any] = {
        "sender_system": KEY[0],
        "device_id": KEY[1],
        "serial_id": SERIAL,
        "material_id": "M",
        "valid_from": date(2026, 1, 1),
    }
    return EndDevice(**(values | changes))


DEVICE = device()


def command(kind: CommandKind, *, at: datetime = AT, **changes: Any) -> Command:
    """Return a command to the meter, good for an hour; one that asks for stored values asks for those of a day."""
    values: dict[str, Any] = {
        "command_key": "cmd-77",
        "owner_kind": OwnerKind.ITEM,
        "owner_key": "1",
        "sender_system": KEY[0],
        "device_id": KEY[1],
        "serial_id": SERIAL,
        "head_end": "city",
        "kind": kind,
        "purpose": "test",
        "not_before": at,
        "expires_at": at + timedelta(hours=1),
    }
    if kind in (CommandKind.READ_REGISTERS, CommandKind.READ_INTERVALS):
        values |= {"period_from": at - timedelta(days=1), "period_to": at}
    return Command(**(values | changes))


def switch(wanted: SwitchState = SwitchState.DISCONNECTED, **changes: Any) -> Command:
    """Return a command to the breaker."""
    return command(CommandKind.SWITCH, wanted_state=wanted, **changes)


def register(**changes: Any) -> Register:
    """Return a register of the meter."""
    values: dict[str, Any] = {
        "sender_system": KEY[0],
        "device_id": KEY[1],
        "measurement_task_id": "1",
        "valid_from": date(2026, 1, 1),
        "reading_type": "1-0:1.8.0*255",
        "unit": "KWH",
        "total_digits": 8,
        "fraction_digits": 2,
    }
    return Register(**(values | changes))


def batch(*commands: Command, **named: Any) -> Batch:
    """Return a call with these commands, which are of one kind."""
    values: dict[str, Any] = {"kind": commands[0].kind, "correlation": CORRELATION, "commands": commands}
    return Batch(**(values | named))


def provisioning(*registers: Register) -> Batch:
    """Return a call that provisions the meter with these registers."""
    return batch(command(CommandKind.PROVISION), devices={KEY: DEVICE}, registers={KEY: registers})


def stored_reading(**changes: Any) -> FieldReading:
    """Return a reading of the register."""
    values: dict[str, Any] = {
        "serial_id": SERIAL,
        "reading_type": "1-0:1.8.0*255",
        "measured_at": AT,
        "value": Decimal("12345.67"),
        "unit": "kWh",
    }
    return FieldReading(**(values | changes))
