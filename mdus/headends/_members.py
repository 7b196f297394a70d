"""Members of JSON objects: read with their type, or a ValueError that says where: `results[3].completed_at is missing`.

No head end, but what kinds share that speak JSON.

`where` is the path of the object that has the member, empty for the body itself.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from mdus.contracts.printable import printable
from mdus.domain.quantities import Quantities, plain_numbers, records

_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)

#: Greater and smaller powers of ten no quantity has, and to write one out would fill the memory.
_GREATEST_EXPONENT = 60


def of_body(body: bytes) -> dict[str, Any]:
    """Return the JSON object a body is."""
    try:
        content = _loaded(body)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError("the body is not a JSON object")  # noqa: TRY004  # the body's mistake, not a caller's
    return content


def _loaded(body: bytes) -> Any:
    # Numbers stay exact, should a head end write quantities so.
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except UnicodeDecodeError:
        # A text in another encoding: what stands around it is read all the same.
        return json.loads(body.decode("utf-8", "replace"), parse_float=Decimal, parse_constant=_no_number)


def path(name: str, where: str) -> str:
    """Return the path of a member."""
    return f"{where}.{name}" if where else name


def member(row: Any, name: str, where: str) -> Any:
    """Return a member as it is, None when there is none."""
    return of_row(row, where).get(name)


def of_row(value: Any, where: str) -> dict[str, Any]:
    """Return an object."""
    if not isinstance(value, dict):
        raise ValueError(f"{where or 'the body'} is not an object")  # noqa: TRY004
    return value


def optional_text(row: Any, name: str, where: str) -> str | None:
    """Return a text that may be missing, with `?` for what could neither be kept nor sent on."""
    value = member(row, name, where)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{path(name, where)} is not text")  # noqa: TRY004
    return printable(value)


def text(row: Any, name: str, where: str) -> str:
    """Return a text that must be there and not be empty."""
    value = optional_text(row, name, where)
    if not value:
        raise ValueError(f"{path(name, where)} is missing")
    return value


def optional_list(row: Any, name: str, where: str) -> list[Any]:
    """Return a list, empty when it is missing."""
    return [] if member(row, name, where) is None else whole_list(row, name, where)


def whole_list(row: Any, name: str, where: str) -> list[Any]:
    """Return a list that must be there."""
    value = member(row, name, where)
    if not isinstance(value, list):
        raise ValueError(f"{path(name, where)} is not a list")  # noqa: TRY004
    return value


def optional_instant(row: Any, name: str, where: str) -> datetime | None:
    """Return an instant in UTC that may be missing."""
    value = optional_text(row, name, where)
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"{path(name, where)} is {value!r}, not an instant") from None
    if at.tzinfo is None:
        raise ValueError(f"{path(name, where)} is {value!r}, an instant without zone")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{path(name, where)} is {value!r}, beyond the calendar") from None


def instant(row: Any, name: str, where: str) -> datetime:
    """Return an instant in UTC that must be there."""
    at = optional_instant(row, name, where)
    if at is None:
        raise ValueError(f"{path(name, where)} is missing")
    return at


def minutes(row: Any, name: str, where: str) -> int:
    """Return a whole number of minutes, at least one."""
    value = member(row, name, where)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{path(name, where)} is {value!r}, not a number of minutes")
    return value


def quantity(row: Any, name: str, where: str) -> Decimal:
    """Return a decimal number."""
    value = member(row, name, where)
    return _decimal(value, path(name, where))


def optional_quantity(row: Any, name: str, where: str) -> Decimal | None:
    """Return a decimal number, None where it is not said."""
    value = row.get(name)
    return None if value is None else _decimal(value, path(name, where))


def quantities(row: Any, name: str, where: str) -> Quantities:
    """Return a list of decimal numbers, None where one is missing."""
    told = whole_list(row, name, where)
    # Many at once: the ordinary text takes the short way, and paths are made for mistakes alone.
    if told and all(value is None or type(value) is str for value in told):
        texts = "".join(["," if value is None else f"{value}," for value in told])
        numbers = plain_numbers(texts.encode("utf-8", "replace"), len(told))
        if not numbers.odd.any() and "" not in told:
            return records(numbers, [len(told)])[0]
    return Quantities.of(
        None if value is None else _decimal(value, f"{path(name, where)}[{at}]") for at, value in enumerate(told)
    )


def _decimal(value: Any, where: str) -> Decimal:
    is_number = isinstance(value, Decimal | int) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError(f"{where} is {value!r}, not a decimal number")
    number = Decimal(value)
    if abs(number.adjusted()) > _GREATEST_EXPONENT:
        raise ValueError(f"{where} is {number:.3E}, a number no quantity has")
    return number


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")
