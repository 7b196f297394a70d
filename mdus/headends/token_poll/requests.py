"""What the head end is asked for, as the bodies of docs/head_ends/token_poll.md: commands into XML, no sockets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from lxml import etree

from mdus.domain.command import Command, CommandKind
from mdus.domain.head_end import Batch
from mdus.domain.register import Register
from mdus.headends.token_poll.actions import Operation, Options

#: The medium of an OBIS code (its value group A) as the market of a meter.
MARKETS: Final = {"1": "Electric", "7": "Gas", "8": "Water", "9": "Water"}

#: What is interrogated: what registers showed each midnight, or the values of intervals.
_DATA_SETS: Final[Mapping[CommandKind, str]] = {
    CommandKind.READ_REGISTERS: "Registers",
    CommandKind.READ_INTERVALS: "Intervals",
}

#: Digits before the point of a register whose number of digits SAP did not say.
_USUAL_DIGITS: Final = 8


class Body:
    """A body of an operation: its root and all elements in the namespace of its service."""

    def __init__(self, options: Options, operation: Operation, name: str | None = None) -> None:
        self._namespace = options.namespace(operation)
        self.root = etree.Element(f"{{{self._namespace}}}{name or operation.action}", nsmap={"n0": self._namespace})

    def add(self, name: str, text: str | None = None, *, to: etree._Element | None = None) -> etree._Element:
        """Add an element, to the root where nothing else is said; returns it."""
        element = etree.SubElement(self.root if to is None else to, f"{{{self._namespace}}}{name}")
        element.text = text
        return element


def request(
    commands: Sequence[Command],
    batch: Batch,
    *,
    operation: Operation,
    options: Options,
    callback_url: str | None,
    name_of: Callable[[str], str] = str,
    unit_of: Callable[[str], str] = str,
) -> etree._Element:
    """Return the body that asks for commands of a batch, all of one operation.

    `name_of` names channels, `unit_of` SAP's units.

    Switches expire when the first of them does, anything else when the last does: a read that comes too late harms
    nobody. A head end that has been asked twice is told by the reference that it was.
    """
    body = Body(options, operation)
    expiries = [command.expires_at for command in commands]
    is_switch = batch.kind is CommandKind.SWITCH
    body.add("CallerReference", batch.correlation)
    if callback_url is not None:
        body.add("StatusAddress", f"{callback_url}/status")
        body.add("DataAddress", f"{callback_url}/data")
    body.add("ExpiresWhen", stamp(min(expiries) if is_switch else max(expiries)))
    endpoints = body.add("Endpoints")
    for command in commands:
        endpoint = body.add("Endpoint", to=endpoints)
        body.add("ElectronicSerialNumber", options.meter_ids.of(command.serial_id), to=endpoint)
        if batch.kind in _DATA_SETS:
            _add_period(body, endpoint, command)
        elif batch.kind is CommandKind.PROVISION:
            _add_definition(body, endpoint, command, batch, name_of, unit_of)
    return body.root


def _add_period(body: Body, endpoint: etree._Element, command: Command) -> None:
    if command.period_from is None or command.period_to is None:
        raise ValueError(f"the command {command.command_key} reads values of no period")
    body.add("DataSet", _DATA_SETS[command.kind], to=endpoint)
    body.add("StartTime", stamp(command.period_from), to=endpoint)
    body.add("EndTime", stamp(command.period_to), to=endpoint)


def _add_definition(
    body: Body,
    endpoint: etree._Element,
    command: Command,
    batch: Batch,
    name_of: Callable[[str], str],
    unit_of: Callable[[str], str],
) -> None:
    registers = batch.registers[command.sender_system, command.device_id]
    body.add("DeviceID", command.device_id, to=endpoint)
    body.add("MarketType", MARKETS[registers[0].reading_type[:1]], to=endpoint)
    defined = body.add("Registers", to=endpoint)
    for register in registers:
        each = body.add("Register", to=defined)
        body.add("Quantity", name_of(register.reading_type), to=each)
        body.add("Unit", unit_of(register.unit), to=each)
        body.add("NumberOfDials", str(_digits(register)), to=each)
        body.add("Decimals", str(register.fraction_digits), to=each)
        body.add("Multiplier", format(register.factor if register.factor is not None else Decimal(1), "f"), to=each)


def can_provision(registers: Sequence[Register]) -> str | None:
    """Return why a meter with these registers cannot be provisioned, or None when it can."""
    if not registers:
        return "no register of the meter is known yet"
    markets = {MARKETS.get(register.reading_type[:1]) for register in registers}
    if len(markets) != 1 or None in markets:
        codes = ", ".join(register.reading_type for register in registers)
        return f"the registers {codes} name no single market"
    return None


def _digits(register: Register) -> int:
    if register.total_digits is None:
        return _USUAL_DIGITS
    return max(register.total_digits - register.fraction_digits, 1)


def fetch(token: str, *, operation: Operation, options: Options) -> etree._Element:
    """Return the body that fetches the result of a request."""
    body = Body(options, operation, operation.result)
    body.add("RequestToken", token)
    return body.root


def look_for(correlation: str, *, options: Options) -> etree._Element:
    """Return the body that looks for a request by our reference."""
    body = Body(options, Operation.FIND_REQUEST)
    body.add("CallerReference", correlation)
    return body.root


def list_subscriptions(options: Options) -> etree._Element:
    """Return the body that lists our subscriptions."""
    body = Body(options, Operation.SUBSCRIPTIONS)
    body.add("SystemName", options.system_name)
    return body.root


def subscribe(operation: Operation, address: str, *, options: Options) -> etree._Element:
    """Return the body that subscribes to data or exceptions of the groups, to be pushed to an address."""
    body = Body(options, operation)
    body.add("SystemName", options.system_name)
    body.add("Address", address)
    groups = body.add("Groups")
    for group in options.groups:
        body.add("Group", group, to=groups)
    if operation is Operation.SUBSCRIBE_EXCEPTIONS:
        categories = body.add("ExceptionCategories")
        for category in options.exception_categories:
            body.add("ExceptionCategory", category, to=categories)
    return body.root


def cancel(operation: Operation, subscription: str, *, options: Options) -> etree._Element:
    """Return the body that ends a subscription."""
    body = Body(options, operation)
    body.add("SubscriptionID", subscription)
    return body.root


def stamp(instant: datetime) -> str:
    """Return an instant as the bodies have it: UTC, with Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
