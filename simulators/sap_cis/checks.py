"""Rules about one part of a message, by themselves: header, log, times, values. Each yields (defect name, detail)."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from lxml import etree

from simulators.sap_cis.view import Register

Finding = tuple[str, str]

#: The clocks of two processes differ by what they poll; more than this is a wrong time.
TOLERANCE = timedelta(minutes=2)

_TYPE_ID = re.compile(r"\d{3}\([A-Z][A-Z0-9_/]*\)")
_NOTE_LENGTH = 200
_FINAL_CODES = ("3", "4", "5")
_ERROR_SEVERITY = 3


def text(element: etree._Element | None, path: str) -> str | None:
    """This will return the text below `path`, white space at its ends removed as xsd:token does; None if absent."""
    found = None if element is None else element.findtext(path)
    return None if found is None else found.strip()


def utc(value: str | None) -> datetime | None:
    """This will read a wire time stamp (`...Z`), None if it is absent or no instant in UTC."""
    if value is None or not value.endswith("Z"):
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def header_findings(
    header: etree._Element | None, *, now: datetime, own_system: str, mdus_system: str | None
) -> Iterator[Finding]:
    """This will judge a message header; `now` is the instant at which the message came."""
    if not text(header, "UUID"):
        yield "uuid_missing", "MessageHeader/UUID"
    created = text(header, "CreationDateTime")
    if created is not None:
        yield from instant_findings(created, where="CreationDateTime", now=now, future="creation_time_in_future")
    recipient = text(header, "RecipientBusinessSystemID")
    if recipient is not None and recipient != own_system:
        yield "wrong_recipient", f"{recipient} instead of {own_system}"
    sender = text(header, "SenderBusinessSystemID")
    if sender == own_system or (mdus_system is not None and sender != mdus_system):
        yield "wrong_sender", f"{sender} instead of {mdus_system or 'a system of its own'}"


def instant_findings(value: str, *, where: str, now: datetime, future: str) -> Iterator[Finding]:
    """This will judge a time stamp of the wire: UTC with Z, and not in the future (then the defect is `future`)."""
    instant = utc(value)
    if instant is None:
        yield "timestamp_not_utc", f"{where} is {value}"
    elif instant > now + TOLERANCE:
        yield future, f"{where} is {value}, it is {now:%Y-%m-%dT%H:%M:%SZ}"


def log_findings(log: etree._Element | None) -> Iterator[Finding]:
    """This will judge the log of a confirmation by itself: code, severities, type ids, notes."""
    if log is None:
        yield "result_code_unknown", "no Log"
        return
    code = text(log, "BusinessDocumentProcessingResultCode")
    if code not in _FINAL_CODES:
        yield "result_code_unknown", f"code {code}"
    severities = []
    for item in log.iterfind("Item"):
        type_id = text(item, "TypeID")
        if type_id is None or not _TYPE_ID.fullmatch(type_id):
            yield "type_id_form", f"TypeID {type_id}"
        note = item.findtext("Note") or ""
        if len(note) > _NOTE_LENGTH:
            yield "note_too_long", f"{len(note)} characters"
        severities.append(text(item, "SeverityCode") or "")
    yield from _severity_findings(code, text(log, "MaximumLogItemSeverityCode"), severities)
    if code == "5" and not severities:
        yield "failure_without_reason", "no Item"


def _severity_findings(code: str | None, highest: str | None, severities: list[str]) -> Iterator[Finding]:
    if not severities:
        return
    if any(severity not in ("1", "2", "3", "4") for severity in severities) or highest != max(severities):
        yield "severity_inconsistent", f"maximum {highest} over {', '.join(severities)}"
        return
    failed = int(max(severities)) >= _ERROR_SEVERITY
    if (code == "5" and not failed) or (code == "3" and failed):
        yield "severity_inconsistent", f"result code {code} with severity {highest}"


def overall_code(codes: Iterable[str | None]) -> str:
    """This will return the result code that follows from those of the parts: 3 all well, 5 none, else 4."""
    parts = set(codes)
    if parts == {"3"}:
        return "3"
    return "4" if parts & {"3", "4"} else "5"


def reading_instants(on: str, at: str, zone: ZoneInfo) -> list[datetime]:
    """This will return the instants a local date and time can mean: one, two in the hour repeated, none in the gap.

    ValueError if they are no date and time.
    """
    local = datetime.combine(date.fromisoformat(on), time.fromisoformat(at))
    instants = []
    for fold in (0, 1):
        instant = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if instant.astimezone(zone).replace(tzinfo=None) == local and instant not in instants:
            instants.append(instant)
    return instants


def value_findings(value: str, register: Register | None) -> Iterator[Finding]:
    """This will judge a meter reading against what its register can show."""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return  # the schema has said so
    if number < 0:
        yield "value_negative", value
    if register is None:
        return
    exponent = number.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > register.decimals:
        yield "value_decimals", f"{value} on a register of {register.decimals} decimals"
    if abs(number) >= Decimal(10) ** register.digits:
        yield "value_too_large", f"{value} on a register of {register.digits} digits"


def same_number(one: str | None, other: str | None) -> bool:
    """This will compare two codes or ids without their leading zeros."""
    return one is not None and other is not None and one.lstrip("0") == other.lstrip("0")
