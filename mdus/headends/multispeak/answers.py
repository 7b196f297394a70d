"""What a head end answers at once: errors by meter, positions, pages; and the exchange that is kept as a delivery.

An answer alone says too little (an empty list: of which meters?), so it is kept beside the request, without the headers
of both: they carry a password.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from lxml import etree

from mdus.domain.command import Command
from mdus.domain.end_device import SwitchState
from mdus.domain.head_end import FieldMeter, RawDelivery, Rejection
from mdus.headends.multispeak import soap
from mdus.headends.multispeak.options import LOGIN_REFUSED, NOT_NOW, Errors
from mdus.headends.multispeak.requests import EXT_DEVICE, EXT_REGISTERS, Request
from mdus.headends.multispeak.soap import Received

#: The root of an exchange, and the topic it is delivered under.
EXCHANGE: Final = "exchange"

#: How a meter is connected, as its registry says (meterConnectionStatus).
_CONNECTED: Final[Mapping[str, SwitchState]] = {
    "Connected": SwitchState.CONNECTED,
    "Disconnected": SwitchState.DISCONNECTED,
    "DisconnectedNonPay": SwitchState.DISCONNECTED,
}

#: An answer that is one errorObject, empty where nothing is wrong.
_ONE_ERROR: Final = "InitiateLoadManagementEventResult"

_METERS: Final = ("meter", "electricMeter", "gasMeter", "waterMeter")


@dataclass(frozen=True, kw_only=True, slots=True)
class Error:
    """An errorObject: the meter it is about (None: all of the call), and what it says."""

    meter: str | None
    text: str
    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Sorted:
    """What an answer says of the commands of a call: which are rejected, and what concerns none or all of them."""

    rejections: tuple[Rejection, ...]
    of_the_call: tuple[Error, ...]
    strangers: tuple[Error, ...]


def errors(message: etree._Element, classes: Errors) -> list[Error]:
    """Return the errorObjects of an answer: in a list each that names a meter or says something."""
    found = []
    for each in soap.everywhere(message, "errorObject", _ONE_ERROR):
        # The one error of a load event names the event.
        meter = None if soap.local(each) == _ONE_ERROR else soap.attribute(each, "objectID")
        told = soap.attribute(each, "errorString") or soap.own_text(each)
        if told is None and meter is not None:
            told = "no reason is given"
        if told is not None:
            found.append(Error(meter=meter, text=told, code=classes.code(told)))
    return found


def sorted_out(found: Sequence[Error], commands: Sequence[Command]) -> Sorted:
    """Return errors by the commands they are about; the only command of a call is meant by an error without a meter.

    But for a login refused, or a head end that takes nothing now: these are of the call, however many it names.
    """
    by_serial = {command.serial_id: command for command in commands}
    rejections: dict[str, Rejection] = {}
    of_the_call: list[Error] = []
    strangers: list[Error] = []
    for error in found:
        alone = commands[0] if len(commands) == 1 and error.code not in (LOGIN_REFUSED, NOT_NOW) else None
        command = alone if error.meter is None else by_serial.get(error.meter)
        if command is not None:
            rejection = Rejection(command_key=command.command_key, code=error.code, text=error.text)
            rejections.setdefault(command.command_key, rejection)
        elif error.meter is None:
            of_the_call.append(error)
        else:
            strangers.append(error)
    return Sorted(rejections=tuple(rejections.values()), of_the_call=tuple(of_the_call), strangers=tuple(strangers))


def remaining(answer: Received) -> str | None:
    """Return the cursor of the next page, None on the last; raises ValueError where more remains behind no cursor."""
    left = answer.header.get("ObjectsRemaining", "").strip()
    if not left or not left.isdigit() or int(left) == 0:
        return None
    cursor = answer.header.get("LastSent", "").strip()
    if not cursor:
        raise ValueError(f"{left} objects remain, but the header names no LastSent")
    return cursor


def methods(message: etree._Element) -> frozenset[str]:
    """Return the names that GetMethods lists."""
    return frozenset(filter(None, (soap.own_text(each) for each in soap.everywhere(message, "string"))))


def exchange(request: Request, answer: Received, *, correlation: str, version: str) -> RawDelivery:
    """Return a call and its answer as one delivery."""
    body = soap.envelope(request.message, version=version, header={})
    root = etree.Element(EXCHANGE)
    stamped = answer.header.get("TimeStamp")
    if stamped:
        root.set("at", stamped)
    root.append(soap.received(body).message)
    root.append(answer.message)
    etree.cleanup_namespaces(root)
    return RawDelivery(topic=EXCHANGE, correlation=correlation, body=etree.tostring(root, encoding="UTF-8"))


def joined(request: Request, pages: Sequence[Received], *, correlation: str, version: str) -> RawDelivery:
    """Return a call whose answer came in several pages as one delivery: the pages' lists are one."""
    first, *others = pages
    whole = soap.child(first.message)
    for page in others:
        for each in list(soap.children(soap.child(page.message))):
            if whole is not None:
                whole.append(each)
    return exchange(request, first, correlation=correlation, version=version)


def meters(message: etree._Element, *, breakers: frozenset[str] | None) -> Iterator[FieldMeter]:
    """Yield the meters of a page of the registry; `breakers` are those that have one, None where nobody says."""
    for each in soap.everywhere(message, *_METERS):
        serial = soap.text(each, "meterNo") or soap.attribute(each, "objectID")
        if serial is None:
            continue
        extensions = {
            soap.text(item, "extName"): soap.text(item, "extValue") for item in soap.everywhere(each, "extensionsItem")
        }
        told = extensions.get(EXT_REGISTERS)
        types = None if told is None else tuple(told.split())
        status = soap.own_text(next(soap.everywhere(each, "meterConnectionStatus"), None))
        yield FieldMeter(
            serial_id=serial,
            device_id=extensions.get(EXT_DEVICE),
            provisioned=True,
            reading_types=types,
            first_heard_at=None,
            last_heard_at=None,
            switch_state=_CONNECTED.get(status or ""),
            has_breaker=None if breakers is None else serial in breakers,
            factors=_factors(each, types or ()),
        )


def _factors(meter: etree._Element, types: Sequence[str]) -> tuple[tuple[str, Decimal], ...]:
    """Return a meter's multiplier for each of its registers; one that is no number is not told."""
    told = soap.own_text(next(soap.everywhere(meter, "multiplier"), None))
    if told is None:
        return ()
    try:
        factor = soap.decimal(told, "multiplier")
    except ValueError:
        return ()
    return tuple((name, factor) for name in types)
