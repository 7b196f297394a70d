"""Messages of MultiSpeak as tests write them, and the commands they are about."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from mdus.bootstrap.discovery import discover
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice
from mdus.domain.head_end import Batch, FieldEvent, RawDelivery
from mdus.domain.register import Register
from mdus.headends.multispeak.decoding import decoder
from mdus.headends.multispeak.soap import NAMESPACES
from mdus.settings import Settings, load_settings
from tests.head_ends.field import row
from tests.unit.headends import samples
from tests.unit.headends.samples import AT, SERIAL

OTHER = "0000005678"


def command(kind: CommandKind, serial: str = SERIAL, **changes: Any) -> Command:
    """Return a command to a meter."""
    named = {"command_key": f"key-{serial}", "device_id": f"10{serial}", "serial_id": serial}
    return samples.command(kind, **(named | changes))


def register(serial: str = SERIAL, **changes: Any) -> Register:
    """Return a register of a meter."""
    return samples.register(device_id=f"10{serial}", **changes)


def device(serial: str = SERIAL) -> EndDevice:
    """Return the device of a meter."""
    return samples.device(device_id=f"10{serial}", serial_id=serial, material_id="LX100")


def batch(kind: CommandKind, *commands: Command, registers: tuple[Register, ...] | None = None) -> Batch:
    """Return a batch of commands, with their devices and registers where they are to be provisioned."""
    some = commands or (command(kind),)
    serials = [each.serial_id for each in some]
    return samples.batch(
        *some,
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


def decoded(
    body: bytes, *, correlation: str = "", topic: str = "soap", came_at: datetime | None = None, **options: Any
) -> list[FieldEvent]:
    """Return what a body that came at an instant tells a head end's decoder with these options."""
    decode = decoder(_settings(), row(None, kind="multispeak", options=options))
    return list(decode(RawDelivery(topic=topic, correlation=correlation, body=body, received_at=came_at)))
