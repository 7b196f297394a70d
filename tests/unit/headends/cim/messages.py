"""Messages as head ends write them, and commands as MDUS gives them: by keys that are UUIDs."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

from mdus.bootstrap.discovery import discover
from mdus.domain.channel_map import ChannelMap
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.event_map import EventMap
from mdus.domain.head_end import RawDelivery
from mdus.headends.cim.decoding import PUSHED, Decoder
from mdus.headends.cim.options import CimOptions
from mdus.settings import Settings, load_settings
from tests.unit.headends import samples
from tests.unit.headends.samples import CORRELATION, SERIAL

COMMAND_KEY = "7a1e8a6e-6c5f-5b6f-9d5a-0d6f2f0c4d42"
ENERGY = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"
QUARTERS = "0.0.2.4.1.1.12.0.0.0.0.0.0.0.0.3.72.0"

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
BASES = {"2011": "http://iec.ch/TC57/2011", "2010": "http://www.iec.ch/TC57/2010"}


def command(kind: CommandKind, **changes: Any) -> Command:
    """Return a command to the meter."""
    return samples.command(kind, **({"command_key": COMMAND_KEY} | changes))


def switch(wanted: SwitchState = SwitchState.DISCONNECTED, **changes: Any) -> Command:
    """Return a command to the breaker."""
    return samples.switch(wanted, **({"command_key": COMMAND_KEY} | changes))


def soap(content: str) -> bytes:
    """Return an envelope around a message."""
    return f'<s:Envelope xmlns:s="{SOAP}"><s:Body>{content}</s:Body></s:Envelope>'.encode()


def error(code: str, *, serial: str | None = None, mrid: str | None = None, reason: str = "", level: str = "") -> str:
    """Return an Error, about one object or the whole message."""
    about = f"<serialNumber>{serial}</serialNumber>" if serial else ""
    about = (f"<mRID>{mrid}</mRID>" if mrid else "") + about
    return (
        f"<Error><code>{code}</code>"
        + (f"<level>{level}</level>" if level else "")
        + (f"<reason>{reason}</reason>" if reason else "")
        + (f"<object>{about}</object>" if about else "")
        + "</Error>"
    )


def reply(
    noun: str,
    payload: str = "",
    *,
    result: str = "OK",
    errors: Iterable[str] = (),
    correlation: str | None = CORRELATION,
    base: str = BASES["2011"],
    typed: bool = False,
    raw_payload: str | None = None,
) -> bytes:
    """Return a reply in its envelope."""
    space = f"{base}/{noun}Message" if typed else f"{base}/schema/message"
    root = f"{noun}ResponseMessage" if typed else "ResponseMessage"
    return soap(
        f'<t:{root} xmlns:t="{space}">{_header("reply", noun, correlation, base)}'
        f'<t:Reply xmlns="{base}/schema/message"><Result>{result}</Result>{"".join(errors)}</t:Reply>'
        f"{_payload(noun, payload, base) if raw_payload is None else raw_payload}</t:{root}>"
    )


def created(
    noun: str,
    payload: str,
    *,
    correlation: str | None = None,
    base: str = BASES["2011"],
    typed: bool = False,
) -> bytes:
    """Return an event in its envelope."""
    space = f"{base}/{noun}Message" if typed else f"{base}/schema/message"
    root = f"Created{noun}" if typed else "EventMessage"
    head = _header("created", noun, correlation, base)
    return soap(f'<t:{root} xmlns:t="{space}">{head}{_payload(noun, payload, base)}</t:{root}>')


def _header(verb: str, noun: str, correlation: str | None, base: str) -> str:
    told = f"<CorrelationID>{correlation}</CorrelationID>" if correlation else ""
    return (
        f'<t:Header xmlns="{base}/schema/message"><Verb>{verb}</Verb><Noun>{noun}</Noun>'
        f"<Timestamp>2026-03-29T01:00:09Z</Timestamp><Source>HES</Source><MessageID>m-1</MessageID>{told}</t:Header>"
    )


def _payload(noun: str, payload: str, base: str) -> str:
    return f'<t:Payload><{noun} xmlns="{base}/{noun}#">{payload}</{noun}></t:Payload>' if payload else ""


def meter_reading(*content: str, serial: str = SERIAL) -> str:
    """Return what is told of a meter."""
    named = f"<Names><name>{serial}</name><NameType><name>MeterNumber</name></NameType></Names>"
    return f"<MeterReading><Meter>{named}</Meter>{''.join(content)}</MeterReading>"


def reading(value: str = "12345.67", *, mrid: str = ENERGY, at: str = "2026-03-29T01:00:04Z", quality: str = "") -> str:
    """Return a reading of a register."""
    said = f'<ReadingQualities><ReadingQualityType ref="{quality}"/></ReadingQualities>' if quality else ""
    return f'<Readings><timeStamp>{at}</timeStamp><value>{value}</value>{said}<ReadingType ref="{mrid}"/></Readings>'


def block(*values: tuple[str, str] | str, mrid: str = QUARTERS) -> str:
    """Return a block of interval values: (end, value), or an IntervalReadings as it stands."""
    told = "".join(
        each
        if isinstance(each, str)
        else f"<IntervalReadings><timeStamp>{each[0]}</timeStamp><value>{each[1]}</value></IntervalReadings>"
        for each in values
    )
    return f'<IntervalBlocks>{told}<ReadingType ref="{mrid}"/></IntervalBlocks>'


def control(
    code: str = "3.31.0.23",
    *,
    key: str = COMMAND_KEY,
    serial: str = SERIAL,
    acted_at: str | None = None,
    state: str | None = None,
) -> str:
    """Return a control as a reply gives it back."""
    timing = "" if acted_at is None else f"<interval><start>{acted_at}</start></interval>"
    timing = f"<primaryDeviceTiming>{timing}</primaryDeviceTiming>" if timing else ""
    told = (
        ""
        if state is None
        else f"<EndDeviceControlAttribute><name>switchState</name><value>{state}</value></EndDeviceControlAttribute>"
    )
    return (
        f'<EndDeviceControl><mRID>{key}</mRID><EndDeviceControlType ref="{code}"/>{told}'
        f"<EndDevices><Names><name>{serial}</name></Names></EndDevices>{timing}</EndDeviceControl>"
    )


def event(code: str, *, serial: str = SERIAL, mrid: str = "e-1", more: str = "") -> str:
    """Return an event of a meter."""
    return (
        f"<EndDeviceEvent><mRID>{mrid}</mRID><createdDateTime>2026-03-29T01:12:44Z</createdDateTime>"
        f"<Assets><mRID>{serial}</mRID><Names><name>{serial}</name></Names></Assets>{more}"
        f'<EndDeviceEventType ref="{code}"/></EndDeviceEvent>'
    )


@cache
def tables() -> Settings:
    """Return the settings with all tables."""
    return load_settings({}, tables=discover().tables)


def decode(
    body: bytes, *, topic: str = PUSHED, correlation: str = "", came_at: datetime | None = None, **options: Any
) -> list[Any]:
    """Return what a delivery that came at an instant tells."""
    settings = tables()
    decoder = Decoder(CimOptions(**options), channels=ChannelMap.of(settings), events=EventMap.of(settings))
    return list(decoder(RawDelivery(topic=topic, correlation=correlation, body=body, received_at=came_at)))
