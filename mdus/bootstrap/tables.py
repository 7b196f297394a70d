"""The tables of config/ that belong to no one service: the shapes of their rows, and what only all rows together show.

A row by itself is checked by its shape when the settings are read; here the rows are held against each other, against
the head ends that are configured and against what their kinds offer.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import BaseModel, ValidationError

from mdus.billing.calendar import CalendarRow, same_beginning
from mdus.billing.determinant_set import DeterminantSetRow
from mdus.bootstrap.type_ids import type_ids
from mdus.cis.client import InterfaceRow
from mdus.contracts.catalog import Direction, catalog
from mdus.domain.capability import ANY, Capability, CapabilityRow, contradicting
from mdus.domain.channel_map import ChannelRow
from mdus.domain.event_map import FieldEventRow
from mdus.domain.exception_routing import RoutingRule
from mdus.domain.head_end import HeadEndKind
from mdus.domain.holidays import HolidayRow
from mdus.domain.mapping_level import MappingRow
from mdus.domain.reading_type import ReadingType
from mdus.domain.recurrence import RecurrenceRow, repeated_codes
from mdus.domain.register_policy import ReadingTypeRow
from mdus.domain.unit import UnitRow, Units, ambiguous_texts, contradicting_codes
from mdus.messaging.log_types import AcceptedTypeRow, LogTypeRow
from mdus.messaging.patterns import RequestSent, Service
from mdus.settings import HeadEnd, Problem, Settings
from mdus.vee.neighbours import CheckMeterRow, SimilarGroupRow, TemperatureStationRow, contradicting_checks
from mdus.vee.rule_set import RuleSetRow

#: The tables, with the shape of their rows.
SHARED_TABLES: Final[Mapping[str, type[BaseModel]]] = {
    "accepted_types": AcceptedTypeRow,
    "billing_calendars": CalendarRow,
    "billing_holidays": HolidayRow,
    "capabilities": CapabilityRow,
    "channels": ChannelRow,
    "check_meters": CheckMeterRow,
    "determinant_sets": DeterminantSetRow,
    "exception_routing": RoutingRule,
    "field_events": FieldEventRow,
    "interfaces": InterfaceRow,
    "log_types": LogTypeRow,
    "recurrences": RecurrenceRow,
    "rule_sets": RuleSetRow,
    "similar_groups": SimilarGroupRow,
    "temperature_stations": TemperatureStationRow,
    "units": UnitRow,
}


def table_problems(
    settings: Settings, *, kinds: Mapping[str, HeadEndKind], services: Mapping[str, Service]
) -> Iterator[Problem]:
    """Yield what is wrong with these tables as a whole."""
    yield from _capability_problems(settings, kinds)
    yield from _interface_problems(settings)
    yield from _log_type_problems(settings)
    yield from _accepted_type_problems(settings, services)
    yield from _mapping_problems(settings)
    yield from _channel_unit_problems(settings)
    yield from _reading_type_problems(settings)
    yield from _recurrence_problems(settings)
    yield from _unit_problems(settings)
    yield from _calendar_problems(settings)
    yield from _determinant_set_problems(settings)
    yield from _neighbour_problems(settings)


def _capability_problems(settings: Settings, kinds: Mapping[str, HeadEndKind]) -> Iterator[Problem]:
    """Yield rows for systems nobody serves, rows that promise what no head end of theirs offers, rows that disagree."""
    rows = settings.rows("capabilities", CapabilityRow)
    served = {
        ams_id: head_end for head_end in settings.head_ends if head_end.kind in kinds for ams_id in head_end.ams_ids
    }
    offered = {head_end.name: _offered(kinds[head_end.kind], head_end) for head_end in served.values()}
    for row in rows:
        where = f"capabilities.{row.name}"
        meant = [
            each.name for ams_id, each in served.items() if row.applies(ams_id=ams_id, material_id=row.material_id)
        ]
        if not meant:
            if row.ams_id != ANY:
                known = ", ".join(sorted(served)) or "none"
                yield Problem(
                    what=f"no head end stands for the advanced metering system {row.ams_id!r}",
                    where=f"{where}.ams_id",
                    mend=f"name one that stands in ams_ids of head_ends: {known}",
                )
            continue
        for capability in row.spoken_of:
            if row.says(capability) and not any(capability in offered[name] for name in meant):
                names = ", ".join(sorted(set(meant)))
                yield Problem(
                    what=f"{capability} is promised, but the head ends {names} do not offer it",
                    where=f"{where}.{capability}",
                    mend="remove it: a row takes away what a head end offers, it adds nothing",
                )
    for one, other, capability in contradicting(rows):
        yield Problem(
            what=f"two rows for the same devices disagree on {capability}",
            where=f"capabilities.{one.name}, capabilities.{other.name}",
            mend="leave it in one of them",
        )


def _offered(kind: HeadEndKind, head_end: HeadEnd) -> frozenset[Capability]:
    """Return what a head end offers; all of it where its options do not fit, which is a problem of its own."""
    try:
        return kind.offers(head_end)
    except ValidationError:
        return frozenset(Capability)


def _interface_problems(settings: Settings) -> Iterator[Problem]:
    """Yield rows for interfaces that MDUS does not call, for senders that are not there, and for several at once."""
    called = {root.interface for root in catalog().roots.values() if root.direction is Direction.SENT}
    senders = [sender.name for sender in settings.senders]
    owners: dict[tuple[str | None, str], str] = {}
    for row in settings.rows("interfaces", InterfaceRow):
        where = f"interfaces.{row.name}"
        if row.interface not in called:
            nearest = difflib.get_close_matches(row.interface, called, n=1)
            mend = f"did you mean {nearest[0]}?" if nearest else "GET /sap lists all; MDUS sends to those sent by it"
            yield Problem(what=f"MDUS calls no interface {row.interface!r}", where=f"{where}.interface", mend=mend)
        if row.sender is not None and row.sender not in senders:
            known = ", ".join(senders) or "none"
            what = f"there is no sender {row.sender!r}"
            yield Problem(what=what, where=f"{where}.sender", mend=f"name a row of senders: {known}")
        if row.sender is None and len(senders) > 1:
            what = "the address is every sender's, and there are several"
            yield Problem(what=what, where=where, mend="give it a sender: each has credentials of its own")
        first = owners.setdefault((row.sender, row.interface), row.name)
        if first != row.name:
            what = f"{row.interface} has two addresses"
            yield Problem(what=what, where=f"interfaces.{first}, {where}", mend="leave it in one row")


def _log_type_problems(settings: Settings) -> Iterator[Problem]:
    """Yield rows for what is never said, and numbers with two rows."""
    rows = settings.rows("log_types", LogTypeRow)
    said = {type_id[:3] for type_id in type_ids()} if rows else set()
    by_number: dict[str, str] = {}
    for row in rows:
        if row.number not in said:
            yield Problem(
                what=f"nothing is said under the number {row.number}",
                where=f"log_types.{row.name}.number",
                mend="take one that `mdus check --types` lists",
            )
        first = by_number.setdefault(row.number, row.name)
        if first != row.name:
            yield Problem(
                what=f"the number {row.number} stands in two rows",
                where=f"log_types.{first}, log_types.{row.name}",
                mend="leave it in one of them",
            )


def _accepted_type_problems(settings: Settings, services: Mapping[str, Service]) -> Iterator[Problem]:
    """Yield rows for services that are not there, or that SAP does not answer."""
    answered = sorted(name for name, service in services.items() if isinstance(service, RequestSent))
    for row in settings.rows("accepted_types", AcceptedTypeRow):
        if row.service is not None and row.service not in answered:
            yield Problem(
                what=f"{row.service!r} is no service that SAP answers",
                where=f"accepted_types.{row.name}.service",
                mend=f"take one of: {', '.join(answered)}",
            )


def _reading_type_problems(settings: Settings) -> Iterator[Problem]:
    """Yield rows for metering systems and head ends that are not configured."""
    named = {
        "ams_id": {ams_id for head_end in settings.head_ends for ams_id in head_end.ams_ids},
        "head_end": {head_end.name for head_end in settings.head_ends},
    }
    for row in settings.rows("reading_types", ReadingTypeRow):
        for column, known in named.items():
            value = getattr(row, column)
            if value is not None and value not in known:
                yield Problem(
                    what=f"no head end {'is called' if column == 'head_end' else 'stands for'} {value!r}",
                    where=f"reading_types.{row.name}.{column}",
                    mend=f"name one of head_ends: {', '.join(sorted(known)) or 'none'}",
                )


def _mapping_problems(settings: Settings) -> Iterator[Problem]:
    """Yield rows of channels and events for head ends and vendors that are not configured."""
    named = {
        "head_end": {head_end.name for head_end in settings.head_ends},
        "vendor": {head_end.vendor for head_end in settings.head_ends if head_end.vendor is not None},
    }
    tables: dict[str, type[MappingRow]] = {"channels": ChannelRow, "field_events": FieldEventRow}
    for table, shape in tables.items():
        for row in settings.rows(table, shape):
            for column, known in named.items():
                value = getattr(row, column)
                if value is not None and value not in known:
                    yield Problem(
                        what=f"no head end {'is called' if column == 'head_end' else 'is of the vendor'} {value!r}",
                        where=f"{table}.{row.name}.{column}",
                        mend=f"name one of head_ends: {', '.join(sorted(known)) or 'none'}",
                    )


def _channel_unit_problems(settings: Settings) -> Iterator[Problem]:
    """Yield channels whose ReadingType is of another unit than they are kept in: their values would be off by that.

    Not where a name of `mrids` says in which unit values under this very type are told.
    """
    units = Units.of(settings)
    for row in settings.rows("channels", ChannelRow):
        if row.mrid is None or not row.unit or any(each.mrid == row.mrid for each in row.mrids):
            continue
        told = ReadingType.parse(row.mrid).unit_text
        if told is not None and units.ratio(told=told, wanted=row.unit) != 1:
            yield Problem(
                what=f"values told as {row.mrid} are in {told}, and the channel is kept in {row.unit}",
                where=f"channels.{row.name}.unit",
                mend=f"make it {told}, or say in mrids, with kept_as, in which unit this head end tells them",
            )


def _recurrence_problems(settings: Settings) -> Iterator[Problem]:
    for one, other in repeated_codes(settings.rows("recurrences", RecurrenceRow)):
        yield Problem(
            what=f"the recurrence code {one.code} stands in two rows",
            where=f"recurrences.{one.name}, recurrences.{other.name}",
            mend="leave it in one of them",
        )


def _unit_problems(settings: Settings) -> Iterator[Problem]:
    """Yield texts that mean two units, and codes that are said to be two."""
    rows = settings.rows("units", UnitRow)
    for text, one, other in ambiguous_texts(rows):
        yield Problem(
            what=f"{text!r} is the name of two units",
            where=f"units.{one.name}, units.{other.name}",
            mend="leave it in one of them, or give them divisions",
        )
    for one, other in contradicting_codes(rows):
        yield Problem(
            what=f"the unit code {one.code} has two meanings",
            where=f"units.{one.name}, units.{other.name}",
            mend="let both have the same quantity and factor, or other codes",
        )


def _calendar_problems(settings: Settings) -> Iterator[Problem]:
    """Yield calendars with holidays that no list has, and rows of one calendar that begin on the same day.

    Validation goes by a list that some calendar names, where calendars name any: both agree then.
    """
    rows = settings.rows("billing_calendars", CalendarRow)
    lists = {name for row in settings.rows("billing_holidays", HolidayRow) for name in row.lists}
    for row in rows:
        if row.holidays is not None and row.holidays not in lists:
            yield Problem(
                what=f"no holiday stands in the list {row.holidays!r}",
                where=f"billing_calendars.{row.name}.holidays",
                mend=f"name one that stands in lists of billing_holidays: {', '.join(sorted(lists)) or 'none'}",
            )
    if settings.vee.holidays and settings.vee.holidays not in lists:
        yield Problem(
            what=f"no holiday stands in the list {settings.vee.holidays!r}",
            where="vee.holidays",
            mend=f"name one that stands in lists of billing_holidays: {', '.join(sorted(lists)) or 'none'}",
        )
    for name in settings.exceptions.holidays:
        if name not in lists:
            yield Problem(
                what=f"no holiday stands in the list {name!r}",
                where="exceptions.holidays",
                mend=f"name lists of billing_holidays: {', '.join(sorted(lists)) or 'none'}",
            )
    named = {row.holidays for row in rows if row.holidays is not None}
    if named and settings.vee.holidays in lists - named:
        yield Problem(
            what=f"no calendar of billing names the holidays {settings.vee.holidays!r}, others are named",
            where="vee.holidays",
            mend=f"name a list that a row of billing_calendars names: {', '.join(sorted(named))}",
        )
    for one, other in same_beginning(rows):
        yield Problem(
            what=f"the calendar {one.calendar} begins twice on the same day",
            where=f"billing_calendars.{one.name}, billing_calendars.{other.name}",
            mend="give one of them another valid_from",
        )


def _neighbour_problems(settings: Settings) -> Iterator[Problem]:
    """Yield values that have two check meters on one day, and more similar meters asked for than are looked for."""
    for one, other in contradicting_checks(settings.rows("check_meters", CheckMeterRow)):
        yield Problem(
            what=f"the meter {one.main} has two check meters for the same values",
            where=f"check_meters.{one.name}, check_meters.{other.name}",
            mend="leave one of them, or give them other reading types or days",
        )
    least, most = settings.vee.similar_least, settings.vee.similar_most
    if least > most:
        yield Problem(
            what=f"a day is held against {most} similar meters at most, and {least} are asked for: it is against none",
            where="vee.similar_least",
            mend=f"take {most} at most, or a larger vee.similar_most",
        )


def _determinant_set_problems(settings: Settings) -> Iterator[Problem]:
    """Yield sets by calendars and in units that are not there, that say two things, and a usual set that is none."""
    rows = settings.rows("determinant_sets", DeterminantSetRow)
    calendars = {row.calendar for row in settings.rows("billing_calendars", CalendarRow)}
    units = {row.code for row in settings.rows("units", UnitRow)}
    first: dict[tuple[object, ...], str] = {}
    for row in rows:
        where = f"determinant_sets.{row.name}"
        if row.calendar is not None and row.calendar not in calendars:
            known = ", ".join(sorted(calendars)) or "none"
            what = f"there is no calendar {row.calendar!r}"
            yield Problem(what=what, where=f"{where}.calendar", mend=f"name one of billing_calendars: {known}")
        for column in ("unit", "demand_unit"):
            code = getattr(row, column)
            if code is not None and code not in units:
                mend = "take a code of config/units.toml"
                yield Problem(what=f"{code!r} is no unit", where=f"{where}.{column}", mend=mend)
        known_as = first.setdefault((row.set, row.reading_type, row.valid_from), row.name)
        if known_as != row.name:
            yield Problem(
                what=f"the set {row.set} says twice what is determined of {row.reading_type}",
                where=f"determinant_sets.{known_as}, {where}",
                mend="give one of them another valid_from",
            )
    usual, sets = settings.billing.determinant_set, sorted({row.set for row in rows})
    if usual not in sets:
        mend = f"name a set of determinant_sets: {', '.join(sets) or 'none'}"
        yield Problem(what=f"there is no determinant set {usual!r}", where="billing.determinant_set", mend=mend)
