"""SAP asks for values of a profile and has them in the answer to its call."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree
from sqlalchemy.exc import OperationalError

from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import parse
from mdus.storage.message import MESSAGE
from tests.flows.intake.installation import fault_of
from tests.flows.profiles.metering import CODE, PROFILE, Metering, envelope, role, starts, texts

MIDNIGHT = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)  # of the day of 23 hours in Berlin
QUERY = "UtilitiesTimeSeriesItemByIDQuery_sync"
INTERFACE = "UtilitiesTimeSeriesItemByIDQueryResponse_Out"
RESPONSE = catalog().root("UtilitiesTimeSeriesItemByIDResponse_sync")
SERIES = "UtilitiesTimeSeries"


@pytest.fixture
def metering(database_url: str, tmp_path: Path) -> Iterator[Metering]:
    made = Metering(
        database_url,
        tmp_path,
        now=MIDNIGHT + timedelta(days=2),
        MDUS_AUTH__DEFAULT_SYSTEM="P11",
        MDUS_INTERVALS__QUERY_VALUES="200",
    )
    made.meter(factor=Decimal(40))
    made.assign(role(), remotely_stored=True)
    made.deliver(MIDNIGHT, ["0.01"] * 92)
    yield made
    made.close()


def asked(
    *,
    profile: str = PROFILE,
    zone: str = "CET",
    start: str | None = "2026-03-29T00:00:00",
    end: str | None = "2026-03-30T00:00:00",
) -> bytes:
    bounds = (f"<StartDateTime>{start}</StartDateTime>" if start else "") + (
        f"<EndDateTime>{end}</EndDateTime>" if end else ""
    )
    return envelope(
        QUERY,
        f"<UtilitiesTimeSeriesItemSelectionByID><UtilitiesTimeSeriesID>{profile}</UtilitiesTimeSeriesID>"
        f"<UtilitiesTimeSeriesItemTimeZoneCode>{zone}</UtilitiesTimeSeriesItemTimeZoneCode>"
        f"<UtilitiesTimeSeriesItemValidityPeriod>{bounds}</UtilitiesTimeSeriesItemValidityPeriod>"
        f"</UtilitiesTimeSeriesItemSelectionByID>",
    )


def answered(response: httpx.Response) -> etree._Element:
    """The response in an answer, which is one by its schema."""
    assert (response.status_code, response.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    element = parse(response.content)
    assert element.tag == RESPONSE.tag
    catalog().schema(RESPONSE).assertValid(element)
    return element


class TestAnAnswer:
    @pytest.mark.parametrize("path", ["/sap", f"/sap/{INTERFACE}"])
    def test_has_the_values_of_the_local_period(self, metering: Metering, path: str) -> None:
        response = answered(metering.mdus.post(asked(), path))
        assert texts(response, CODE) == ["3"]
        series = response.find(SERIES)
        assert series is not None
        assert (series.findtext("ID"), series.get("MeasureUnitCode")) == (PROFILE, "KWH")
        items = series.findall("Item")
        assert texts(series, "Item/UTCValidityStartDateTime") == [at[:-1] for at in starts(MIDNIGHT, 92)]
        assert texts(items[0], "Quantity", "UTCValidityEndDateTime", "Status/Code", "Status/Name") == [
            "0.400",
            "2026-03-28T23:15:00",
            "ACTL",
            "valid",
        ]

    def test_tells_how_far_the_zone_is_ahead_at_both_ends(self, metering: Metering) -> None:
        response = answered(metering.mdus.post(asked(start="2026-03-29T01:45:00", end="2026-03-29T03:15:00")))
        ahead = ("UTCStartDateTimeTimeZoneDifferenceValue", "UTCEndDateTimeTimeZoneDifferenceValue")
        told = [texts(item, *ahead) for item in response.iterfind(f"{SERIES}/Item")]
        assert told == [["1.00", "2.00"], ["2.00", "2.00"]]  # clocks go forward between them

    def test_goes_by_the_zone_that_is_asked_in(self, metering: Metering) -> None:
        period = {"start": "2026-03-29T05:00:00", "end": "2026-03-29T05:30:00"}
        response = answered(metering.mdus.post(asked(zone="INDIA", **period)))
        assert texts(response, f"{SERIES}/Item/UTCValidityStartDateTime") == [
            "2026-03-28T23:30:00",
            "2026-03-28T23:45:00",
        ]
        assert texts(response, f"{SERIES}/Item/UTCStartDateTimeTimeZoneDifferenceValue") == ["5.50", "5.50"]

    def test_without_an_end_has_what_there_is(self, metering: Metering) -> None:
        response = answered(metering.mdus.post(asked(start="2026-03-29T23:00:00", end=None)))
        assert len(response.findall(f"{SERIES}/Item")) == 4

    def test_has_no_series_where_there_are_no_values(self, metering: Metering) -> None:
        response = answered(metering.mdus.post(asked(start="2026-03-30T00:00:00", end="2026-03-31T00:00:00")))
        assert response.find(SERIES) is None
        assert texts(response, CODE) == ["3"]

    def test_tells_the_same_of_an_interval_whatever_is_asked(self, metering: Metering) -> None:
        """An estimate carries what was cut off its whole day (92 times 0.4): also where a part of that is asked for."""
        metering.meter("000000000000000043", task="43", factor=Decimal(40))
        metering.assign(role(task="43"), profile="43", decimals=0, remotely_stored=True)
        said = [None if place != 40 else "2.8.0" for place in range(92)]
        metering.deliver(MIDNIGHT, ["0.01"] * 92, device="000000000000000043", qualities=said)
        day = answered(metering.mdus.post(asked(profile="43")))
        assert texts(day, f"{SERIES}/Item/Quantity") == [*["0"] * 40, "37", *["0"] * 51]
        hour = answered(metering.mdus.post(asked(profile="43", start="2026-03-29T11:00:00", end="2026-03-29T11:30:00")))
        assert texts(hour, f"{SERIES}/Item/Quantity") == ["37", "0"]

    def test_is_stored_nowhere(self, metering: Metering) -> None:
        before = len(metering.mdus.rows(MESSAGE))
        metering.mdus.post(asked())
        assert len(metering.mdus.rows(MESSAGE)) == before


class TestAQuestionThatCannotBeAnswered:
    @pytest.mark.parametrize(
        ("question", "type_id"),
        [
            pytest.param({"profile": "000000000000000999"}, "166(MDUS)", id="unknown profile"),
            pytest.param({"zone": "MARS"}, "117(MDUS)", id="unknown zone"),
            pytest.param({"start": None}, "167(MDUS)", id="no start"),
            pytest.param({"end": "2026-03-29T00:00:00"}, "106(MDUS)", id="empty period"),
            pytest.param({"end": "2026-03-31T03:15:00"}, "168(MDUS)", id="too long"),
        ],
    )
    def test_has_an_answer_that_says_why(self, metering: Metering, question: dict[str, Any], type_id: str) -> None:
        response = answered(metering.mdus.post(asked(**question)))
        assert response.find(SERIES) is None
        assert texts(response, CODE, "Log/Item/TypeID", "Log/Item/SeverityCode") == ["5", type_id, "3"]

    def test_is_told_under_the_message_class_of_the_installation(self, sqlite_url: str, tmp_path: Path) -> None:
        metering = Metering(
            sqlite_url, tmp_path, now=MIDNIGHT, MDUS_AUTH__DEFAULT_SYSTEM="P11", MDUS_CIS__MESSAGE_CLASS="ZAMI"
        )
        response = answered(metering.mdus.post(asked()))
        assert texts(response, "Log/Item/TypeID") == ["166(ZAMI)"]
        metering.close()

    def test_is_just_short_enough(self, metering: Metering) -> None:
        assert texts(answered(metering.mdus.post(asked(end="2026-03-31T03:00:00"))), CODE) == ["3"]

    def test_is_of_the_system_that_asks(self, metering: Metering) -> None:
        metering.meter(sender="P12")
        metering.assign(role(), sender="P12", profile="000000000000000816")
        response = answered(metering.mdus.post(asked(profile="000000000000000816")))
        assert texts(response, "Log/Item/TypeID") == ["166(MDUS)"]


class TestAQueryThatIsNone:
    def test_is_refused_by_a_fault(self, metering: Metering) -> None:
        response = metering.mdus.post(asked().replace(b"UtilitiesTimeSeriesItemTimeZoneCode>", b"Zone>"))
        assert response.status_code == 500
        assert fault_of(response)[0] == "soap:Client"

    def test_is_refused_without_credentials(self, sqlite_url: str, tmp_path: Path) -> None:
        metering = Metering(sqlite_url, tmp_path, now=MIDNIGHT, MDUS_AUTH__USER="sap", MDUS_AUTH__PASSWORD="secret")
        assert metering.mdus.post(asked()).status_code == 401
        answered(metering.mdus.post(asked(), auth=("sap", "secret")))
        metering.close()

    def test_is_answered_by_a_fault_when_the_database_is_away(
        self, metering: Metering, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def away() -> None:
            raise OperationalError("SELECT 1", {}, Exception("the server is gone"))

        monkeypatch.setattr(metering.mdus.runtime.database, "read", away)
        response = metering.mdus.post(asked())
        assert (response.status_code, response.headers["retry-after"]) == (503, "10")
        assert fault_of(response)[0] == "soap:Server"
