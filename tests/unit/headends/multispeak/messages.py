"""Messages of MultiSpeak as tests write them, and the commands they are about."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from mdus.bootstrap.discovery import discover
from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.end_device import EndDevice
from mdus.domain.head_end import Batch, FieldEvent, RawDelivery
from mdus.domain.register import Register
from mdus.headends.multispeak.decoding import decoder
from mdus.headends.multispeak.soap import NAMESPACES
from mdus.settings import Settings, load_settings
from tests.head_ends.field import row

AT = datetime(2026, 3, 29, 1, 0, 4, tzinfo=UTC)
CORRELATION = "0c2f8f0e-2f0c-4d42-9a52-1f3a3c0d7a11"
SERIAL = "0000001234"
OTHER = "0000005678"
SENDER = "SAP"


def command(kind: CommandKind, serial: str = SERIAL, **changes: Any) -> Command:
    """Return a command to a meter."""
    values: dict[str, Any] = {
        "command_key": f"key-{serial}",
        "owner_kind": OwnerKind.ITEM,
        "owner_key": "1",
        "sender_system": SENDER,
        "device_id": f"10{serial}",
        "serial_id": serial,
        "head_end": "city",
        "kind": kind,
        "purpose": "test",
        "not_before": AT,
        "expires_at": AT + timedelta(hours=1),
    }
    if kind in (CommandKind.READ_REGISTERS, CommandKind.READ_INTERVALS):
        values |= {"period_from": AT - timedelta(days=1), "period_to": AT}
    return Command(**(values | changes))


def register(serial: str = SERIAL, **changes: Any) -> Register:
    """Return a register of a meter."""
    values: dict[str, Any] = {
        "sender_system": SENDER,
        "device_id": f"10{serial}",
        "measurement_task_id": "1",
        "valid_from": date(2026, 1, 1),
        "reading_type": "1-0:1.8.0*255",
        "unit": "KWH",
        "total_digits": 8,
        "fraction_digits": 2,
    }
    return Register(**(values | changes))


def device(serial: str = SERIAL) -> EndDevice:
    """Return the device of a meter."""
    return EndDevice(
        sender_system=SENDER,
        device_id=f"10{serial}",
        serial_id=serial,
        material_id="LX100",
        valid_from=date(2026, 1, 1),
    )


def batch(kind: CommandKind, *commands: Command, registers: tuple[Register, ...] | None = None) -> Batch:
    """Return a batch of commands, with their devices and registers where they are to be provisioned."""
    some = commands or (command(kind),)
    serials = [each.serial_id for each in some]
    return Batch(
        kind=kind,
        correlation=CORRELATION,
        commands=some,
        at=AT,
        devices={device(serial).key: device(serial) for serial in serials},
        registers={device(serial).key: (register(serial),) if registers is None else registers for serial in serials},
    )


def envelope(message: str, *, version: str = "3.0", header: str = "") -> bytes:
    """Return an envelope around a message whose root has no namespace declared yet."""
    root, rest = message.split(">", 1) if "/>" not in message.split(">", 1)[0] + ">" else (message[:-2], "/>")
    opened = f'{root} xmlns="{NAMESPACES[version]}"' + (rest if rest == "/>" else f">{rest}")
    told = f'<m:MultiSpeakMsgHeader xmlns:m="{NAMESPACES[version]}" {header}/>' if header else ""
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<s:Header>{told}</s:Header><s:Body>{opened}</s:Body></s:Envelope>"
    ).encode()


@cache
def _settings() -> Settings:
    return load_settings({}, tables=discover().tables)


def decoded(body: bytes, *, correlation: str = "", topic: str = "soap", **options: Any) -> list[FieldEvent]:
    """Return what a body tells a head end's decoder with these options."""
    decode = decoder(_settings(), row(None, kind="multispeak", options=options))
    return list(decode(RawDelivery(topic=topic, correlation=correlation, body=body)))
