"""A shape against the contract, at start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from mdus.contracts.binding import check, wire, wire_end
from mdus.contracts.catalog import catalog
from mdus.contracts.log import Log

RECEIVED = catalog().root("UtilitiesDeviceERPSmartMeterRegisterCreateRequest")
BULK = catalog().root("UtilitiesDeviceERPSmartMeterRegisterBulkCreateRequest")
SENT = catalog().root("UtilitiesDeviceERPSmartMeterRegisterCreateConfirmation")
RESULT = catalog().root("MeterReadingDocumentERPResultCreateRequest")


@dataclass(frozen=True, kw_only=True, slots=True)
class Register:
    valid_from: date = wire("StartDate")
    valid_to: date | None = wire_end("EndDate")


@dataclass(frozen=True, kw_only=True, slots=True)
class Good:
    device_id: str = wire("UtilitiesDevice/ID")
    scheme: str | None = wire("UtilitiesDevice/ID/@schemeID")
    registers: tuple[Register, ...] = wire("UtilitiesDevice/Register")


@dataclass(frozen=True, kw_only=True, slots=True)
class BadRegister:
    valid_from: int = wire("StartDate")
    obis: str = wire("UtilitiesObjectIdentificationSystemCodeText")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bad:
    device_id: str = wire("UtilitiesDevice/Id")
    scheme: str | None = wire("UtilitiesDevice/ID/@scheme")
    group: str | None = wire("UtilitiesDevice/RegisterGroup/RegisterGroupID")
    single: BadRegister | None = wire("UtilitiesDevice/Register")
    meters: tuple[str, ...] = wire("UtilitiesDevice/SmartMeter")


@dataclass(frozen=True, kw_only=True, slots=True)
class Deep:
    registers: tuple[BadRegister, ...] = wire("UtilitiesDevice/Register")


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    device_id: str = wire("UtilitiesDevice/ID")


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfirmationWithLog:
    device_id: str = wire("UtilitiesDevice/ID")
    log: Log = wire("Log")


@dataclass(frozen=True, kw_only=True, slots=True)
class Nothing:
    log: Log = wire("Log")


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    document_id: str = wire("MeterReadingDocument/ID")
    value_on: date = wire("MeterReadingDocument/Result/ActualMeterReadingDate")


class TestCheck:
    def test_finds_nothing_in_a_shape_that_fits(self) -> None:
        assert check(Good, RECEIVED) == ()

    def test_takes_the_item_for_a_bulk(self) -> None:
        assert check(Good, BULK) == ()

    def test_reports_every_problem_at_once(self) -> None:
        problems = check(Bad, RECEIVED)
        for problem, words in zip(
            problems,
            [
                "no element Id",
                "no attribute scheme",
                "RegisterGroup repeats",
                "Register repeats",
                "stands there once",
                "no text",
            ],
            strict=True,
        ):
            assert words in problem
            assert problem.startswith("Bad of UtilitiesDeviceERPSmartMeterRegisterCreateRequest: ")

    def test_looks_into_nested_shapes(self) -> None:
        wrong_type, optional = check(Deep, RECEIVED)
        assert "xsd:date, which int cannot stand for" in wrong_type
        assert "may be missing" in optional

    def test_leaves_header_and_log_of_a_written_message_to_the_envelope(self) -> None:
        assert check(Confirmation, SENT) == ()
        assert check(ConfirmationWithLog, SENT) == ()

    def test_demands_what_a_written_message_must_have(self) -> None:
        (problem,) = check(Nothing, SENT)
        assert "nothing fills the mandatory UtilitiesDevice" in problem
        assert sorted(problem.rpartition(" ")[2] for problem in check(Result, RESULT)) == [
            "MeterReadingDocument/Result/ActualMeterReadingTime",
            "MeterReadingDocument/Result/MeterReadingResultValue",
        ]
