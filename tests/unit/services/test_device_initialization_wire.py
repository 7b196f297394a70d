"""The shapes of device initialization against SAP's contract: read from real-looking XML, written back valid."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from lxml import etree

from mdus.contracts.binding import bind, check, from_json, to_json
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import Item, parse, render
from mdus.contracts.header import MessageHeader
from mdus.contracts.validation import validate
from mdus.messaging.outcome import Problem, Result
from mdus.messaging.patterns import NotificationSent, RequestConfirmation, Service, inbound_roots, outbound_roots
from mdus.services import (
    device_create,
    device_location,
    device_registered,
    point_of_delivery_assigned,
    register_create,
)
from tests.unit.services.device_initialization import DEVICE, device_request, register_request

SERVICES: tuple[Service, ...] = (
    device_create.SERVICE,
    register_create.SERVICE,
    device_location.SERVICE,
    point_of_delivery_assigned.SERVICE,
    device_registered.SERVICE,
)
HEADER = "<MessageHeader><CreationDateTime>2026-03-28T12:00:00Z</CreationDateTime></MessageHeader>"
NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)


def received(service: Any, body: str) -> Any:
    """The request that a message with this body becomes, once its schema has passed, through its stored form."""
    root = catalog().root(service.name)
    text = f'<n0:{service.name} xmlns:n0="http://sap.com/xi/SAPGlobal20/Global">{HEADER}{body}</n0:{service.name}>'
    element = etree.fromstring(text)
    verdict = validate(element, root)
    assert verdict.accepted, verdict.violations
    return from_json(service.shape, to_json(bind(service.shape, element)))


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_shape_fits_its_messages(service: Service) -> None:
    problems = [
        *(problem for name, _ in inbound_roots(service) for problem in check(service.shape, catalog().root(name))),  # type: ignore[union-attr]
        *(
            problem
            for name, _ in outbound_roots(service)
            for problem in check(
                service.confirmation_shape if isinstance(service, RequestConfirmation) else service.content_shape,  # type: ignore[union-attr]
                catalog().root(name),
            )
        ),
    ]
    assert problems == []


class TestDeviceCreate:
    def test_reads_everything_the_registry_keeps(self) -> None:
        request = received(
            device_create.SERVICE,
            """<UtilitiesDevice>
                 <ID>000000000000000042</ID><StartDate>2026-01-01</StartDate><EndDate>9999-12-31</EndDate>
                 <SerialID>0000001234</SerialID><MaterialID>LX100-SW</MaterialID>
                 <IndividualMaterialManufacturerInformation>
                   <PartyInternalID>M1</PartyInternalID><PartNumberID>P1</PartNumberID><SerialID>00S1</SerialID>
                 </IndividualMaterialManufacturerInformation>
                 <SmartMeter><UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>
               </UtilitiesDevice>""",
        )
        assert request == device_create.Request(
            device_id=DEVICE,
            serial_id="0000001234",
            material_id="LX100-SW",
            valid_from=date(2026, 1, 1),
            valid_to=None,
            manufacturer_id="M1",
            manufacturer_part_id="P1",
            manufacturer_serial_id="00S1",
            ams_id="AM01",
        )

    def test_reads_past_what_one_customer_adds(self) -> None:
        request = received(
            device_create.SERVICE,
            """<UtilitiesDevice>
                 <ID>42</ID><StartDate>2026-01-01</StartDate><EndDate>2026-12-31</EndDate>
                 <RegisterGroup>RG1</RegisterGroup><RegisterNumber>2</RegisterNumber>
                 <SerialID>1</SerialID><MaterialID>LX</MaterialID>
               </UtilitiesDevice>""",
        )
        assert (request.valid_to, request.ams_id) == (date(2027, 1, 1), None)


class TestRegisterCreate:
    def test_reads_every_register(self) -> None:
        request = received(
            register_create.SERVICE,
            """<UtilitiesDevice>
                 <ID>42</ID>
                 <RegisterGroup>
                   <StartDate>2026-01-01</StartDate><EndDate>9999-12-31</EndDate><RegisterGroupID>G</RegisterGroupID>
                 </RegisterGroup>
                 <Register>
                   <StartDate>2026-01-01</StartDate><EndDate>2026-06-30</EndDate>
                   <UtilitiesMeasurementTaskID>000000000000000007</UtilitiesMeasurementTaskID>
                   <UtilitiesObjectIdentificationSystemCodeText>1-0:1.8.0</UtilitiesObjectIdentificationSystemCodeText>
                   <UtiltiesMeasurementTaskCategoryCode>5</UtiltiesMeasurementTaskCategoryCode>
                   <UtilitiesDivisionCategoryCode>01</UtilitiesDivisionCategoryCode>
                   <UtilitiesMeasurementRecurrenceCode>0</UtilitiesMeasurementRecurrenceCode>
                   <TimeZoneCode>CET</TimeZoneCode>
                   <Specifications>
                     <UtilitiesTimeOfUseCode>1</UtilitiesTimeOfUseCode><MeasureUnitCode>KWH</MeasureUnitCode>
                     <DecimalValuePrecision>
                       <TotalDigitNumberValue>8</TotalDigitNumberValue>
                       <FractionDigitNumberValue>2</FractionDigitNumberValue>
                     </DecimalValuePrecision>
                     <MeterReadingResultAdjustmentFactorValue>1.50000</MeterReadingResultAdjustmentFactorValue>
                   </Specifications>
                 </Register>
                 <Register>
                   <StartDate>2026-07-01</StartDate><EndDate>9999-12-31</EndDate>
                   <UtilitiesMeasurementTaskID>8</UtilitiesMeasurementTaskID>
                   <Specifications><MeasureUnitCode>M3</MeasureUnitCode><DecimalValuePrecision/></Specifications>
                 </Register>
                 <SmartMeter><UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>
               </UtilitiesDevice>""",
        )
        first, second = request.registers
        assert first == register_create.SentRegister(
            measurement_task_id="000000000000000007",
            valid_from=date(2026, 1, 1),
            valid_to=date(2026, 7, 1),
            obis_text="1-0:1.8.0",
            task_category_code="5",
            division="01",
            recurrence_code="0",
            time_zone_code="CET",
            time_of_use_code="1",
            unit="KWH",
            total_digits=8,
            fraction_digits=2,
            factor=Decimal("1.5"),
        )
        assert second == register_create.SentRegister(
            measurement_task_id="8", valid_from=date(2026, 7, 1), valid_to=None, unit="M3"
        )


LOCATION = """<Location>
  <StartDate>2026-01-01</StartDate><EndDate>2026-01-07</EndDate>
  <InstallationPointID>IP1</InstallationPointID><InstallationNumber>I1</InstallationNumber>
  <InstallationPointAddressInformation>
    <HouseID>12</HouseID><StreetPostalCode>20095</StreetPostalCode><CityName>Hamburg</CityName>
    <StreetName>Am Wall</StreetName><CountryCode>DE</CountryCode><TimeZoneCode>CET</TimeZoneCode>
  </InstallationPointAddressInformation>
  <InstallationPointHierarchyRelationship>
    <ParentInstallationPointID>CO1</ParentInstallationPointID>
  </InstallationPointHierarchyRelationship>
  <ModificationInformation>
    <RemoveDate>2026-01-08</RemoveDate><RemoveTime>10:30:00</RemoveTime><TimeZoneCode>INDIA</TimeZoneCode>
  </ModificationInformation>
</Location>"""
SMART_METER = "<SmartMeter><UtilitiesAdvancedMeteringSystemID>AM01</UtilitiesAdvancedMeteringSystemID></SmartMeter>"


class TestDeviceLocation:
    def test_reads_locations_with_address_and_removal(self) -> None:
        request = received(
            device_location.SERVICE,
            '<UtilitiesDevice logicalLocationListCompleteTransmissionIndicator="1"'
            ' locationListCompleteTransmissionIndicator="false">'
            "<ID>42</ID><LogicalLocation><StartDate>2026-01-01</StartDate><EndDate>9999-12-31</EndDate>"
            "<LogicalInstallationPointID>LL1</LogicalInstallationPointID></LogicalLocation>"
            f"{LOCATION}{SMART_METER}</UtilitiesDevice>",
        )
        (location,) = request.locations
        assert (location.city_name, location.time_zone_code, location.valid_to) == ("Hamburg", "CET", date(2026, 1, 8))
        assert (location.removed_on, location.removed_time) == (date(2026, 1, 8), time(10, 30))
        assert (location.modification_zone_code, location.installed_on) == ("INDIA", None)
        assert (request.locations_complete, request.logical_locations_complete) == (False, True)
        assert [found.valid_to for found in request.logical_locations] == [None]

    def test_reads_a_removal(self) -> None:
        request = received(
            device_location.SERVICE,
            '<UtilitiesDevice locationListCompleteTransmissionIndicator="true">'
            f"<ID>42</ID>{SMART_METER}</UtilitiesDevice>",
        )
        assert request.is_removal
        assert request.logical_locations_complete is None


class TestPointOfDelivery:
    def test_reads_dates_and_times(self) -> None:
        request = received(
            point_of_delivery_assigned.SERVICE,
            """<UtilitiesMeasurementTask>
                 <ID>0007</ID>
                 <UtilitiesPointOfDeliveryAssignmentListCompleteTransmissionIndicator>true</UtilitiesPointOfDeliveryAssignmentListCompleteTransmissionIndicator>
                 <UtilitiesPointOfDeliveryAssignment>
                   <StartDate>2026-01-01</StartDate><StartTime>00:00:00</StartTime>
                   <EndDate>9999-12-31</EndDate><EndTime>23:59:59</EndTime>
                   <UtilitiesPointOfDeliveryPartyID>DE000123</UtilitiesPointOfDeliveryPartyID>
                 </UtilitiesPointOfDeliveryAssignment>
                 <UtilitiesDevice>
                   <UtilitiesDeviceID>42</UtilitiesDeviceID>
                   <SmartMeter><AdvancedMeteringSystemID>AM01</AdvancedMeteringSystemID></SmartMeter>
                 </UtilitiesDevice>
               </UtilitiesMeasurementTask>""",
        )
        assert request == point_of_delivery_assigned.Request(
            measurement_task_id="0007",
            complete=True,
            device_id="42",
            ams_id="AM01",
            assignments=(
                point_of_delivery_assigned.SentAssignment(
                    point_of_delivery_id="DE000123",
                    start_on=date(2026, 1, 1),
                    start_time=time(0),
                    end_on=date.max,
                    end_time=time(23, 59, 59),
                ),
            ),
        )


class TestWhatWeSend:
    @pytest.mark.parametrize(
        ("module", "request_"),
        [(device_create, device_request()), (register_create, register_request())],
        ids=["device create", "register create"],
    )
    def test_confirmations_are_valid_single_and_in_bulk(self, module: Any, request_: Any) -> None:
        failed = Result(problems=(Problem(type_id="119(MDUS)", note="[7] " + "x" * 300),))
        for name, bulk in outbound_roots(module.SERVICE):
            for result in (Result(), failed):
                confirmation = module.confirm(request_, result)
                item = Item(MessageHeader(created_at=NOW, uuid="0c2f8f0e-2f0c-4d42-9a52-1f3a3c0d7a11"), confirmation)
                log = result.log if bulk else None
                element = parse(render(name, header=MessageHeader(created_at=NOW), items=[item], log=log))
                assert validate(element, catalog().root(name)).accepted

    @pytest.mark.parametrize("start", [date(2026, 1, 1), None], ids=["with start", "without start"])
    def test_registered_notifications_are_valid_single_and_in_bulk(self, start: date | None) -> None:
        service = device_registered.SERVICE
        assert isinstance(service, NotificationSent)
        content = device_registered.Content(device_id=DEVICE, start_on=start, ams_id="AM01")
        for name, _ in outbound_roots(service):
            item = Item(MessageHeader(created_at=NOW), content)
            element = parse(render(name, header=MessageHeader(created_at=NOW), items=[item]))
            assert validate(element, catalog().root(name)).accepted
