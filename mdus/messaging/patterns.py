"""The five exchange patterns. A service is one of these objects; bulk is a cardinality of the pattern, never a class.

```
RequestConfirmation    SAP asks, we decide, we confirm              (10 services)
NotificationReceived   SAP tells, we decide, nothing goes back       (2)
NotificationSent       we tell, nothing comes back                   (1)
RequestSent            we ask, SAP confirms, we settle               (4)
Query                  SAP asks and waits for the answer             (1)
```
What SAP asks and tells, REST clients may too (`Door`): the same Request is decided by the same code, and its result is
read where SAP gets a confirmation. What only they ask is a `ClientRequest`: a request without a wire.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from mdus.domain.access import Role
from mdus.domain.end_device_event import LateFailure
from mdus.domain.value import Value
from mdus.messaging.known import Known
from mdus.messaging.outcome import Change, Outcome, Received, Result


class Load(Protocol):
    """Fetch what a batch needs: one query per aggregate for the whole batch."""

    def __call__(self, requests: Sequence[Any], uow: Any, /) -> Known:
        """Return the known values for these requests."""
        ...


class Decide(Protocol):
    """Decide one item; pure: no database, no clock, no XML."""

    def __call__(self, request: Any, known: Known, /, *, now: datetime) -> Outcome:
        """Return the outcome, or raise a BusinessError, which is a failed result."""
        ...


class Select(Protocol):
    """Claim what is due to be sent, and say what changes with it, in the transaction that stores the message."""

    def __call__(self, uow: Any, *, now: datetime, limit: int) -> Sequence[Due]:
        """Return at most `limit` due subjects."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """One subject that is due to go to SAP as one item of a message.

    `key` is its business key within the service (the meter reading document's id): SAP's confirmation is matched by it.
    `attempt` makes a deliberate resend another message. `reference_uuid`/`reference_id` name the order it answers.
    `bulk` tells the form of the order it answers; None leaves the form to the setting of sender and service. Subjects
    of different `part`s never share a message, for services whose items are not all of one size.
    """

    subject: Value
    sender_system: str
    key: str
    attempt: int = 1
    reference_uuid: str | None = None
    reference_id: str | None = None
    bulk: bool | None = None
    part: int = 0
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Door:
    """Where REST clients send what SAP sends by SOAP: `POST /api/v1/<path>`, and the role that takes.

    `made` is the field of the Request that names the order; a client may leave it out, and it is made.
    """

    path: str
    role: Role = Role.OPERATOR
    made: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestConfirmation:
    """A request received from SAP that is answered by a confirmation of its own, later and in the other direction.

    `shape` is the Request bound from each item, `confirmation_shape` what `confirm` returns (everything of the
    confirmation but its MessageHeader). `order_by` is the field of `shape` that names the device (or document) whose
    items must not overtake.
    """

    request: str
    confirmation: str
    bulk_request: str | None = None
    bulk_confirmation: str | None = None
    shape: type[Received]
    confirmation_shape: type[Any]
    result: type[Result] = Result
    order_by: str
    load: Load
    decide: Decide
    confirm: Callable[[Any, Any], Any]
    door: Door | None = None

    @property
    def name(self) -> str:
        """Return the name of the service: its single request's root."""
        return self.request


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationReceived:
    """A notification from SAP: decided, never answered; what fails for good becomes a smart meter event (`failure`)."""

    notification: str
    bulk_notification: str | None = None
    shape: type[Received]
    order_by: str
    load: Load
    decide: Decide
    failure: LateFailure = LateFailure.MESSAGE_FAILED
    door: Door | None = None

    @property
    def name(self) -> str:
        """Return the name of the service: its single notification's root."""
        return self.notification


@dataclass(frozen=True, kw_only=True, slots=True)
class NotificationSent:
    """A notification to SAP: `select` claims what is due, `build` makes the item of each (a wire shape)."""

    notification: str
    bulk_notification: str | None = None
    content_shape: type[Any]
    select: Select
    build: Callable[[Any], Any]

    @property
    def name(self) -> str:
        """Return the name of the service: its single notification's root."""
        return self.notification


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestSent:
    """A request to SAP that SAP confirms: `settle` decides on each confirmed item, like `decide` of a received request.

    `shape` is the confirmation item as received; `settled_by` its business key (matching `Due.key`), or None when SAP
    left it out and only ReferenceUUID tells. Without `always_confirmed` SAP's customizing says whether it confirms at
    all: silence is no fault then.

    What `build` makes is stored with the item, and read again each time the message is rendered. Where that would be
    bulky, `build` makes a `packed_shape` instead, and `unpack` the wire shape of it.
    """

    request: str | None = None
    confirmation: str | None = None
    bulk_request: str | None = None
    bulk_confirmation: str | None = None
    content_shape: type[Any]
    packed_shape: type[Any] | None = None
    select: Select
    build: Callable[[Any], Any]
    unpack: Callable[[Any], Any] | None = None
    shape: type[Received]
    order_by: str
    settled_by: Callable[[Any], str | None]
    load: Load
    settle: Decide
    always_confirmed: bool = True

    @property
    def name(self) -> str:
        """Return the name of the service: its single request's root, or the bulk's where no single exists."""
        return self.request or self.bulk_request or ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A synchronous question: `answer` returns the response (a `response_shape`) from what `load` found.

    It is pure; a BusinessError it raises becomes a response with nothing but its Log, by `refuse`.
    """

    request: str
    response: str
    shape: type[Received]
    response_shape: type[Any]
    load: Load
    answer: Callable[[Any, Known], Any]
    refuse: Callable[[Result], Any]

    @property
    def name(self) -> str:
        """Return the name of the service: its request's root."""
        return self.request


#: Where a field of a shape without a wire says what its values may be, by the names that XSD has for it.
FACETS: Final = "mdus.facets"


def faceted(*, default: Any = None, **facets: object) -> Any:
    """Return a field of a ClientRequest's shape whose values are bounded, as SAP's contract bounds others.

    `minInclusive`, `maxInclusive`, `totalDigits`, `fractionDigits`, `minLength`, `maxLength` and `minOccurs` are those
    of XSD; `builtin="string"` allows all characters that text may have, not those of ids alone. `...` for `default`
    makes a field that must be there.
    """
    metadata = {FACETS: {name: str(value) for name, value in facets.items()}}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientRequest:
    """A request that only REST clients make: decided as SAP's are, it has no wire and no confirmation."""

    name: str
    door: Door
    shape: type[Received]
    result: type[Result] = Result
    order_by: str
    load: Load
    decide: Decide


Service = RequestConfirmation | NotificationReceived | NotificationSent | RequestSent | Query | ClientRequest

#: What REST clients may send.
Offered = RequestConfirmation | NotificationReceived | ClientRequest


def inbound_roots(service: Service) -> Iterator[tuple[str, bool]]:
    """Yield (root element, is bulk) of every message of this service that SAP sends to us."""
    names: tuple[tuple[str | None, bool], ...]
    match service:
        case RequestConfirmation():
            names = ((service.request, False), (service.bulk_request, True))
        case NotificationReceived():
            names = ((service.notification, False), (service.bulk_notification, True))
        case RequestSent():
            names = ((service.confirmation, False), (service.bulk_confirmation, True))
        case Query():
            names = ((service.request, False),)
        case NotificationSent() | ClientRequest():
            names = ()
    return ((name, bulk) for name, bulk in names if name)


def outbound_roots(service: Service) -> Iterator[tuple[str, bool]]:
    """Yield (root element, is bulk) of every message of this service that we send to SAP."""
    names: tuple[tuple[str | None, bool], ...]
    match service:
        case RequestConfirmation():
            names = ((service.confirmation, False), (service.bulk_confirmation, True))
        case NotificationSent():
            names = ((service.notification, False), (service.bulk_notification, True))
        case RequestSent():
            names = ((service.request, False), (service.bulk_request, True))
        case Query():
            names = ((service.response, False),)
        case NotificationReceived() | ClientRequest():
            names = ()
    return ((name, bulk) for name, bulk in names if name)


def outbound_root(service: Service, *, bulk: bool) -> str:
    """Return the root of the message to send in this form, or of the only form the contract has."""
    roots = {form: name for name, form in outbound_roots(service)}
    return roots[bulk] if bulk in roots else next(iter(roots.values()))
