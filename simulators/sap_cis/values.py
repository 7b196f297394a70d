"""Judges the values of load profiles that MDUS sends or answers with. Nobody asks the head end here what is true."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from lxml import etree

from simulators.sap_cis import checks
from simulators.sap_cis.checks import Finding, text
from simulators.sap_cis.profile import Profile
from simulators.sap_cis.view import View

#: Status codes that are customized: a value, a gap, an estimate.
STATUSES = frozenset({"ACTL", "INVL", "ESTM"})

_HOUR_SECONDS = 3600

#: Defects for which this system books nothing of a profile.
UNBOOKABLE = frozenset(
    {
        "profile_unknown",
        "profile_unit_differs",
        "profile_interval_differs",
        "profile_value_too_early",
        "profile_status_unknown",
        "profile_value_created_twice",
        "profile_change_of_nothing",
    }
)


def values_of(series: etree._Element | None) -> dict[str, str]:
    """This will return the quantities of `UtilitiesTimeSeries` by the start of their interval."""
    items = () if series is None else series.iterfind("Item")
    return {text(item, "UTCValidityStartDateTime") or "": text(item, "Quantity") or "" for item in items}


def statuses_of(series: etree._Element | None) -> dict[str, str]:
    """This will return the status codes of `UtilitiesTimeSeries` by the start of their interval."""
    items = () if series is None else series.iterfind("Item")
    return {text(item, "UTCValidityStartDateTime") or "": text(item, "ItemStatus/*") or "" for item in items}


def values_findings(
    series: etree._Element | None, view: View, *, now: datetime, zone: ZoneInfo, is_change: bool
) -> Iterator[Finding]:
    """This will judge the values of one profile of a message that came at `now`; each kind of defect once."""
    key = text(series, "ID")
    if series is None or not key:
        return  # the schema has said so
    profile = view.profiles.get(key)
    if profile is None:
        yield "profile_unknown", key
        return
    found: dict[str, str] = {}
    device = view.devices[profile.device]
    if not device.registered and device.seconds is None:  # nor was it before this system forgot
        found["profile_before_registration"] = f"device {profile.device}"
    seen: set[str] = set()
    for item in series.iterfind("Item"):
        written = text(item, "UTCValidityStartDateTime") or ""
        if written in seen:
            found.setdefault("profile_value_twice", written)
        seen.add(written)
        for findings in (
            _interval_findings(item, profile, now=now, zone=zone),
            _quantity_findings(item, profile),
            _status_findings(item),
            _known_findings(item, profile, is_change=is_change),
        ):
            for name, detail in findings:
                found.setdefault(name, f"{detail} at {written}")
    if not seen:
        found["profile_without_values"] = "no Item"
    yield from ((name, f"{key}: {detail}") for name, detail in found.items())


def answer_findings(
    series: etree._Element | None, profile: str, *, begin: datetime, until: datetime
) -> Iterator[Finding]:
    """This will judge the answer to a query of a profile between two instants of one zone; each kind of defect once."""
    if series is None:
        return
    if (key := text(series, "ID")) != profile:
        yield "query_other_profile", f"{key} instead of {profile}"
    found: dict[str, str] = {}
    for item in series.iterfind("Item"):
        for bound in ("Start", "End"):
            written = text(item, f"UTCValidity{bound}DateTime")
            if written is None:
                continue
            instant = datetime.fromisoformat(written).replace(tzinfo=UTC)  # here alone written without its Z
            if bound == "Start" and not begin <= instant < until:
                found.setdefault("query_outside_period", written)
            lead = instant.astimezone(begin.tzinfo).utcoffset() or timedelta()
            told = text(item, f"UTC{bound}DateTimeTimeZoneDifferenceValue")
            if told is None or Decimal(told) * _HOUR_SECONDS != Decimal(lead.total_seconds()):
                found.setdefault("query_offset_wrong", f"{told} at {written}")
    yield from found.items()


def _quantity_findings(item: etree._Element, profile: Profile) -> Iterator[Finding]:
    """This will judge the quantity of an interval: is there one, in the unit and with the decimals of its profile."""
    quantity = item.find("Quantity")
    unit = None if quantity is None else quantity.get("unitCode")
    if unit != profile.unit:
        yield "profile_unit_differs", f"{unit} instead of {profile.unit}"
    try:
        exponent = Decimal(text(item, "Quantity") or "").normalize().as_tuple().exponent
    except InvalidOperation:
        return  # the schema has said so
    if isinstance(exponent, int) and -exponent > profile.decimals:
        yield "profile_decimals", f"{text(item, 'Quantity')} on a profile of {profile.decimals} decimals"


def _interval_findings(item: etree._Element, profile: Profile, *, now: datetime, zone: ZoneInfo) -> Iterator[Finding]:
    start, end = (checks.utc(text(item, f"UTCValidity{bound}DateTime")) for bound in ("Start", "End"))
    if start is None or end is None:
        yield "timestamp_not_utc", "an interval"
        return
    if not profile.is_on_grid(start, end, zone):
        yield "profile_interval_differs", f"until {end:%H:%M:%S}, {profile.minutes} minutes long"
    if end > now + checks.TOLERANCE:
        yield "profile_value_in_future", f"it is {now:%Y-%m-%dT%H:%M:%SZ}"
    if profile.is_too_early(end, zone):
        yield "profile_value_too_early", f"assigned from {profile.start_on} on"


def _status_findings(item: etree._Element) -> Iterator[Finding]:
    statuses = item.findall("ItemStatus")
    if len(statuses) != 1:
        yield "profile_status_count", f"{len(statuses)} statuses"
    if unknown := [code for status in statuses if (code := text(status, "*")) not in STATUSES]:
        yield "profile_status_unknown", str(unknown[0])


def _known_findings(item: etree._Element, profile: Profile, *, is_change: bool) -> Iterator[Finding]:
    written = text(item, "UTCValidityStartDateTime") or ""
    known = profile.values.get(written)
    if known is None and is_change:
        yield "profile_change_of_nothing", "a change"
    elif known is not None and not is_change:
        yield "profile_value_created_twice", f"{known} is there"
    elif known is not None and (known, profile.statuses[written]) == (
        text(item, "Quantity"),
        text(item, "ItemStatus/*"),
    ):
        yield "profile_changed_to_the_same", known
