"""Load profiles: SAP assigns one to each interval register, judges the values that come, and may ask for them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lxml import etree

from simulators.sap_cis import checks
from simulators.sap_cis.business import CannotOrder
from simulators.sap_cis.checks import Finding, text
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.contract import QUERY, RESPONSE
from simulators.sap_cis.sending import Sender
from simulators.sap_cis.view import View

_HOUR = timedelta(hours=1)


class Profiling:
    """This will carry out what SAP's energy data management decides about load profiles."""

    def __init__(self, cis: Cis, sender: Sender) -> None:
        self._cis = cis
        self._sender = sender

    def assign(self, devices: Sequence[str], *, start_on: str) -> tuple[list[str], list[str]]:
        """This will assign a profile to each interval register of devices and return profiles and messages."""
        date.fromisoformat(start_on)
        with self._cis.reading():
            known = self._cis.view.devices
            if unknown := [device for device in devices if device not in known]:
                raise CannotOrder(f"no such device: {unknown[:5]}")
            number = len(self._cis.view.profiles)
            facts = [
                {
                    "id": f"{number + each:018d}",
                    "device": device.id,
                    "lrn": register.lrn,
                    "obis": register.obis,
                    "unit": register.unit,
                    "minutes": register.minutes,
                    "start_on": start_on,
                }
                for each, (device, register) in enumerate(
                    (
                        (known[device], register)
                        for device in devices
                        for register in known[device].registers
                        if register.minutes
                    ),
                    start=1,
                )
            ]
            profiles = [profile["id"] for profile in facts]
            messages = self._cis.planned("profile_assignment", profiles, bulk=False)
            self._cis.record({"event": "profiles", "profiles": facts}, *messages)
            return profiles, [message["uuid"] for message in messages]

    def query(self, profile: str, *, start: str, end: str) -> dict[str, Any]:
        """This will ask for the values of a profile between two local instants, and wait for the answer."""
        period = {"StartDateTime": start, "EndDateTime": end}
        selection = {
            "UtilitiesTimeSeriesID": profile,
            "UtilitiesTimeSeriesItemTimeZoneCode": self._cis.options.time_zone_code or "UTC",
            "UtilitiesTimeSeriesItemValidityPeriod": period,
        }
        answer = self._sender.ask(QUERY, {"UtilitiesTimeSeriesItemSelectionByID": selection})
        if (root := etree.QName(answer).localname) != RESPONSE:
            raise ValueError(f"a query was answered by {root}")
        with self._cis.reading():
            violations = self._cis.contract.violations(answer)
        if violations:
            self._cis.note_defect("schema_invalid", "; ".join(violations[:3]), root=RESPONSE)
        code = text(answer, "Log/BusinessDocumentProcessingResultCode")
        return {"values": values_of(answer.find("UtilitiesTimeSeries")), "code": code}


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
