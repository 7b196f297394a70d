"""Register change against SAP's contract, and on a real database with bounded statements whatever the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import event

from mdus.contracts.binding import bind, check, from_json, to_json
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import Item, parse, render
from mdus.contracts.header import MessageHeader
from mdus.contracts.validation import validate
from mdus.domain.register import Register
from mdus.domain.usage_point import UsagePoint
from mdus.messaging.outcome import Done, Outcome, Park, Problem, Result
from mdus.messaging.patterns import inbound_roots, outbound_roots
from mdus.services import register_change
from mdus.services.register_change import SERVICE, Request, SentRegister, SentSpecification
from mdus.settings import load_settings
from mdus.storage.session import Database
from tests.unit.services.device_initialization import DEVICE, NOW, SENDER, known_device, known_register
from tests.unit.services.register_changes import DAY, START, assignment, change, sent, specification


class TestTheMessage:
    def test_fits_the_contract(self) -> None:
        for name, _ in inbound_roots(SERVICE):
            assert list(check(SERVICE.shape, catalog().root(name))) == []
        for name, _ in outbound_roots(SERVICE):
            assert list(check(SERVICE.confirmation_shape, catalog().root(name))) == []

    def test_is_read_as_sap_sends_it(self) -> None:
        head = "<MessageHeader><CreationDateTime>2026-03-28T12:00:00Z</CreationDateTime></MessageHeader>"
        span = "<StartDate>2026-01-01</StartDate><EndDate>{}</EndDate>"
        least = "<MeasureUnitCode>KWH</MeasureUnitCode><DecimalValuePrecision/>"
        most = (
            "<UtilitiesTimeOfUseCode>2</UtilitiesTimeOfUseCode><MeasureUnitCode>KWH</MeasureUnitCode>"
            "<DecimalValuePrecision><TotalDigitNumberValue>8</TotalDigitNumberValue>"
            "<FractionDigitNumberValue>2</FractionDigitNumberValue></DecimalValuePrecision>"
            "<MeterReadingResultAdjustmentFactorValue>40.0</MeterReadingResultAdjustmentFactorValue>"
            "<UtilitiesMeasurementTaskValidationProfileCode>V1</UtilitiesMeasurementTaskValidationProfileCode>"
        )
        body = f"""
            <UtilitiesDevice><ID>{DEVICE}</ID>
              <RegisterListCompleteTransmissionIndicator>true</RegisterListCompleteTransmissionIndicator>
              <RegisterGroup>{span.format("9999-12-31")}<RegisterGroupID>G</RegisterGroupID></RegisterGroup>
              <Register>{span.format("2026-06-30")}<RegisterID>1</RegisterID>
                <UtilitiesMeasurementTaskID>007</UtilitiesMeasurementTaskID>
                <UtilitiesObjectIdentificationSystemCodeText>1-0:1.8.0</UtilitiesObjectIdentificationSystemCodeText>
                <UtiltiesMeasurementTaskCategoryCode>5</UtiltiesMeasurementTaskCategoryCode>
                <UtilitiesDivisionCategoryCode>1</UtilitiesDivisionCategoryCode>
                <UtilitiesMeasurementRecurrenceCode>0</UtilitiesMeasurementRecurrenceCode>
                <TimeZoneCode>CET</TimeZoneCode>
                <Specifications>{span.format("2026-03-31")}{least}</Specifications>
                <Specifications>{span.format("9999-12-31")}{most}</Specifications>
              </Register>
              <SmartMeter><UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>
            </UtilitiesDevice>"""
        element = etree.fromstring(
            f'<n0:{SERVICE.request} xmlns:n0="http://sap.com/xi/SAPGlobal20/Global">{head}{body}</n0:{SERVICE.request}>'
        )
        verdict = validate(element, catalog().root(SERVICE.request))
        assert verdict.accepted, verdict.violations
        assert from_json(SERVICE.shape, to_json(bind(SERVICE.shape, element))) == Request(
            device_id=DEVICE,
            complete=True,
            ams_id="AM01",
            registers=(
                SentRegister(
                    measurement_task_id="007",
                    valid_from=START,
                    valid_to=DAY,
                    obis_text="1-0:1.8.0",
                    task_category_code="5",
                    division="1",
                    recurrence_code="0",
                    time_zone_code="CET",
                    specifications=(
                        SentSpecification(valid_from=START, valid_to=date(2026, 4, 1), unit="KWH"),
                        SentSpecification(
                            valid_from=START,
                            valid_to=None,
                            time_of_use_code="2",
                            unit="KWH",
                            total_digits=8,
                            fraction_digits=2,
                            factor=Decimal("40.0"),
                            validation_profile_code="V1",
                        ),
                    ),
                ),
            ),
        )

    def test_is_answered_by_valid_confirmations_single_and_in_bulk(self) -> None:
        failed = Result(problems=(Problem(type_id="119(MDUS)", note="[7] " + "x" * 300),))
        for name, bulk in outbound_roots(SERVICE):
            for result in (Result(), failed):
                header = MessageHeader(created_at=NOW, uuid="0c2f8f0e-2f0c-4d42-9a52-1f3a3c0d7a11")
                item = Item(header, register_change.confirm(change(), result))
                element = parse(render(name, header=header, items=[item], log=result.log if bulk else None))
                assert validate(element, catalog().root(name)).accepted


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "head_ends.toml").write_text(
        '[[head_ends]]\nname = "city"\nkind = "rest"\nurl = "http://h"\nams_ids = ["AM01"]\n'
    )
    opened = Database(
        database_url, settings=load_settings({"MDUS_CONFIG": str(tmp_path)}, tables=register_change.TABLES)
    )
    yield opened
    opened.close()


def run(database: Database, requests: Sequence[Request]) -> list[Outcome]:
    """Decide a batch as the inbox does: loaded once, each item seeing those before it, saved once."""
    outcomes = []
    with database.begin() as uow:
        known = register_change.load(requests, uow)
        for request in requests:
            outcomes.append(register_change.decide(request, known, now=NOW))
            known.after(outcomes[-1])
        uow.save([change for outcome in outcomes if isinstance(outcome, Done) for change in outcome.changes])
    return outcomes


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Every statement sent while the block runs."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


class TestABatch:
    def store(self, database: Database, numbers: range) -> list[Request]:
        """Store an assigned register for each number; return a replacement and a reversal of each."""
        names = [f"{number:018d}" for number in numbers]
        with database.begin() as uow:
            uow.save([known_device(device_id=name, serial_id=name) for name in names])
            uow.save([known_register(device_id=name, measurement_task_id=name) for name in names])
            uow.save([replace(assignment(name), device_id=name) for name in names])
        requests = []
        for name in names:
            after = sent(specification(valid_from=DAY, total_digits=6), measurement_task_id=name, valid_from=DAY)
            told = [sent(measurement_task_id=name, valid_to=DAY), after]
            requests += [change(*told, device_id=name), change(device_id=name)]
        return requests

    def test_is_stored_as_decided(self, database: Database) -> None:
        replacement, reversal, *_ = self.store(database, range(2))
        run(database, [replacement])
        by = ("sender_system", "device_id")
        with database.read() as uow:
            found = uow.load(Register, by, [(SENDER, replacement.device_id)], lock=False)
        assert sorted((one.valid_from, one.total_digits) for one in found) == [(START, 8), (DAY, 6)]
        assert run(database, [replacement]) == [Done()]
        run(database, [reversal])
        with database.read() as uow:
            for kind in (Register, UsagePoint):
                assert uow.load(kind, by, [(SENDER, replacement.device_id)], lock=False) == []

    def test_takes_as_many_statements_for_many_items_as_for_few(self, database: Database) -> None:
        few, many = self.store(database, range(2)), self.store(database, range(2, 102))
        with statements(database) as for_few:
            run(database, few)
        with statements(database) as for_many:
            run(database, many)
        assert len(for_many) == len(for_few) <= 20

    def test_sees_the_number_on_a_device_that_is_not_in_it(self, database: Database) -> None:
        replacement, *_ = self.store(database, range(1))
        with database.begin() as uow:
            uow.save([known_register(device_id="7", measurement_task_id="9")])
        new = sent(specification(valid_from=DAY), measurement_task_id="9", valid_from=DAY, obis_text="1-0:2.8.0")
        (outcome,) = run(database, [replace(replacement, registers=(*replacement.registers, new))])
        assert isinstance(outcome, Park)
