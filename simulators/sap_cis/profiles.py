"""Load profiles: SAP assigns one to each interval register, and may ask for its values."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from lxml import etree

from simulators.sap_cis.business import CannotOrder
from simulators.sap_cis.checks import text
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.contract import QUERY, RESPONSE
from simulators.sap_cis.sending import Sender
from simulators.sap_cis.values import answer_findings, values_of


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
        series = answer.find("UtilitiesTimeSeries")
        zone = self._cis.options.zone if self._cis.options.time_zone_code else UTC
        begin, until = (datetime.fromisoformat(local).replace(tzinfo=zone) for local in (start, end))
        for name, detail in answer_findings(series, profile, begin=begin, until=until):
            self._cis.note_defect(name, detail, root=RESPONSE)
        code = text(answer, "Log/BusinessDocumentProcessingResultCode")
        # Here, and only here, the contract writes UTC without its Z.
        values = {f"{start}Z": quantity for start, quantity in values_of(series).items()}
        return {"values": values, "code": code}
