"""Rows, commands and messages that the tests of this kind share."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from pydantic import SecretStr

from mdus.domain.channel_map import ChannelMap
from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.end_device import EndDevice
from mdus.domain.head_end import Batch
from mdus.domain.register import Register
from mdus.settings import HeadEnd as Row

AT = datetime(2026, 3, 29, 1, 0, 4, tzinfo=UTC)
KEY = ("SAP", "000000000000010042")
SERIAL = "0000001234"
METER = f"2.16.840.1.114416.0.{SERIAL}"
CORRELATION = "0c2f8f0e-2f0c-4d42-9a52-1f3a3c0d7a11"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"

#: A head end that calls channels by their OBIS codes.
CHANNELS = ChannelMap(())

DEVICE = EndDevice(
    sender_system=KEY[0], device_id=KEY[1], serial_id=SERIAL, material_id="M", valid_from=date(2026, 1, 1)
)


def row(url: str = "http://127.0.0.1:1", *, options: dict[str, Any] | None = None, **changes: Any) -> Row:
    """Return the configured head end `city`."""
    values: dict[str, Any] = {
        "name": "city",
        "kind": "token_poll",
        "url": url,
        "user": "mdus",
        "password": SecretStr("secret"),
        "callback_url": "http://127.0.0.1:1/head-ends/city",
        "time_zone": "Europe/Berlin",
        "timeout_seconds": 5.0,
        "options": options or {},
    }
    return Row(**(values | changes))


def command(kind: CommandKind, **changes: Any) -> Command:
    """Return a command to the meter."""
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
        "not_before": AT,
        "expires_at": AT + timedelta(hours=1),
    }
    return Command(**(values | changes))


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


def batch(*commands: Command, registers: tuple[Register, ...] = (), at: datetime | None = None) -> Batch:
    """Return a batch of commands of one kind."""
    return Batch(
        kind=commands[0].kind,
        correlation=CORRELATION,
        commands=commands,
        devices={KEY: DEVICE},
        registers={KEY: registers},
        at=at,
    )


def message(name: str, inside: str, *, namespace: str = "urn:any") -> bytes:
    """Return a message in an envelope."""
    body = f'<{name} xmlns="{namespace}">{inside}</{name}>'
    return f'<s:Envelope xmlns:s="{SOAP}"><s:Body>{body}</s:Body></s:Envelope>'.encode()


def endpoint(meter: str = METER, outcome: str = "Success", **texts: str) -> str:
    """Return what became of a meter."""
    inside = "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())
    return (
        f"<Endpoint><ElectronicSerialNumber>{meter}</ElectronicSerialNumber><Outcome>{outcome}</Outcome>{inside}"
        "</Endpoint>"
    )


def result(operation: str, *endpoints: str, data: str = "", token: str = "7f1c", reference: str = CORRELATION) -> bytes:
    """Return the result of a request."""
    inside = f"<RequestToken>{token}</RequestToken><CallerReference>{reference}</CallerReference>"
    inside += f"<Status>Complete</Status><Endpoints>{''.join(endpoints)}</Endpoints>"
    return message(f"Get{operation}ResultResponse", inside + (f"<Data>{data}</Data>" if data else ""))
