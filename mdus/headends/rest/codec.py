"""The JSON of docs/head_ends/rest.md: commands into job bodies, answers and pushes into values. No sockets.

Strict about what MDUS needs, blind to what it does not know. Every mistake is a ValueError that says where it is
(`members`), but of numbers that a meter is only held against: these are not told then. What meters tell is read by
`values`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import structlog

from mdus.contracts.printable import printable
from mdus.domain.command import HARMS_WHEN_LATE, Command, CommandKind
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.head_end import CommandResult, FieldEvent, FieldMeter, Probe, Rejection, Submission
from mdus.domain.register import Register
from mdus.headends import _members as members
from mdus.headends.rest import values

log = structlog.get_logger(__name__)

#: Failure codes after which it is certain that the meter did not act. Of any other (NO_RESPONSE, or one this table does
#: not know) it is not: a breaker must then be asked for its state.
NOTHING_DONE = frozenset(
    {
        "UNKNOWN_METER",  # the head end has no meter with this serial number
        "NOT_PROVISIONED",  # known, but never provisioned
        "REGISTER_MISMATCH",  # commodity, OBIS code or unit the meter does not have
        "NO_BREAKER",
        "BUSY",  # occupied by another job
        "RELAY_STUCK",  # told to move, did not
        "LOW_CREDIT",  # a prepayment meter refuses to connect
        "NO_DATA",  # nothing stored for the period
        "NOT_SUPPORTED",  # not for a meter of this kind
        "EXPIRED",  # expires_at passed before it was begun
    }
)

#: The medium of an OBIS code (its value group A) as the commodity of the API.
COMMODITIES = {"1": "electricity", "7": "gas", "8": "water", "9": "water"}

#: SAP's unit codes as the units of the API; a unit that is not here goes as it is.
UNITS = {"KWH": "kWh", "M3": "m3", "MTQ": "m3"}

#: What meters tell, by topic: the list in the body of a push or page, and how a row of it is read.
MEMBER_OF = {"readings": "readings", "intervals": "blocks", "events": "events", "heard": "meters"}
_READERS: Mapping[str, Callable[[Any, str], FieldEvent]] = {
    "readings": values.reading,
    "intervals": values.intervals,
    "events": values.alarm,
    "heard": values.heard,
}

#: Digits before the point of a register whose number of digits SAP did not say.
_USUAL_DIGITS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page of a list: its items, and the cursor of the next page."""

    items: list[Any]
    next_cursor: str | None


# ---- what goes out ---------------------------------------------------------------------------------------------------


def job(
    commands: Sequence[Command],
    *,
    kind: CommandKind,
    correlation: str,
    callback_url: str | None,
    devices: Mapping[tuple[str, str], EndDevice],
    registers: Mapping[tuple[str, str], Sequence[Register]],
) -> bytes:
    """Return the body of `POST /v1/jobs` for commands of one kind; `reference` is the command's key.

    A job of which anything carried out too late does harm expires when the first of its commands does, any other when
    the last does: a read that comes too late harms nobody.
    """
    expiries = [command.expires_at for command in commands]
    body: dict[str, Any] = {
        "correlation_id": correlation,
        "kind": kind.value,
        "expires_at": stamp(min(expiries) if kind in HARMS_WHEN_LATE else max(expiries)),
        "devices": [
            {"serial": command.serial_id, "reference": command.command_key}
            | _parameters(command, kind=kind, devices=devices, registers=registers)
            for command in commands
        ],
    }
    if callback_url is not None:
        body["callback_url"] = callback_url
    return json.dumps(body).encode()


def _parameters(
    command: Command,
    *,
    kind: CommandKind,
    devices: Mapping[tuple[str, str], EndDevice],
    registers: Mapping[tuple[str, str], Sequence[Register]],
) -> dict[str, Any]:
    match kind:
        case CommandKind.PROVISION:
            key = (command.sender_system, command.device_id)
            return _provisioning(devices[key], registers.get(key, ()))
        case CommandKind.READ_REGISTERS | CommandKind.READ_INTERVALS:
            if command.period_from is None or command.period_to is None:
                raise ValueError(f"the command {command.command_key} reads values of no period")
            return {"period": {"from": stamp(command.period_from), "to": stamp(command.period_to)}}
        case CommandKind.SWITCH:
            if command.wanted_state not in (SwitchState.CONNECTED, SwitchState.DISCONNECTED):
                raise ValueError(f"the command {command.command_key} switches to no state")
            return {"state": command.wanted_state.value}
        case CommandKind.LIMIT_DEMAND:
            return {"limit_kw": command.parameter("limit_kw")}
        case CommandKind.CONTROL_LOAD:
            return _event(command)
        case CommandKind.SHOW_TEXT:
            return {"text": _said(command, "text")}
        case CommandKind.READ_ON_DEMAND | CommandKind.SWITCH_STATE | CommandKind.PING | CommandKind.SET_TIME:
            return {}


def _event(command: Command) -> dict[str, Any]:
    return {
        "event": _said(command, "event"),
        "action": _said(command, "action"),
        "start": _said(command, "start"),
        "minutes": int(_said(command, "minutes")),
        "percent": int(_said(command, "percent")),
    }


def _said(command: Command, name: str) -> str:
    text = command.parameter(name)
    if text is None:
        raise ValueError(f"the command {command.command_key} says no {name}")
    return text


def _provisioning(device: EndDevice, registers: Sequence[Register]) -> dict[str, Any]:
    media = {COMMODITIES.get(register.reading_type[:1]) for register in registers}
    return {
        "device_id": device.device_id,
        "commodity": next(iter(media)) if len(media) == 1 else None,
        "registers": [
            {
                "obis": register.reading_type,
                "unit": UNITS.get(register.unit, register.unit),
                "digits": _digits(register),
                "decimals": register.fraction_digits,
                "factor": format(register.factor if register.factor is not None else Decimal(1), "f"),
            }
            for register in registers
        ],
    }


def can_provision(registers: Sequence[Register]) -> str | None:
    """Return why a meter with these registers cannot be provisioned, or None when it can."""
    if not registers:
        return "no register of the meter is known yet"
    media = {COMMODITIES.get(register.reading_type[:1]) for register in registers}
    if len(media) != 1 or None in media:
        codes = ", ".join(register.reading_type for register in registers)
        return f"the registers {codes} name no single commodity"
    return None


def _digits(register: Register) -> int:
    if register.total_digits is None:
        return _USUAL_DIGITS
    return max(register.total_digits - register.fraction_digits, 1)


def stamp(instant: datetime) -> str:
    """Return an instant as the API writes it: RFC 3339, UTC, with Z."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


# ---- what comes in ---------------------------------------------------------------------------------------------------


def decode(topic: str, body: bytes) -> Iterator[FieldEvent]:
    """Return the events of a push (topic `results` or one of MEMBER_OF), of a page fetched, or of a fetched `job`."""
    content = members.of_body(body)
    if topic in ("results", "job"):
        return _results(content)
    if topic not in MEMBER_OF:
        raise ValueError(f"a head end of kind rest pushes nothing under the topic {topic!r}")
    name = MEMBER_OF[topic]
    read = _READERS[topic]
    return (read(row, f"{name}[{at}]") for at, row in enumerate(members.whole_list(content, name, "")))


def submission(body: bytes) -> Submission:
    """Read the answer of `POST /v1/jobs`."""
    return _submission(members.of_body(body), "")


def jobs_found(body: bytes) -> list[Submission]:
    """Read the answer of `GET /v1/jobs?correlation_id=`: what became of the submits, oldest first."""
    return [
        _submission(row, f"jobs[{at}]") for at, row in enumerate(members.whole_list(members.of_body(body), "jobs", ""))
    ]


def results_known(body: bytes) -> tuple[str, bool]:
    """Read the answer of `GET /v1/jobs/{token}`: its correlation id, and whether it holds results yet."""
    content = members.of_body(body)
    return members.text(content, "correlation_id", ""), bool(members.whole_list(content, "results", ""))


def told_page(body: bytes, member: str) -> Page:
    """Read a page of what meters told; its items (the list `member`) are left unread, they are decoded like a push."""
    content = members.of_body(body)
    return Page(
        items=members.whole_list(content, member, ""), next_cursor=members.optional_text(content, "next_cursor", "")
    )


def meters_page(body: bytes) -> Page:
    """Read a page of `GET /v1/meters` as FieldMeter values."""
    content = members.of_body(body)
    rows = enumerate(members.whole_list(content, "meters", ""))
    return Page(
        items=[_meter(row, f"meters[{at}]") for at, row in rows],
        next_cursor=members.optional_text(content, "next_cursor", ""),
    )


def capabilities(body: bytes) -> Probe:
    """Read the answer of `GET /v1/capabilities`: the kinds of jobs it takes, as far as MDUS knows them."""
    content = members.of_body(body)
    told = [str(kind) for kind in members.whole_list(content, "kinds", "")]
    known = frozenset(kind for kind in CommandKind if kind.value in told)
    version = members.optional_text(content, "version", "") or "of no version"
    return Probe(takes=known, text=f"{version}: {', '.join(told)}")


def problem(body: bytes) -> str:
    """Return what a problem body says, for people; any text of an answer that is none."""
    try:
        content = members.of_body(body)
    except ValueError:
        return printable(body[:200].decode("utf-8", "replace"))
    errors = content.get("errors")
    listed = errors[:5] if isinstance(errors, list) else [errors]
    return printable("; ".join(str(part) for part in (content.get("title"), content.get("detail"), *listed) if part))


def _submission(row: Any, where: str) -> Submission:
    token = members.text(row, "token", where)
    rejected = members.whole_list(row, "rejected", where)
    path = members.path("rejected", where)
    return Submission(
        token=token,
        rejections=tuple(
            Rejection(
                command_key=members.text(entry, "reference", f"{path}[{at}]"),
                code=members.text(entry, "code", f"{path}[{at}]"),
                text=members.optional_text(entry, "text", f"{path}[{at}]") or "",
            )
            for at, entry in enumerate(rejected)
        ),
    )


def _results(content: Mapping[str, Any]) -> Iterator[CommandResult]:
    kind = members.optional_text(content, "kind", "")
    correlation = members.optional_text(content, "correlation_id", "")
    token = members.optional_text(content, "token", "")
    for at, row in enumerate(members.whole_list(content, "results", "")):
        yield _result(row, f"results[{at}]", kind=kind, correlation=correlation, token=token)


def _result(row: Any, where: str, *, kind: str | None, correlation: str | None, token: str | None) -> CommandResult:
    serial = members.text(row, "serial", where)
    status = members.text(row, "status", where)
    if status not in ("ok", "failed"):
        raise ValueError(f"{where}.status is {status!r}, neither ok nor failed")
    succeeded = status == "ok"
    code = None if succeeded else members.text(row, "code", where)
    completed_at = members.instant(row, "completed_at", where)
    # Of a switch the instant of the operation counts; a state is as good as the instant it was read.
    switched_at = members.optional_instant(row, "switched_at", where) if kind == CommandKind.SWITCH else None
    return CommandResult(
        command_key=members.text(row, "reference", where),
        correlation=correlation,
        token=token,
        serial_id=serial,
        succeeded=succeeded,
        code=code,
        text=members.optional_text(row, "text", where),
        acted_at=switched_at or completed_at,
        readings=tuple(
            values.reading(each, f"{where}.readings[{at}]", serial=serial)
            for at, each in enumerate(members.optional_list(row, "readings", where))
        ),
        intervals=tuple(
            values.intervals(each, f"{where}.blocks[{at}]", serial=serial)
            for at, each in enumerate(members.optional_list(row, "blocks", where))
        ),
        switch_state=_switch_state(row, where),
        uncertain=not succeeded and code not in NOTHING_DONE,
    )


def _meter(row: Any, where: str) -> FieldMeter:
    registers = members.whole_list(row, "registers", where)
    names = [members.text(entry, "obis", f"{where}.registers[{at}]") for at, entry in enumerate(registers)]
    factors = [_quantity_told(entry, "factor", f"{where}.registers[{at}]") for at, entry in enumerate(registers)]
    has_breaker = row.get("has_breaker")
    return FieldMeter(
        serial_id=members.text(row, "serial", where),
        device_id=members.optional_text(row, "device_id", where),
        provisioned=row.get("provisioned") is True,
        reading_types=tuple(names),
        first_heard_at=members.optional_instant(row, "first_heard_at", where),
        last_heard_at=members.optional_instant(row, "last_heard_at", where),
        switch_state=_switch_state(row, where),
        has_breaker=has_breaker if isinstance(has_breaker, bool) else None,
        factors=tuple((name, factor) for name, factor in zip(names, factors, strict=True) if factor is not None),
        clock_offset_seconds=_quantity_told(row, "clock_offset_seconds", where),
        concentrator=members.optional_text(row, "concentrator", where),
    )


def _quantity_told(row: Any, name: str, where: str) -> Decimal | None:
    """Return a number that only rules of validation ask for: one that cannot be read is not told, the page is."""
    try:
        return members.optional_quantity(row, name, where)
    except ValueError as error:
        log.warning("number_of_a_meter_not_read", reason=printable(str(error)))
        return None


def _switch_state(row: Mapping[str, Any], where: str) -> SwitchState | None:
    text = members.optional_text(row, "switch_state", where)
    if text is None:
        return None
    try:
        return SwitchState(text)
    except ValueError:
        raise ValueError(f"{where}.switch_state is {text!r}, neither connected nor disconnected") from None
