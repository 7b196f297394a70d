"""Searching: every list, each with each of its filters, and traces, asked of a database as it is after months.

A filter is tried with what most rows have, with what few have, and with what none has; combinations with such as each
match many rows and together none. Each is asked by a caller who sees all sender systems and by one who sees two.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count, groupby
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import httpx

from mdus.billing.determinant import DeterminantStatus
from mdus.domain.access import Role
from mdus.domain.end_device_control import ControlStatus
from mdus.domain.end_device_event import EventReason, EventState
from mdus.domain.exception_routing import CaseState, Severity
from mdus.domain.kpi import KpiName
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.messaging.status import ItemStatus, MessageStatus
from mdus.storage.access_token import make_token
from mdus.storage.news import Topic
from mdus.storage.session import Database
from tests.benchmarks.figure import Figure
from tests.benchmarks.filled_messages import RARE_SERVICE, READING_ORDER
from tests.benchmarks.filled_rows import (
    BULK,
    SECOND_SYSTEM,
    SMALL_HEAD_END,
    THIRD_SYSTEM,
    Size,
    system_of,
    uuid_of,
)
from tests.benchmarks.filling import CLIENT, fill, fill_of_clients
from tests.benchmarks.filling_figures import fill_figures
from tests.benchmarks.landscape import Store, running
from tests.benchmarks.orders import HEAD_END, OBIS, SYSTEM, device_id, document_id, serial_id

_AIM_SECONDS: Final = 0.3
_WARM_UPS: Final = 2
#: Calls of a question that is answered long before the aim, of which there are hundreds, and of any other.
_FEW_CALLS: Final = 5
_CALLS: Final = 15
_LONG_BEFORE: Final = 0.2
_SLOWEST_SHOWN: Final = 5

#: Parameters of lists by which they are not narrowed.
_NO_FILTERS: Final = {"limit", "cursor", "message_id", "If-None-Match", "seconds", "last-event-id"}

_POINT: Final = "GET of one message by its id"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    """A call of a route of /api/v1."""

    route: str
    parameters: Mapping[str, str | int]

    def __str__(self) -> str:
        return f"{self.route}?{'&'.join(f'{name}={value}' for name, value in self.parameters.items())}"


class _Answer(NamedTuple):
    """The median of a question's calls, and who asked what."""

    route: str
    seconds: float
    question: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _List:
    """A list: what each question must name, the values of each filter, and filters that are tried together."""

    route: str
    named: Mapping[str, str | int] = field(default_factory=dict)
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    together: Sequence[Mapping[str, str]] = ()

    def questions(self) -> Iterator[_Question]:
        """Yield the list as it is, the largest page, one question per value of each filter, and the combinations."""
        asked: list[Mapping[str, str | int]] = [{}, {"limit": 1000}]
        asked += [{name: value} for name, values in self.filters.items() for value in values]
        for parameters in (*asked, *self.together):
            yield _Question(route=self.route, parameters={**self.named, **parameters})


@dataclass(frozen=True, kw_only=True, slots=True)
class _View:
    """Who asks, by what token and after what: numbers of rows the caller may see; `note` tells the callers apart."""

    token: str
    note: str
    device: int
    pair: int
    document: int
    control: int

    @staticmethod
    def of(token: str, size: Size, *, systems: Sequence[str], note: str = "") -> _View:
        """Return the view of a client that sees these sender systems."""
        device = next(number for number in count(1) if system_of(number) in systems)
        return _View(
            token=token,
            note=note,
            device=device,
            pair=next(number for number in count(1) if size.device_of_pair(number) == device),
            document=next(number for number in count(1) if size.device_of_document(number) == device),
            control=next(number for number in count(1) if system_of(size.device_of_document(number)) in systems),
        )


def searching(store: Store, folder: Path, *, messages: int) -> Iterator[Figure]:
    """This will fill the database with so many messages and measure each question's median."""
    size = Size(devices=messages // 10, messages=messages)
    began = time.perf_counter()
    fill(store, size)
    fill_of_clients(store)
    fill_figures(store, size)
    filled = time.perf_counter() - began
    everything, some = _tokens(store)
    views = [
        _View.of(everything, size, systems=(SYSTEM,)),
        _View.of(
            some, size, systems=(SECOND_SYSTEM, THIRD_SYSTEM), note=f", seeing {SECOND_SYSTEM} and {THIRD_SYSTEM}"
        ),
    ]
    with running(store, folder, workers=False) as (mdus, _):
        point, answers = _asked(mdus.url, views, size)
    yield Figure(
        name=f"search: {_POINT}, {store.name}, {messages:,} messages, filled in {filled:.0f} s", value=point, unit="s"
    )
    for route, group in groupby(sorted(answers), key=lambda answer: answer.route):
        yield _figure(f"search: {route}, {store.name}", list(group), point)
    for slow in sorted(answers, key=lambda answer: -answer.seconds)[:_SLOWEST_SHOWN]:
        name = f"  slow: {slow.question}"
        yield Figure(name=name, value=slow.seconds, unit="s", ratio_to=_POINT, ratio=slow.seconds / point)


def _asked(url: str, views: Sequence[_View], size: Size) -> tuple[float, list[_Answer]]:
    """Return the median of a point query, asked once beside each question, and the answers."""
    answers: list[_Answer] = []
    points: list[float] = []
    for view in views:
        with closing(_Caller(url, view.token)) as caller:
            lists = [*_lists(view, size)]
            if view is views[0]:
                caller.check(lists)
            message = _Question(route=f"/messages/{view.pair * 2 - 1}", parameters={})
            caller.median(message)
            for question in (*(question for each in lists for question in each.questions()), *_traces(view, size)):
                seconds, following = caller.median(question)
                answers.append(_Answer(question.route, seconds, f"{question}{view.note}"))
                points.append(caller.ask(message)[0])
                if following is not None:
                    further = _Question(route=question.route, parameters={**question.parameters, "cursor": following})
                    seconds, _ = caller.median(further)
                    answers.append(_Answer(question.route, seconds, f"{further}{view.note}"))
    return median(points), answers


def _lists(view: _View, size: Size) -> Iterator[_List]:
    system, device = system_of(view.device), device_id(view.device)
    own = {"sender_system": system, "device_id": device}
    systems, devices = [system, THIRD_SYSTEM, "NONE"], [device, "NONE"]
    yield _List(
        route="/devices",
        filters={
            "sender_system": systems,
            "device_id": devices,
            "serial_id": [serial_id(view.device), "NONE"],
            "head_end": [HEAD_END, SMALL_HEAD_END, "NONE"],
        },
        together=[{"sender_system": THIRD_SYSTEM, "head_end": SMALL_HEAD_END}, {**own, "head_end": SMALL_HEAD_END}],
    )
    statuses = [*dict.fromkeys([*DocumentStatus, *ControlStatus]), "none"]
    yield _List(
        route="/orders",
        filters={
            "kind": ["reading", "connection"],
            "sender_system": systems,
            "device_id": devices,
            "status": statuses,
        },
        together=[
            *({"kind": "reading", "sender_system": THIRD_SYSTEM, "status": status} for status in statuses),
            {**own, "status": "ordered"},
        ],
    )
    yield _List(
        route="/events",
        filters={
            "sender_system": systems,
            "device_id": devices,
            "event_type": ["3.7.1.1", "3.99.1.1"],
            "state": [*EventState],
            "reason": [*EventReason],
        },
        together=[
            {"event_type": "3.7.1.1", "state": "answered", "reason": "unwanted"},
            {"state": "answered", "reason": "unwanted"},
            {"sender_system": THIRD_SYSTEM, "state": "held"},
            {"event_type": "3.7.1.1", "sender_system": THIRD_SYSTEM},
            {**own, "state": "held"},
        ],
    )
    yield _List(
        route="/messages",
        filters={
            "direction": ["in", "out"],
            "status": [*MessageStatus],
            "service": [READING_ORDER, RARE_SERVICE, "None"],
            "sender_system": systems,
            "uuid": [uuid_of(view.pair * 2 - 1), uuid_of(0)],
        },
        together=[
            {"direction": "in", "status": "delivered"},
            {"direction": "out", "status": "delivered", "service": "MeterReadingDocumentERPResultCreateRequest"},
            {"service": READING_ORDER, "status": "dead"},
            {"service": READING_ORDER, "sender_system": THIRD_SYSTEM, "direction": "out"},
            {"service": RARE_SERVICE, "status": "completed"},
            {"sender_system": THIRD_SYSTEM, "status": "dead"},
            {"uuid": uuid_of(view.pair * 2 - 1), "sender_system": system, "status": "dead", "direction": "in"},
        ],
    )
    if not view.note:
        yield _List(
            route=f"/messages/{2 * BULK - 1}/items",
            filters={"status": [*ItemStatus], "sort": ["position", "-position"]},
            together=[{"cursor": "1000"}],
        )
    yield _List(
        route="/exceptions",
        filters={
            "kind": ["reading_missing", "dead_item", "none"],
            "open": ["true", "false"],
            "state": [*CaseState],
            "severity": [*Severity],
            "overdue": ["true", "false"],
            "team": ["metering", "field", "none"],
            "assignee": ["none"],
            "age_class": ["none"],
            "sender_system": systems,
            "head_end": [HEAD_END, SMALL_HEAD_END, "none"],
            "device_id": devices,
            "point_of_delivery_id": [f"{view.device:022}", "none"],
            "group": ["1"],
            **({} if view.note else {"area": ["none"]}),
        },
        together=[{"kind": "dead_item", "open": "false"}],
    )
    if not view.note:
        yield _List(route="/exception-rules/versions")
        yield _List(route="/exception-storms", filters={"state": ["open", "all"]})
        yield _List(route="/kpis/days", filters={"name": [*KpiName], "since": ["2026-01-01"], "until": ["2026-02-01"]})
    yield _List(
        route="/determinants",
        filters={
            "after": ["0", "1000"],
            "sender_system": systems,
            "point_of_delivery_id": [f"{view.device:022}", "none"],
            "reading_type": [OBIS, "none"],
            "name": ["total"],
            "status": [*DeterminantStatus],
            "period_to": ["2026-02-01"],
            "newest": ["true", "false"],
        },
    )
    yield _List(route="/readings", named=own, filters={"reading_type": [OBIS, "NONE"]})
    yield _List(
        route="/commands",
        named=own,
        filters={"kind": ["read_registers", "switch"], "status": ["done", "failed"]},
        together=[{"kind": "read_registers", "status": "done"}],
    )
    both = {"sort": ["id", "-id"]}
    for route in ("/devices", "/events", "/messages", "/exceptions", "/jobs", "/orders"):
        others = {"/devices": ["device_id", "-device_id"], "/messages": ["stored_at", "-stored_at"]}.get(route, [])
        yield _List(route=route, filters={"sort": [*both["sort"], *others]})
    # The oldest first of what few rows are: as quick as the newest.
    yield _List(
        route="/messages",
        filters={"sort": both["sort"]},
        together=[
            {"sort": "id", "status": "dead"},
            {"sort": "id", "service": RARE_SERVICE, "status": "completed"},
            {"sort": "stored_at", "service": "None"},
        ],
    )
    yield _List(
        route="/orders", filters={"sort": both["sort"]}, together=[{"sort": "id", "status": each} for each in statuses]
    )
    yield _List(route="/events", filters={"sort": both["sort"]}, together=[{"sort": "id", "event_type": "3.99.1.1"}])
    for route in ("/readings", "/commands"):
        yield _List(
            route=route,
            named=own,
            filters={"sort": [*both["sort"], *(["-measured_at"] if route == "/readings" else [])]},
        )
    days = {"valid_on": ["2026-03-01", "1999-01-01"]}
    yield _List(
        route="/registers",
        filters={
            **days,
            "sender_system": systems,
            "device_id": devices,
            "reading_type": [OBIS, "NONE"],
            "measurement_task_id": [device, "NONE"],
            "sort": ["id", "-id", "device_id", "-measurement_task_id", "valid_from"],
        },
        together=[{"reading_type": OBIS, "valid_on": "2026-03-01"}],
    )
    yield _List(
        route="/locations",
        filters={
            **days,
            "sender_system": systems,
            "device_id": devices,
            "installation_point_id": ["NONE"],
            "sort": ["id", "-id", "device_id", "valid_from"],
        },
    )
    yield _List(
        route="/points-of-delivery",
        filters={
            "sender_system": systems,
            "device_id": devices,
            "point_of_delivery_id": [f"{view.device:022}", "NONE"],
            "sort": ["point_of_delivery_id", "-point_of_delivery_id"],
        },
    )
    yield _List(route="/reconciliation", filters=both)
    yield _List(
        route="/reconciliation/differences",
        filters={**both, "kind": ["device_silent"], "sender_system": systems, "open": ["true", "false"]},
    )
    yield _List(route="/requests", filters={"client": [CLIENT, "rest:nobody"], **both})
    yield _List(
        route="/news",
        filters={"topic": [*Topic], "after": ["0", "100000", "100000000"]},
        together=[{"topic": "requests", "after": "150000"}],
    )
    yield _List(route="/jobs", filters={"job": ["reconcile", "retention", "none"]})
    yield _List(
        route="/audit",
        filters={"action": ["retry", "leave", "none"], **both},
        together=[{"action": "leave", "sort": "id"}, {"action": "none", "sort": "id"}],
    )
    for kind in ("message", "item", "delivery"):
        named = {"kind": kind, "sender_system": system}
        yield _List(
            route="/dead", named=named if view.note else {"kind": kind}, filters={"sender_system": [system], **both}
        )


def _traces(view: _View, size: Size) -> Iterator[_Question]:
    """Yield a trace by each kind of name there is."""
    names = (
        uuid_of(view.pair * 2 - 1),  # a message
        uuid_of(2 * BULK - 1),  # a bulk
        document_id(view.document),
        f"{view.control:012}",  # a connection order
        device_id(view.device),
        serial_id(view.device),
        f"{view.device:022}",  # a point of delivery
        size.key_of_command(view.document),
    )
    for name in names:
        yield _Question(route="/trace", parameters={"of": name})


def _figure(name: str, answers: Sequence[_Answer], point: float) -> Figure:
    slowest = max(answer.seconds for answer in answers)
    return Figure(
        name=f"{name}, the slowest of {len(answers)}",
        value=slowest,
        unit="s",
        ratio_to=_POINT,
        ratio=slowest / point,
        aim=f"under {_AIM_SECONDS:g} s",
        held=slowest < _AIM_SECONDS,
    )


def _tokens(store: Store) -> tuple[str, str]:
    """Return the token of a client that sees all sender systems, and of one that sees the two smaller ones."""
    database = Database(store.url)
    with closing(database), database.begin() as uow:
        made = [
            make_token(uow.connection, name, role=Role.OPERATOR, systems=systems, lasts=None, created_by="benchmark")
            for name, systems in (("everything", None), ("some", (SECOND_SYSTEM, THIRD_SYSTEM)))
        ]
    everything, some = made
    if everything is None or some is None:
        raise RuntimeError("there are tokens of the benchmark already: it takes an empty database")
    return everything, some


class _Caller:
    """A client of REST that measures its calls."""

    def __init__(self, url: str, token: str) -> None:
        self._client = httpx.Client(
            base_url=f"{url}/api", headers={"Authorization": f"Bearer {token}"}, timeout=120.0, trust_env=False
        )

    def check(self, asked: Sequence[_List]) -> None:
        """This will raise RuntimeError where REST has a list, or a list has a filter, that is not asked for."""
        paths = self._client.get("/openapi.json").json()["paths"]
        tried: dict[str, set[str]] = {}
        for each in asked:
            tried.setdefault(re.sub(r"[0-9]+", "{message_id}", each.route), set()).update(each.named, each.filters)
        for path, operations in paths.items():
            names = {parameter["name"] for parameter in operations.get("get", {}).get("parameters", ())}
            route = path.removeprefix("/api/v1")
            if "limit" in names and route != "/trace":
                missing = names - _NO_FILTERS - tried.get(route, set())
                if missing or route not in tried:
                    raise RuntimeError(f"{path} is not asked with {sorted(missing)}: add it to _lists")

    def median(self, question: _Question) -> tuple[float, str | None]:
        """This will ask some times and return the median in seconds, and the cursor of the next page."""
        for _ in range(_WARM_UPS):
            self.ask(question)
        asked = [self.ask(question) for _ in range(_FEW_CALLS)]
        if max(seconds for seconds, _ in asked) > _LONG_BEFORE * _AIM_SECONDS:
            asked += [self.ask(question) for _ in range(_CALLS - _FEW_CALLS)]
        return median(seconds for seconds, _ in asked), asked[-1][1]

    def ask(self, question: _Question) -> tuple[float, str | None]:
        """This will ask once and return the seconds and the next page's cursor; raises RuntimeError without answer."""
        began = time.perf_counter()
        answer = self._client.get(f"/v1{question.route}", params=question.parameters)
        seconds = time.perf_counter() - began
        if answer.status_code != httpx.codes.OK:
            raise RuntimeError(f"{answer.url} was answered with {answer.status_code}: {answer.text[:500]}")
        told = answer.json()
        return seconds, told.get("next") if isinstance(told, dict) else None

    def close(self) -> None:
        """This will close its connections."""
        self._client.close()
