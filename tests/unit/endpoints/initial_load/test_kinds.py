"""Rows become the Requests that SAP's messages make, or are told what is wrong with them, all of it."""

from __future__ import annotations

import importlib
import inspect
from datetime import date, time
from decimal import Decimal

import pytest

from mdus.contracts.catalog import catalog
from mdus.domain.local_time import end_instant, instant
from mdus.domain.register_policy import RegisterFault
from mdus.endpoints.initial_load.findings import REFUSALS, Fault
from mdus.endpoints.initial_load.kinds import COLUMNS, KINDS, Unfit
from mdus.endpoints.initial_load.rows import Number
from mdus.messaging import addressed_device
from mdus.messaging.outcome import BusinessError, Received
from mdus.services import device_create, device_location, point_of_delivery_assigned, register_create

DEVICE = {
    "device_id": "000000000000000042",
    "serial_id": "0000001234",
    "material_id": "LX100",
    "valid_from": "2026-01-01",
}
REGISTER = {
    "device_id": "000000000000000042",
    "ams_id": "AM01",
    "measurement_task_id": "0007",
    "valid_from": "2026-01-01",
    "unit": "KWH",
    "total_digits": "8",
}
LOCATION = {
    "device_id": "000000000000000042",
    "ams_id": "AM01",
    "installation_point_id": "IP1",
    "parent_installation_point_id": "CO1",
    "valid_from": "2026-01-01",
}
ASSIGNMENT = {
    "device_id": "000000000000000042",
    "ams_id": "AM01",
    "measurement_task_id": "0007",
    "point_of_delivery_id": "DE1",
    "valid_from": "2026-01-01",
}
ROWS = {
    "device": DEVICE,
    "register": REGISTER,
    "location": LOCATION,
    "logical_location": {
        "device_id": "42",
        "ams_id": "AM01",
        "logical_installation_point_id": "L1",
        "valid_from": "2026-01-01",
    },
    "point_of_delivery": ASSIGNMENT,
}


def request(kind: str, **changes: str | None) -> Received:
    cells = {name: text for name, text in {**ROWS[kind], **changes}.items() if text is not None}
    return KINDS[kind].request(cells, contract=catalog())


def faults(kind: str, **changes: str | None) -> tuple[Fault, ...]:
    with pytest.raises(Unfit) as raised:
        request(kind, **changes)
    return raised.value.faults


class TestARow:
    def test_of_a_device_is_its_create_request(self) -> None:
        assert request("device", ams_id="AM01", valid_to="2030-01-01") == device_create.Request(
            device_id="000000000000000042",
            serial_id="0000001234",
            material_id="LX100",
            valid_from=date(2026, 1, 1),
            valid_to=date(2030, 1, 1),
            ams_id="AM01",
        )

    def test_of_a_register_is_a_create_request_with_one_register(self) -> None:
        made = request("register", total_digits="8", fraction_digits="2", factor="40", obis_text="1-0:1.8.0")
        sent = register_create.SentRegister(
            measurement_task_id="0007",
            valid_from=date(2026, 1, 1),
            unit="KWH",
            obis_text="1-0:1.8.0",
            total_digits=8,
            fraction_digits=2,
            factor=Decimal(40),
        )
        assert made == register_create.Request(device_id="000000000000000042", ams_id="AM01", registers=(sent,))

    def test_of_a_location_is_a_complete_list(self) -> None:
        made = request(
            "location",
            installed_on="2026-01-01",
            installed_time="09:30:00",
            time_zone_code="CET",
            country_code="DE",
            modification_zone_code="CET",
        )
        assert isinstance(made, device_location.Request)
        assert made.locations_complete
        assert made.logical_locations_complete is None
        assert not made.is_removal
        assert made.locations[0].installed_time == time(9, 30)

    def test_of_a_logical_location_leaves_the_locations_as_they_are(self) -> None:
        made = request("logical_location")
        assert isinstance(made, device_location.Request)
        assert (made.locations, made.locations_complete, made.logical_locations_complete) == ((), False, True)
        assert not made.is_removal

    @pytest.mark.parametrize(
        ("said", "starts"),
        [
            pytest.param("2026-01-01", "2025-12-31T23:00:00+00:00", id="a date is its midnight"),
            pytest.param("2026-01-01T06:30", "2026-01-01T05:30:00+00:00", id="a time"),
        ],
    )
    def test_of_a_point_of_delivery_starts(self, said: str, starts: str) -> None:
        made = request("point_of_delivery", valid_from=said)
        assert isinstance(made, point_of_delivery_assigned.Request)
        assert made.complete
        (one,) = made.assignments
        assert instant(one.start_on, one.start_time, zone="Europe/Berlin").isoformat() == starts

    @pytest.mark.parametrize(
        ("said", "ends"),
        [
            pytest.param(None, None, id="never"),
            pytest.param("9999-12-31", None, id="never, as SAP says it"),
            pytest.param("2026-04-01", "2026-03-31T22:00:00+00:00", id="before a date"),
            pytest.param("2026-04-01T00:00", "2026-03-31T22:00:00+00:00", id="at midnight"),
            pytest.param("2026-04-01T06:00:00", "2026-04-01T04:00:00+00:00", id="at a time"),
        ],
    )
    def test_of_a_point_of_delivery_ends(self, said: str | None, ends: str | None) -> None:
        made = request("point_of_delivery", valid_to=said)
        assert isinstance(made, point_of_delivery_assigned.Request)
        (one,) = made.assignments
        at = end_instant(one.end_on, one.end_time, zone="Europe/Berlin")
        assert (at and at.isoformat()) == ends

    @pytest.mark.parametrize("kind", ["device", "register", "location", "logical_location"])
    @pytest.mark.parametrize("said", [None, "9999-12-31"])
    def test_without_an_end_is_open(self, kind: str, said: str | None) -> None:
        made = request(kind, valid_to=said)
        listed = KINDS[kind].listed
        assert (getattr(made, listed)[0] if listed else made).valid_to is None

    def test_keeps_the_zeros_of_ids_and_loses_outer_blanks(self) -> None:
        made = request("device", device_id=" 007 ")
        assert isinstance(made, device_create.Request)
        assert made.device_id == "007"

    @pytest.mark.parametrize("kind", list(KINDS))
    def test_needs_every_required_column_and_says_all_that_are_missing(self, kind: str) -> None:
        with pytest.raises(Unfit) as raised:
            KINDS[kind].request({}, contract=catalog())
        missing = {fault.field for fault in raised.value.faults}
        assert missing == {column.name for column in KINDS[kind].columns.values() if column.required}
        assert missing == set(ROWS[kind]) - ({"ams_id"} if kind == "device" else set())

    @pytest.mark.parametrize(
        ("kind", "column", "cell", "expected"),
        [
            pytest.param("device", "valid_from", "01.01.2026", "a date (YYYY-MM-DD)", id="a German date"),
            pytest.param("device", "valid_to", "soon", "a date (YYYY-MM-DD)", id="no date"),
            pytest.param("device", "valid_to", "0001-01-01", "a date (YYYY-MM-DD)", id="the end of nothing"),
            pytest.param("register", "factor", "1,5", "a decimal number", id="a decimal comma"),
            pytest.param("register", "factor", "NaN", "a decimal number", id="not a number"),
            pytest.param("register", "total_digits", "8.0", "a whole number", id="a fraction of a digit"),
            pytest.param("location", "installed_time", "9 am", "a time (hh:mm:ss)", id="no time"),
            pytest.param(
                "point_of_delivery",
                "valid_from",
                "2026-01-01T00:00:00Z",
                "a local date (YYYY-MM-DD) or time (YYYY-MM-DDThh:mm:ss)",
                id="an instant",
            ),
            pytest.param("device", "serial_id", "S" * 31, "at most 30 characters", id="longer than SAP can send"),
            pytest.param("register", "measurement_task_id", "7A", "the pattern \\d+", id="letters in digits"),
            pytest.param("register", "unit", "KVARH", "at most 3 characters", id="a unit SAP does not have"),
            pytest.param("register", "factor", "1.123456", "at most 5 decimals", id="too many decimals"),
            pytest.param("register", "obis_text", "X" * 16, "a shorter text", id="what is read and never sent"),
            pytest.param("location", "city_name", "Köln", "CountryCode", id="an address without country"),
            pytest.param("device", "serial_id", "S\x07", "text in UTF-8, without control characters", id="a bell"),
            pytest.param("device", "serial_id", "Z\udce4", "text in UTF-8, without control characters", id="no UTF-8"),
            pytest.param("device", "unit", "KWH", "nothing in a row of the kind device", id="a column of another kind"),
        ],
    )
    def test_says_which_cell_is_wrong(self, kind: str, column: str, cell: str, expected: str) -> None:
        (fault,) = faults(kind, **{column: cell})
        assert fault.expected == expected
        assert fault.field == ("country_code" if column == "city_name" else column)
        assert fault.mend

    @pytest.mark.parametrize(
        ("kind", "column", "cell"),
        [
            pytest.param("device", "serial_id", "S" * 30, id="as long as SAP can send"),
            pytest.param("register", "factor", "1.12345", id="as many decimals"),
            pytest.param("register", "obis_text", "X" * 15, id="as long as is sent"),
        ],
    )
    def test_may_be_as_long_as_the_contract_allows(self, kind: str, column: str, cell: str) -> None:
        assert request(kind, **{column: cell})

    def test_says_all_that_is_wrong_at_once(self) -> None:
        found = {fault.field for fault in faults("register", unit="KVARH", measurement_task_id="A", factor="0.123456")}
        assert found == {"unit", "measurement_task_id", "factor"}

    def test_takes_numbers_of_json_for_numbers_only(self) -> None:
        assert request("register", total_digits=Number("8"))
        (fault,) = faults("device", device_id=Number("42"))
        assert (fault.field, fault.found) == ("device_id", "the number 42")
        assert "zeros" in fault.mend


class TestRowsThatGoTogether:
    def test_are_one_request_that_lists_them_all(self) -> None:
        kind = KINDS["location"]
        rows = [request("location"), request("location", installation_point_id="IP2", valid_from="2026-02-01")]
        joined = kind.joined(rows)
        assert isinstance(joined, device_location.Request)
        assert [one.installation_point_id for one in joined.locations] == ["IP1", "IP2"]

    def test_may_not_disagree_in_what_they_share(self) -> None:
        rows = [request("location"), request("location", installation_point_id="IP2", ams_id="AM02")]
        with pytest.raises(Unfit) as raised:
            KINDS["location"].joined(rows)
        (fault,) = raised.value.faults
        assert (fault.field, fault.found) == ("ams_id", "'AM01' and 'AM02'")

    def test_are_told_by_the_columns_of_their_owner(self) -> None:
        kind = KINDS["point_of_delivery"]
        assert kind.owner(ASSIGNMENT) == kind.owner({**ASSIGNMENT, "device_id": " 000000000000000042 "})
        assert kind.owner(ASSIGNMENT) != kind.owner({**ASSIGNMENT, "measurement_task_id": "0008"})
        assert kind.owner({"measurement_task_id": "0007"}) is None

    def test_are_twins_whatever_way_they_write_the_same(self) -> None:
        kind = KINDS["point_of_delivery"]
        first, twin = request("point_of_delivery"), request("point_of_delivery", valid_from="2026-01-01T00:00")
        assert kind.identity(first) == kind.identity(twin)
        assert kind.identity(first) != kind.identity(request("point_of_delivery", valid_from="2026-01-02"))


class TestTheKinds:
    def test_have_columns_that_a_file_may_name(self) -> None:
        assert {name for kind in KINDS.values() for name in kind.columns} | {"kind"} == COLUMNS

    @pytest.mark.parametrize("kind", list(KINDS))
    def test_fill_every_field_of_what_they_make(self, kind: str) -> None:
        of = KINDS[kind]
        own = {name for column in of.columns.values() if not column.in_list for name in column.fields}
        made = request(kind)
        fields = set(type(made).__dataclass_fields__) - {"origin"}
        lists = {name for name in fields if isinstance(getattr(made, name), tuple)}
        indicators = {"locations_complete", "logical_locations_complete", "complete"}
        assert own == fields - lists - indicators
        assert set(of.fixed) <= indicators
        if of.listing is not None:
            inner = {name for column in of.columns.values() if column.in_list for name in column.fields}
            assert inner == set(of.listing.__dataclass_fields__)

    def test_know_what_is_behind_every_error_of_their_services(self) -> None:
        services = (importlib.import_module(kind.service.shape.__module__) for kind in KINDS.values())
        raised = {
            error.type_id
            for module in (*services, addressed_device)
            for _, error in inspect.getmembers(module, inspect.isclass)
            if issubclass(error, BusinessError) and error is not BusinessError
        }
        raised |= {fault.type_id for fault in RegisterFault.__subclasses__()}
        assert raised == set(REFUSALS)

    def test_explain_errors_by_columns_they_have(self) -> None:
        assert {refusal.field for refusal in REFUSALS.values()} <= COLUMNS
