"""Judges the values of load profiles that MDUS sends. Whether they are true nobody asks the head end here."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from lxml import etree

from simulators.sap_cis import checks
from simulators.sap_cis.checks import Finding, text
from simulators.sap_cis.view import View

_HOUR = timedelta(hours=1)


def values_of(series: etree._Element | None) -> dict[str, str]:
    """This will return the quantities of `UtilitiesTimeSeries` by the start of their interval."""
    items = () if series is None else series.iterfind("Item")
    return {text(item, "UTCValidityStartDateTime") or "": text(item, "Quantity") or "" for item in items}


def values_findings(series: etree._Element | None, view: View, *, now: datetime, is_change: bool) -> Iterator[Finding]:
    """This will judge the values of one profile of a message that came at `now`; each kind of defect once."""
    key = text(series, "ID")
    if series is None or not key:
        return  # the schema has said so
    profile = view.profiles.get(key)
    if profile is None:
        yield "profile_unknown", key
        return
    found: dict[str, str] = {}
    length = timedelta(minutes=profile.minutes)
    begin = datetime.fromisoformat(profile.start_on).replace(tzinfo=UTC) - 24 * _HOUR
    for item in series.iterfind("Item"):
        written = text(item, "UTCValidityStartDateTime") or ""
        start, end = checks.utc(written), checks.utc(text(item, "UTCValidityEndDateTime"))
        if start is None or end is None:
            found.setdefault("timestamp_not_utc", written)
            continue
        if end - start != length or (start - datetime.min.replace(tzinfo=UTC)) % min(length, _HOUR):
            found.setdefault("profile_interval_differs", f"{written} to {end}")
        if end > now + checks.TOLERANCE:
            found.setdefault("profile_value_in_future", written)
        if start < begin:
            found.setdefault("profile_value_too_early", written)
        quantity = item.find("Quantity")
        unit = None if quantity is None else quantity.get("unitCode")
        if unit != profile.unit:
            found.setdefault("profile_unit_differs", f"{unit} instead of {profile.unit}")
        if len(item.findall("ItemStatus")) != 1:
            found.setdefault("profile_status_count", written)
        if is_change and written not in profile.values:
            found.setdefault("profile_change_of_nothing", written)
        if not is_change and written in profile.values:
            found.setdefault("profile_value_created_twice", written)
    yield from ((name, f"{key}: {detail}") for name, detail in found.items())
