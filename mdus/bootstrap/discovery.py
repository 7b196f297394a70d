"""Finds what the packages expose (SERVICE, HEAD_END, TABLES, RULE, METHOD), holds it against contract and settings.

A new service, kind of head end, validation rule or method of estimation is a new file: nothing here names one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from types import ModuleType
from typing import Final, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

import mdus.headends
import mdus.services
import mdus.vee.estimation
import mdus.vee.validation
from mdus.bootstrap.tables import SHARED_TABLES, table_problems
from mdus.contracts.binding import check
from mdus.contracts.catalog import Catalog, Direction, UnknownRoot
from mdus.domain.head_end import HeadEndKind, options_of
from mdus.messaging.patterns import (
    ClientRequest,
    NotificationReceived,
    NotificationSent,
    Query,
    RequestConfirmation,
    RequestSent,
    Service,
    inbound_roots,
    outbound_roots,
)
from mdus.settings import HeadEnd, Problem, Section, Settings
from mdus.vee.method import Method
from mdus.vee.rule import Rule
from mdus.vee.rule_set import RuleSetRow, Tools

Tool = TypeVar("Tool", Rule, Method)

_MEND_CODE: Final = "this is a defect of the code: correct it, or install MDUS again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What the packages expose, by name, and the shapes of the tables' rows."""

    services: Mapping[str, Service] = field(default_factory=dict)
    kinds: Mapping[str, HeadEndKind] = field(default_factory=dict)
    tables: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    tools: Tools = field(default_factory=lambda: Tools(rules={}, methods={}))
    problems: tuple[Problem, ...] = ()


def discover(*, services: ModuleType = mdus.services, headends: ModuleType = mdus.headends) -> Found:
    """Import every module of the two packages and return what they expose, with all that is wrong about it."""
    problems: list[Problem] = []
    found: dict[str, Service] = {}
    kinds: dict[str, HeadEndKind] = {}
    tables = dict(SHARED_TABLES)
    for module in _modules(services):
        service = getattr(module, "SERVICE", None)
        if not isinstance(service, Service):
            problems.append(_defect("the module exposes no SERVICE", module))
            continue
        if service.name in found:
            problems.append(_defect(f"{service.name} is served by another module already", module))
        found[service.name] = service
        problems += _tables_of(module, tables)
    for module in _modules(headends):
        kind = getattr(module, "HEAD_END", None)
        if not isinstance(kind, HeadEndKind):
            problems.append(_defect("the folder exposes no HEAD_END", module))
            continue
        if kind.name in kinds:
            problems.append(_defect(f"the kind {kind.name} is another folder's already", module))
        kinds[kind.name] = kind
        problems += _tables_of(module, tables)
    tools = Tools(
        rules=_exposed(mdus.vee.validation, "RULE", Rule, problems),
        methods=_exposed(mdus.vee.estimation, "METHOD", Method, problems),
    )
    return Found(services=found, kinds=kinds, tables=tables, tools=tools, problems=tuple(problems))


def _exposed(package: ModuleType, constant: str, kind: type[Tool], problems: list[Problem]) -> dict[str, Tool]:
    """Return what the modules of a package expose under one name, by its own name."""
    found: dict[str, Tool] = {}
    for module in _modules(package):
        tool = getattr(module, constant, None)
        if not isinstance(tool, kind):
            problems.append(_defect(f"the module exposes no {constant}", module))
        elif found.setdefault(tool.name, tool) is not tool:
            problems.append(_defect(f"{tool.name} is another module's already", module))
    return found


def _tables_of(module: ModuleType, tables: dict[str, type[BaseModel]]) -> Iterator[Problem]:
    """Add the tables that a module owns; yields those that another module has in another shape."""
    for name, shape in getattr(module, "TABLES", {}).items():
        if tables.setdefault(name, shape) is not shape:
            yield _defect(f"the table {name} has another shape in another module", module)


def contract_problems(services: Mapping[str, Service], catalog: Catalog) -> Iterator[Problem]:
    """Yield where a service does not fit the contract: unknown roots, roots served twice, shapes that do not fit."""
    served: dict[str, str] = {}
    for service in services.values():
        for name, bulk, direction, shape in _messages(service):
            if name in served:
                yield _problem(f"{name} is served by {served[name]} too", service)
                continue
            served[name] = service.name
            try:
                root = catalog.root(name)
            except UnknownRoot as error:
                yield _problem(str(error), service)
                continue
            if root.is_bulk is not bulk:
                yield _problem(f"{name} is {'a bulk' if root.is_bulk else 'no bulk'} in the contract", service)
            if root.direction is not direction:
                yield _problem(f"{name} is {root.direction.value} by MDUS, not {direction.value}", service)
            if shape is not None:
                for misfit in check(shape, root):
                    yield _problem(misfit, service)
        if isinstance(service, RequestConfirmation | NotificationReceived | RequestSent | ClientRequest):
            shape, name = service.shape, service.order_by
            if name not in {one.name for one in fields(shape)}:
                yield _problem(f"order_by: {shape.__qualname__} has no field {name}", service)


def settings_problems(found: Found, settings: Settings) -> Iterator[Problem]:
    """Yield where the settings name what is not there: kinds of head ends, services, callback paths, rows of tables."""
    yield from table_problems(settings, kinds=found.kinds, services=found.services)
    for rule_set in settings.rows("rule_sets", RuleSetRow):
        for misfit in found.tools.unusable(rule_set):
            where = f"rule_sets.{rule_set.name}.{misfit.at}"
            yield Problem(what=misfit.what, where=where, mend=misfit.mend)
    for row in settings.head_ends:
        yield from misfits(row, found)
        path, where = f"/head-ends/{row.name}", f"head_ends.{row.name}"
        if row.callback_url is not None and not row.callback_url.rstrip("/").endswith(path):
            what = f"callback_url does not end in {path}, where this head end's callbacks are taken in"
            yield Problem(what=what, where=f"{where}.callback_url", mend=f"let it end in {path}")
    for sender in settings.senders:
        for name in sender.single_services:
            if name not in found.services:
                yield Problem(
                    what=f"there is no service {name!r}",
                    where=f"senders.{sender.name}.single_services",
                    mend="name a service by the root of its single message; GET /sap lists them",
                )


def misfits(row: HeadEnd, found: Found) -> Iterator[Problem]:
    """Yield where a row of head ends does not fit its kind, so that it cannot be connected as it is meant."""
    where = f"head_ends.{row.name}"
    if row.kind not in found.kinds:
        known = ", ".join(sorted(found.kinds)) or "none"
        yield Problem(
            what=f"there is no kind of head end {row.kind!r}", where=f"{where}.kind", mend=f"known are: {known}"
        )
    elif row.url is None and found.kinds[row.kind].answers:
        what = f"a head end of kind {row.kind} is called, and has no address"
        yield Problem(what=what, where=f"{where}.url", mend="give it a url")
    else:
        yield from _misfits_of_address(row, found.kinds[row.kind], where=where)
        yield from _misfits_of_options(row, found.kinds[row.kind].options, where=f"{where}.options")


def _misfits_of_address(row: HeadEnd, kind: HeadEndKind, *, where: str) -> Iterator[Problem]:
    """Yield an address of another kind, and certificate authorities where no certificate is shown."""
    scheme = urlsplit(row.url or "").scheme
    in_the_clear, with_tls = (f"{each}://" for each in kind.schemes)
    if kind.answers and scheme not in kind.schemes:
        what = f"a head end of kind {row.kind} is not called by {scheme}://"
        yield Problem(what=what, where=f"{where}.url", mend=f"let it begin with {with_tls} or {in_the_clear}")
    elif row.ca_file is not None and not (kind.answers and scheme == kind.schemes[-1]):
        what = "ca_file says whose certificates are trusted, and no certificate is shown without TLS"
        mend = f"let url begin with {with_tls}, or leave out ca_file" if kind.answers else "leave it out"
        yield Problem(what=what, where=f"{where}.ca_file", mend=mend)


def _misfits_of_options(row: HeadEnd, shape: type[Section] | None, *, where: str) -> Iterator[Problem]:
    """Yield where a row's own settings do not fit its kind."""
    if shape is None:
        if row.options:
            names = ", ".join(sorted(row.options))
            yield Problem(what=f"a head end of kind {row.kind} has no options", where=where, mend=f"leave out {names}")
        return
    try:
        options_of(row, shape)
    except ValidationError as error:
        for each in error.errors():
            name = ".".join(str(part) for part in each["loc"])
            known = ", ".join(sorted(shape.model_fields))
            mend = f"see docs/head_ends/{row.kind}.md; known are: {known}"
            yield Problem(what=f"{name or 'options'}: {each['msg']}", where=f"{where}.{name}".rstrip("."), mend=mend)


def _messages(service: Service) -> Iterator[tuple[str, bool, Direction, type | None]]:
    """Yield (root, is bulk, direction, shape) of every message of a service."""
    received: type | None = None
    sent: type | None = None
    match service:
        case RequestConfirmation():
            received, sent = service.shape, service.confirmation_shape
        case NotificationReceived():
            received = service.shape
        case NotificationSent():
            sent = service.content_shape
        case RequestSent():
            received, sent = service.shape, service.content_shape
        case Query():
            received, sent = service.shape, service.response_shape
    for name, bulk in inbound_roots(service):
        yield name, bulk, Direction.RECEIVED, received
    for name, bulk in outbound_roots(service):
        yield name, bulk, Direction.SENT, sent


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if not info.name.startswith("_"):
            yield importlib.import_module(f"{package.__name__}.{info.name}")


def _defect(what: str, module: ModuleType) -> Problem:
    return Problem(what=what, where=module.__name__, mend=_MEND_CODE)


def _problem(what: str, service: Service) -> Problem:
    return Problem(what=what, where=f"service {service.name}", mend=_MEND_CODE)
