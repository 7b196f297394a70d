"""The kinds of rows: which columns each has, and how its cells become the Request of a service.

Columns are named as the domain names what they hold; each is a field of the Request, or of what the Request lists.
Dates and times are local to the sender system, spans half-open: `valid_to` is the first day, or instant, that does not
belong any more, and an empty one is open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from typing import Any, Final

from mdus.contracts.catalog import Catalog
from mdus.contracts.envelope import Item, build_item
from mdus.contracts.header import MessageHeader
from mdus.contracts.shape import ShapeField, fields_of
from mdus.contracts.validation import Violation, validate_item
from mdus.domain.local_time import MIDNIGHT
from mdus.endpoints.initial_load.findings import Fault
from mdus.endpoints.initial_load.rows import Number, shown
from mdus.messaging.outcome import Received
from mdus.messaging.patterns import NotificationReceived, RequestConfirmation
from mdus.services import device_create, device_location, point_of_delivery_assigned, register_create

#: What a column of texts expects, as `contracts/shape` says it.
_TEXT: Final = "text"
#: SAP's open end, and the last second of a day, which is its end.
_OPEN_END: Final = (date.max, time(23, 59, 59))
#: What XML cannot hold: control characters, and bytes that were no UTF-8.
_NO_TEXT: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Stands between the parts of a key, and in none of them.
_BETWEEN: Final = "\x1f"
_UNREADABLE: Final = (ValueError, OverflowError)
_HEADER: Final = MessageHeader(
    uuid="00000000-0000-0000-0000-000000000000", created_at=datetime(2000, 1, 1, tzinfo=UTC), sender_system="-"
)
#: What the contract's facets mean to people.
_FACETS: Final[Mapping[str, str]] = {
    "maxLength": "at most {} characters",
    "minLength": "at least {} characters",
    "totalDigits": "at most {} digits",
    "fractionDigits": "at most {} decimals",
    "maxInclusive": "at most {}",
    "minInclusive": "at least {}",
}
_BEYOND_THE_CONTRACT: Final = "correct it: no message of SAP's could hold it"


class Unfit(Exception):
    """A row is not what its kind asks for; `faults` has everything wrong with it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.found}" for fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column: the fields its cells fill, and how; `paths` is where those stand in the message."""

    name: str
    fields: tuple[str, ...]
    paths: tuple[str, ...]
    parse: Callable[[str], tuple[Any, ...]]
    expected: str
    required: bool = True
    absent: tuple[Any, ...] = ()
    """What an empty cell means, where that is not the field's default."""
    in_list: bool = False
    """Whether it is a field of what the Request lists."""

    def values(self, text: str) -> dict[str, Any]:
        """Return the values of the fields; Unfit when the cell does not hold them."""
        if _NO_TEXT.search(text):
            expected, mend = "text in UTF-8, without control characters", "save the file as UTF-8, and write the text"
            raise Unfit([Fault(field=self.name, expected=expected, found=shown(text), mend=f"{mend} again")])
        if isinstance(text, Number) and self.expected == _TEXT:
            expected, mend = "a text in quotation marks", "write it as text; look whether its zeros got lost"
            raise Unfit([Fault(field=self.name, expected=expected, found=f"the number {text}", mend=mend)])
        try:
            return dict(zip(self.fields, self.parse(text), strict=True))
        except _UNREADABLE:
            mend = f"write {self.expected}"
            raise Unfit([Fault(field=self.name, expected=self.expected, found=shown(text), mend=mend)]) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of row and the service its Requests are for.

    Rows that agree in the columns `together` are one Request, which lists what each of them says in its field `listed`;
    without such a field a row is a Request. No two rows agree in all columns of `key`.
    """

    name: str
    service: RequestConfirmation | NotificationReceived
    columns: Mapping[str, Column]
    listed: str | None = None
    listing: type[Any] | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    together: tuple[str, ...] = ("device_id",)
    key: tuple[str, ...]

    @property
    def bulk_root(self) -> str:
        """Return the root of the message that carries many Requests."""
        service = self.service
        root = service.bulk_request if isinstance(service, RequestConfirmation) else service.bulk_notification
        if root is None:
            raise ValueError(f"{service.name} has no bulk")
        return root

    def request(self, cells: Mapping[str, str], *, contract: Catalog) -> Received:
        """Return the Request that a row alone makes, one that the contract holds; raises Unfit with all its faults."""
        faults = [
            Fault(field=name, expected=f"nothing in a row of the kind {self.name}", found=shown(text), mend="empty it")
            for name, text in cells.items()
            if name not in self.columns
        ]
        own: dict[str, Any] = dict(self.fixed)
        inner: dict[str, Any] = {}
        for column in self.columns.values():
            text = cells.get(column.name)
            filled = inner if column.in_list else own
            if text is None and column.required:
                mend = "fill it in"
                faults.append(Fault(field=column.name, expected=column.expected, found="nothing", mend=mend))
            elif text is None:
                filled.update(zip(column.fields, column.absent, strict=False))
            else:
                try:
                    filled.update(column.values(text))
                except Unfit as unfit:
                    faults += unfit.faults
        if faults:
            raise Unfit(faults)
        if self.listed is not None and self.listing is not None:
            own[self.listed] = (self.listing(**inner),)
        request: Received = self.service.shape(**own)
        self._hold(request, contract)
        return request

    def _hold(self, request: Received, contract: Catalog) -> None:
        """Raise Unfit where the contract cannot hold the Request."""
        root = contract.root(self.bulk_root)
        element = build_item(root, Item(_HEADER, request))
        if contract.item_schema(root).validate(element):
            return
        verdict = validate_item(element, root, position=1, contract=contract)
        faults = [self._fault(violation) for violation in verdict.violations]
        # What a reader tolerates a strict writer does not send.
        tolerated = [
            Fault(field=self._column_at(one.path), expected="a shorter text", found="one", mend=_BEYOND_THE_CONTRACT)
            for one in verdict.set_aside
        ]
        raise Unfit(faults or tolerated)

    def _fault(self, violation: Violation) -> Fault:
        facet, _, limit = violation.expected.partition(" ")
        expected = _FACETS[facet].format(limit) if facet in _FACETS else violation.expected
        return Fault(
            field=self._column_at(violation.path),
            expected=expected,
            found=violation.found,
            mend=_BEYOND_THE_CONTRACT,
        )

    def _column_at(self, path: str) -> str:
        """Return the column whose field stands at, or first below, a path of the message; else the path itself."""
        place = re.sub(r"\[\d+\]", "", path).partition("/")[2]
        found = (
            column.name
            for column in self.columns.values()
            if any(one == place or one.startswith(f"{place}/") for one in column.paths)
        )
        return next(found, place)

    def joined(self, requests: Sequence[Received]) -> Received:
        """Return the one Request of rows that go together; Unfit where they disagree in what they should share."""
        first = requests[0]
        if self.listed is None:
            return first
        for name in (column.name for column in self.columns.values() if not column.in_list):
            said = {getattr(request, name) for request in requests}
            if len(said) > 1:
                found = " and ".join(sorted(map(shown, map(str, said))))
                mend = "write the same in all rows that go together"
                raise Unfit([Fault(field=name, expected="the same as in the other rows", found=found, mend=mend)])
        together: Any = tuple(chain.from_iterable(getattr(request, self.listed) for request in requests))
        return replace(first, **{self.listed: together})

    def owner(self, cells: Mapping[str, str]) -> str | None:
        """Return what rows that go together have in common; None for a row too broken to tell."""
        texts = [" ".join(cells.get(name, "").split()) for name in self.together]
        return _BETWEEN.join(texts) if all(texts) else None

    def identity(self, request: Received) -> str:
        """Return what tells a row from all others, given the Request it makes alone."""
        values: list[str] = []
        for name in self.key:
            column = self.columns[name]
            holder = getattr(request, self.listed or "")[0] if column.in_list else request
            values += (str(getattr(holder, one)) for one in column.fields)
        return _BETWEEN.join(values)


# -- columns ----------------------------------------------------------------------------------------------------------


def _columns(shape: type[Any], *, below: str = "", in_list: bool = False) -> Iterator[Column]:
    """Yield a column per field of a shape that holds one value."""
    for item in fields_of(shape):
        if item.leaf is not None and not item.repeated:
            yield _column(item, below=below, in_list=in_list)


def _column(item: ShapeField, *, below: str, in_list: bool) -> Column:
    is_end = item.path.inclusive_end
    parse: Callable[[str], Any] = _end if is_end or item.leaf is None else item.leaf.parse
    return Column(
        name=item.name,
        fields=(item.name,),
        paths=(f"{below}{item.path}",),
        parse=lambda text: (parse(text),),
        expected="a date (YYYY-MM-DD)" if is_end or item.leaf is None else item.leaf.expected,
        required=not item.optional and not item.has_default,
        in_list=in_list,
    )


def _end(text: str) -> date | None:
    day = date.fromisoformat(text.strip())
    if day == date.min:
        raise ValueError(text)  # the contract has no day before it
    return None if day == date.max else day


def _local(text: str) -> datetime:
    """Return the local date and time of a text; a date alone is its midnight."""
    at = datetime.fromisoformat(text.strip())
    if at.tzinfo is not None or at.microsecond:
        raise ValueError(text)
    return at


def _start_of_assignment(text: str) -> tuple[date, time]:
    at = _local(text)
    return at.date(), at.time()


def _end_of_assignment(text: str) -> tuple[date, time]:
    """Return SAP's last date and time of a half-open end: midnight is the last second of the day before."""
    at = _local(text)
    if at.date() == date.max:
        return _OPEN_END
    if at.time() == MIDNIGHT:
        return at.date() - timedelta(days=1), _OPEN_END[1]
    return at.date(), at.time()


_ASSIGNMENT: Final = "UtilitiesMeasurementTask/UtilitiesPointOfDeliveryAssignment/"
_LOCAL_TIME: Final = "a local date (YYYY-MM-DD) or time (YYYY-MM-DDThh:mm:ss)"


def _named(columns: Iterator[Column], *, without: str = "", required: str = "") -> dict[str, Column]:
    return {
        column.name: replace(column, required=column.required or column.name == required)
        for column in columns
        if column.name not in without.split()
    }


_DEVICE: Final = Kind(
    name="device",
    service=device_create.SERVICE,
    columns=_named(_columns(device_create.Request)),
    key=("device_id",),
)
_REGISTER: Final = Kind(
    name="register",
    service=register_create.SERVICE,
    columns=_named(
        chain(
            _columns(register_create.Request),
            _columns(register_create.SentRegister, below="UtilitiesDevice/Register/", in_list=True),
        ),
        required="total_digits",  # SAP's message has an element for the digits, if an empty one
    ),
    listed="registers",
    listing=register_create.SentRegister,
    key=("device_id", "measurement_task_id", "valid_from"),
)
_LOCATION_INDICATORS: Final = "locations_complete logical_locations_complete"
_LOCATION: Final = Kind(
    name="location",
    service=device_location.SERVICE,
    columns=_named(
        chain(
            _columns(device_location.Request),
            _columns(device_location.SentLocation, below="UtilitiesDevice/Location/", in_list=True),
        ),
        without=_LOCATION_INDICATORS,
    ),
    listed="locations",
    listing=device_location.SentLocation,
    fixed={"locations_complete": True},
    key=("device_id", "installation_point_id", "valid_from"),
)
_LOGICAL_LOCATION: Final = Kind(
    name="logical_location",
    service=device_location.SERVICE,
    columns=_named(
        chain(
            _columns(device_location.Request),
            _columns(device_location.SentLogicalLocation, below="UtilitiesDevice/LogicalLocation/", in_list=True),
        ),
        without=_LOCATION_INDICATORS,
    ),
    listed="logical_locations",
    listing=device_location.SentLogicalLocation,
    fixed={"locations_complete": False, "logical_locations_complete": True},
    key=("device_id", "logical_installation_point_id", "valid_from"),
)
_POINT_OF_DELIVERY: Final = Kind(
    name="point_of_delivery",
    service=point_of_delivery_assigned.SERVICE,
    columns={
        **_named(_columns(point_of_delivery_assigned.Request), without="complete"),
        **{
            column.name: column
            for column in (
                Column(
                    name="point_of_delivery_id",
                    fields=("point_of_delivery_id",),
                    paths=(f"{_ASSIGNMENT}UtilitiesPointOfDeliveryPartyID",),
                    parse=lambda text: (" ".join(text.split()),),
                    expected=_TEXT,
                    in_list=True,
                ),
                Column(
                    name="valid_from",
                    fields=("start_on", "start_time"),
                    paths=(f"{_ASSIGNMENT}StartDate", f"{_ASSIGNMENT}StartTime"),
                    parse=_start_of_assignment,
                    expected=_LOCAL_TIME,
                    in_list=True,
                ),
                Column(
                    name="valid_to",
                    fields=("end_on", "end_time"),
                    paths=(f"{_ASSIGNMENT}EndDate", f"{_ASSIGNMENT}EndTime"),
                    parse=_end_of_assignment,
                    expected=_LOCAL_TIME,
                    required=False,
                    absent=_OPEN_END,
                    in_list=True,
                ),
            )
        },
    },
    listed="assignments",
    listing=point_of_delivery_assigned.SentAssignment,
    fixed={"complete": True},
    together=("device_id", "measurement_task_id"),
    key=("device_id", "measurement_task_id", "valid_from"),
)

#: All kinds, in the order in which their rows are taken in: each needs those before it.
KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind for kind in (_DEVICE, _REGISTER, _LOCATION, _LOGICAL_LOCATION, _POINT_OF_DELIVERY)
}
#: The column that says which kind a row is; a file of one kind may leave it out.
KIND_COLUMN: Final = "kind"
#: All columns a file may have.
COLUMNS: Final = frozenset({KIND_COLUMN, *chain.from_iterable(kind.columns for kind in KINDS.values())})
