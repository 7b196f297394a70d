"""What REST clients send: the Request of a service as JSON, by its names and the facets of SAP's contract.

| in the Request           | in JSON                                                                        |
|--------------------------|--------------------------------------------------------------------------------|
| text                     | a string: no blank around it, as long as SAP's; of ASCII where it is an id or code |
| decimal                  | a string of digits, so that none is lost                                       |
| date, time, instant      | `2026-03-28`, `10:00:00` and `2026-03-28T10:00:00Z`; instants in any zone      |
| an end (of `wire_end`)   | the first day that is not in any more, null for an open end                    |
| a nested shape, many     | an object, a list                                                              |
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, WithJsonSchema, create_model

from mdus.contracts.catalog import Catalog
from mdus.contracts.shape import ShapeField, fields_of, unwrap
from mdus.contracts.wire_types import WireType
from mdus.endpoints.rest.sent import Sent, instant, whole_number
from mdus.messaging.patterns import FACETS, ClientRequest, NotificationReceived, Offered

#: Characters of ids and codes, and of names: what XML and both databases can hold, but for white space.
_PLAIN: Final = "!-~"
_VISIBLE: Final = "!-~¡-\ud7ff\ue000-�"
_NO_FACETS: Final[Mapping[str, str]] = {}
_LONGEST: Final = 255


def model_of(service: Offered, contract: Catalog) -> type[Sent]:
    """Return the model of one request of a service; `door.made` may be left out."""
    of = None
    if not isinstance(service, ClientRequest):
        name = service.notification if isinstance(service, NotificationReceived) else service.request
        of = contract.root(name).message_type
    title = "".join(word.capitalize() for word in service.door.path.split("-")) if service.door else service.name
    return _model(f"{title}Item", service.shape, of, optional=service.door.made if service.door else None)


def request_of(shape: type[Any], sent: BaseModel, *, made: Mapping[str, Any] | None = None) -> Any:
    """Return the Request that a client sent; `made` are values of fields it left out."""
    given = {name: _value(shape, name, getattr(sent, name)) for name in sent.model_fields_set}
    made = {name: value for name, value in (made or {}).items() if given.get(name) is None}
    return shape(**given | made)


# -- models -----------------------------------------------------------------------------------------------------------


def _model(name: str, shape: type, of: WireType | None, *, optional: str | None = None) -> type[Sent]:
    hints = typing.get_type_hints(shape)
    wired = {} if of is None else {one.name: one for one in fields_of(shape)}
    members: dict[str, Any] = {}
    for field in dataclasses.fields(shape):
        if field.metadata.get("transient"):
            continue
        inner, may_lack, repeated = unwrap(hints[field.name])
        at = wired.get(field.name)
        facets = field.metadata.get(FACETS, _NO_FACETS)
        member = _member(f"{name.removesuffix('Item')}{_title(field.name)}", inner, at, of, facets)
        if repeated:
            least = max(_least(at, of), int(facets.get("minOccurs", 0)))
            member = Annotated[list[member], Field(min_length=least, max_length=1000)]  # type: ignore[valid-type]
        if may_lack:
            member = member | None
        default = _default(field, repeated=repeated)
        members[field.name] = (member | None, None) if field.name == optional else (member, default)
    doc = (shape.__doc__ or "").strip()
    return create_model(name, __base__=Sent, __doc__=doc, **members)


def _title(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _default(field: dataclasses.Field[Any], *, repeated: bool) -> Any:
    if field.default is dataclasses.MISSING:
        return ...
    return [] if repeated else field.default


def _least(at: ShapeField | None, of: WireType | None) -> int:
    """Return how often a repeated child must be there at least."""
    return 1 if at is not None and of is not None and _is_required(at, of) else 0


def _is_required(at: ShapeField, of: WireType) -> bool:
    for name in at.path.elements:
        child = of.child(name)
        if child is None or not child.required:
            return False
        of = child.type
    return True


def _member(name: str, inner: Any, at: ShapeField | None, of: WireType | None, facets: Mapping[str, str]) -> Any:
    if dataclasses.is_dataclass(inner) and isinstance(inner, type):
        return _model(name, inner, None if at is None or of is None else _type_at(at, of))
    wired = None if at is None or of is None or at.path.attribute else _type_at(at, of)
    facets = facets if wired is None else wired.facets
    builtin = facets.get("builtin") if wired is None else wired.builtin
    if inner is str:
        return _text(facets, characters=_VISIBLE if builtin == "string" else _PLAIN)
    if isinstance(inner, type) and issubclass(inner, Enum):
        return inner
    return _LEAVES[inner](facets)


def _type_at(at: ShapeField, of: WireType) -> WireType:
    for name in at.path.elements:
        child = of.child(name)
        if child is None:
            raise LookupError(f"{of.name} has no {name}")
        of = child.type
    return of


# -- leaves -----------------------------------------------------------------------------------------------------------


def _text(facets: Mapping[str, str], *, characters: str) -> Any:
    fixed = facets.get("length")
    least, most = (int(facets.get(name, fixed or usual)) for name, usual in (("minLength", 1), ("maxLength", _LONGEST)))
    if facets.get("pattern") == r"\d+":
        return Annotated[str, Field(strict=True, pattern=f"^[0-9]{{{least},{most}}}$")]
    told = f"{most} characters" if least == most else f"{least} to {most} characters"
    return Annotated[str, Field(strict=True, pattern=_lengths(least, most, characters), description=told)]


def _lengths(least: int, most: int, characters: str) -> str:
    """Return the pattern of a text of so many characters that does not begin with a blank; one at its end is cut."""
    if least > 1:
        return f"^[{characters}]{{{least},{most}}}$"
    several = f"[{characters}][ {characters}]{{0,{most - 1}}}" if most > 1 else f"[{characters}]"
    return f"^({several})?$" if least == 0 else f"^{several}$"


def _decimal(facets: Mapping[str, str]) -> Any:
    total, fraction = int(facets.get("totalDigits", 25)), int(facets.get("fractionDigits", 10))
    sign = "" if not facets.get("minInclusive", "").startswith("-") else "-?"
    pattern = rf"^{sign}[0-9]{{1,{total - fraction}}}(\.[0-9]{{1,{fraction}}})?$"
    return _written(Decimal, pattern, "digits in a string, such as 12345.67")


def _whole(facets: Mapping[str, str]) -> Any:
    least, most = facets.get("minInclusive", "0"), facets.get("maxInclusive", "999999999")
    return Annotated[int, Field(ge=int(least), le=int(most)), BeforeValidator(whole_number)]


def _written(kind: Any, pattern: str, told: str, *, form: str | None = None) -> Any:
    """Return a type that is written as a string of a pattern, and as nothing else."""
    compiled = re.compile(pattern.replace("$", r"\Z"))

    def check(value: Any) -> Any:
        if isinstance(value, str) and not compiled.match(value):
            raise ValueError(f"expected {told}")
        if not isinstance(value, str | kind):
            raise ValueError(f"expected {told}")  # noqa: TRY004 - what the validation turns into an answer
        return value

    schema = {"type": "string", "description": told} | ({"format": form} if form else {"pattern": pattern})
    return Annotated[kind, BeforeValidator(check), WithJsonSchema(schema)]


_LEAVES: Final[Mapping[Any, Any]] = {
    bool: lambda _: Annotated[bool, Field(strict=True)],
    int: _whole,
    Decimal: _decimal,
    date: lambda _: _written(date, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "a date such as 2026-03-28", form="date"),
    time: lambda _: _written(time, r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$", "a time such as 10:00:00"),
    datetime: lambda _: Annotated[AwareDatetime, BeforeValidator(instant)],
}


# -- values -----------------------------------------------------------------------------------------------------------


def _value(shape: type, name: str, sent: Any) -> Any:
    inner, _, repeated = unwrap(typing.get_type_hints(shape)[name])
    if sent is None:
        return None
    if repeated:
        return tuple(_one(inner, each) for each in sent)
    return _one(inner, sent)


def _one(inner: Any, sent: Any) -> Any:
    if isinstance(sent, BaseModel):
        return request_of(inner, sent)
    if inner is str:
        return " ".join(sent.split())
    if isinstance(sent, datetime):
        return sent.astimezone(UTC)
    return sent
