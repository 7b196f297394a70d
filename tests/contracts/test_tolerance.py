"""What a message may have wrong and still be taken, and how a refusal is explained."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from lxml import etree

from mdus.contracts.binding import bind, wire
from mdus.contracts.catalog import Root, catalog
from mdus.contracts.validation import MOST_VIOLATIONS, Violation, validate, validate_item, validate_part
from tests.contracts.filled_messages import filled

ORDER = "SmartMeterMeterReadingDocumentERPCreateRequest"
ORDERS = "SmartMeterMeterReadingDocumentERPBulkCreateRequest"
ITEM = "SmartMeterMeterReadingDocumentERPCreateRequestMessage"
CONFIRMATIONS = "MeterReadingDocumentERPResultBulkCreateConfirmation"
TASK = "MeterReadingDocument/UtiltiesMeasurementTask"
OBIS = f"{TASK}/UtilitiesObjectIdentificationSystemCodeText"
ALL = [pytest.param(root, id=name) for name, root in sorted(catalog().roots.items())]


def root(name: str) -> Root:
    return catalog().root(name)


def message(name: str) -> etree._Element:
    return filled(root(name))


def sent(text: str) -> etree._Element:
    return etree.fromstring(text)


def remove(element: etree._Element, path: str) -> None:
    gone = element.find(path)
    gone.getparent().remove(gone)


def set_text(element: etree._Element, path: str, text: str) -> None:
    element.find(path).text = text


def only(violations: tuple[Violation, ...]) -> Violation:
    (violation,) = violations
    return violation


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    document_id: str = wire("MeterReadingDocument/ID")
    obis: str = wire(OBIS)


class TestExactMessages:
    @pytest.mark.parametrize("known", ALL)
    def test_are_accepted_with_nothing_set_aside(self, known: Root) -> None:
        verdict = validate(filled(known), known)
        assert verdict.accepted
        assert verdict.set_aside == ()

    def test_are_accepted_with_any_prefix_on_the_root(self) -> None:
        text = etree.tostring(message(ORDER), encoding="unicode").replace("n0:", "sap:").replace(":n0", ":sap")
        assert text.startswith("<sap:")
        assert validate(sent(text), root(ORDER)).accepted

    def test_are_accepted_with_a_default_namespace_undone_on_the_children(self) -> None:
        text = etree.tostring(message(ORDER), encoding="unicode")
        text = text.replace("<n0:", "<").replace("</n0:", "</").replace("xmlns:n0", "xmlns")
        text = text.replace("<MessageHeader>", '<MessageHeader xmlns="">', 1)
        text = text.replace("<MeterReadingDocument>", '<MeterReadingDocument xmlns="">', 1)
        assert validate(sent(text), root(ORDER)).accepted


class TestQualifiedChildren:
    @pytest.mark.parametrize("known", ALL)
    def test_are_refused_in_every_message_with_that_explanation(self, known: Root) -> None:
        text = etree.tostring(filled(known), encoding="unicode")
        text = text.replace("<n0:", "<").replace("</n0:", "</").replace("xmlns:n0", "xmlns")
        verdict = validate(sent(text), known)
        assert not verdict.accepted
        for violation in verdict.violations:
            assert "in no namespace" in violation.expected
            assert "http://sap.com/xi/SAPGlobal20/Global" in violation.found

    @pytest.mark.parametrize("namespace", ["http://sap.com/xi/IS-U/Global2", "urn:elsewhere"])
    def test_are_refused_in_any_namespace_wherever_they_stand(self, namespace: str) -> None:
        element = message(ORDER)
        element.find("MeterReadingDocument/ID").tag = f"{{{namespace}}}ID"
        violation = only(validate(element, root(ORDER)).violations)
        assert violation.path == "MeterReadingDocument/ID"
        assert violation.found == f"ID in the namespace {namespace}"

    def test_are_refused_in_a_bulk_at_their_item(self) -> None:
        element = message(ORDERS)
        element.findall(ITEM)[1].find("MeterReadingDocument/ID").tag = "{urn:elsewhere}ID"
        assert only(validate(element, root(ORDERS)).violations).path == f"{ITEM}[2]/MeterReadingDocument/ID"


class TestUnknownChildren:
    def test_are_set_aside_and_counted(self) -> None:
        element = message(ORDER)
        etree.SubElement(element.find("MeterReadingDocument"), "Zz1").text = "x"
        etree.SubElement(element.find(TASK), "Zz2").text = "y"
        verdict = validate(element, root(ORDER))
        assert verdict.accepted
        assert [(found.path, found.known) for found in verdict.set_aside] == [
            (f"{TASK}/Zz2", False),
            ("MeterReadingDocument/Zz1", False),
        ]

    def test_stay_in_the_element_and_out_of_the_value(self) -> None:
        element = message(ORDER)
        element.find("MeterReadingDocument").insert(0, etree.Element("Zz1"))
        before = etree.tostring(element)
        assert validate(element, root(ORDER)).accepted
        assert etree.tostring(element) == before
        assert bind(Order, element).document_id == element.findtext("MeterReadingDocument/ID")

    def test_are_told_from_a_known_extension(self) -> None:
        name = "UtilitiesDeviceERPSmartMeterCreateRequest"
        element = message(name)
        etree.SubElement(element.find("UtilitiesDevice"), "RegisterGroup").text = "a customer's"
        (found,) = validate(element, root(name)).set_aside
        assert (found.path, found.known) == ("UtilitiesDevice/RegisterGroup", True)

    def test_are_set_aside_per_item_of_a_bulk(self) -> None:
        element = message(ORDERS)
        for item in element.findall(ITEM):
            etree.SubElement(item.find("MeterReadingDocument"), "Zz").text = "x"
        verdict = validate(element, root(ORDERS))
        assert verdict.accepted
        assert [found.path for found in verdict.set_aside] == [
            f"{ITEM}[1]/MeterReadingDocument/Zz",
            f"{ITEM}[2]/MeterReadingDocument/Zz",
        ]

    def test_are_set_aside_between_the_items_of_a_bulk(self) -> None:
        element = message(ORDERS)
        element.insert(2, etree.Element("Zz"))
        verdict = validate(element, root(ORDERS))
        assert verdict.accepted
        assert [found.path for found in verdict.set_aside] == ["Zz"]

    def test_do_not_excuse_a_known_child_at_the_wrong_place(self) -> None:
        element = message(ORDER)
        task = element.find(TASK)
        task.append(task.find("UtilitiesMeasurementTaskID"))
        assert not validate(element, root(ORDER)).accepted


class TestWiderFacets:
    def test_let_a_longer_obis_text_in_and_bind_it_in_full(self) -> None:
        element = message(ORDER)
        set_text(element, OBIS, "1-0:1.8.0*255/OUTGOING-25"[:25])
        verdict = validate(element, root(ORDER))
        assert verdict.accepted
        assert [(found.path, found.known) for found in verdict.set_aside] == [(OBIS, True)]
        assert len(bind(Order, element).obis) == 25

    def test_need_nothing_set_aside_up_to_the_strict_length(self) -> None:
        element = message(ORDER)
        set_text(element, OBIS, "x" * 15)
        assert validate(element, root(ORDER)).set_aside == ()

    def test_refuse_what_is_longer_still(self) -> None:
        element = message(ORDER)
        set_text(element, OBIS, "x" * 26)
        violation = only(validate(element, root(ORDER)).violations)
        assert (violation.path, violation.expected, violation.found) == (OBIS, "maxLength 15", repr("x" * 26))

    def test_do_not_widen_other_types(self) -> None:
        element = message(ORDER)
        set_text(element, f"{TASK}/UtilitiesMeasurementTaskID", "1" * 19)
        assert only(validate(element, root(ORDER)).violations).expected == "maxLength 18"


class TestFacets:
    CASES = (
        pytest.param("MessageHeader/UUID", "0" * 35, "the pattern", id="uuid-too-short"),
        pytest.param("MessageHeader/UUID", "g" * 36, "the pattern", id="uuid-not-hexadecimal"),
        pytest.param("MessageHeader/CreationDateTime", "2025-03-01T10:00:00", "the pattern", id="no-z"),
        pytest.param("MessageHeader/CreationDateTime", "2025-03-01T10:00:00+01:00", "the pattern", id="offset"),
        pytest.param("MessageHeader/TestDataIndicator", "yes", "xsd:boolean", id="not-boolean"),
        pytest.param("MeterReadingDocument/ID", "1" * 21, "maxLength 20", id="document-id-too-long"),
        pytest.param("MeterReadingDocument/ID", "", "minLength 1", id="document-id-empty"),
        pytest.param("MeterReadingDocument/MeterReadingReasonCode", "001", "maxLength 2", id="reason-too-long"),
        pytest.param("MeterReadingDocument/ScheduledMeterReadingDate", "2025-03-01Z", "the pattern", id="date-zone"),
        pytest.param("MeterReadingDocument/ScheduledMeterReadingDate", "2025-02-30", "xsd:date", id="no-such-day"),
        pytest.param(f"{TASK}/UtilitiesMeasurementTaskID", "12A", "the pattern", id="register-number-not-digits"),
        pytest.param(f"{TASK}/UtiltiesDevice/UtilitiesDeviceID", "1" * 19, "maxLength 18", id="device-id-too-long"),
        pytest.param(
            f"{TASK}/UtiltiesDevice/SmartMeter/UtilitiesAdvancedMeteringSystemID", "AEMLX", "maxLength 4", id="ams-long"
        ),
    )

    @pytest.mark.parametrize(("path", "text", "expected"), CASES)
    def test_refuse_a_value_outside_and_say_which_facet(self, path: str, text: str, expected: str) -> None:
        element = message(ORDER)
        set_text(element, path, text)
        violation = only(validate(element, root(ORDER)).violations)
        assert violation.path == path
        assert violation.expected.startswith(expected)
        assert violation.found == repr(text)

    INSIDE = (
        pytest.param("MessageHeader/UUID", "ABCDEFab-0000-0000-0000-000000000000", id="uuid-in-either-case"),
        pytest.param("MessageHeader/CreationDateTime", "2025-03-01T10:00:00.1234567Z", id="seven-decimals"),
        pytest.param("MeterReadingDocument/ID", "0" * 20, id="document-id-of-zeros"),
        pytest.param(f"{TASK}/UtilitiesMeasurementTaskID", "0" * 17 + "1", id="register-number-with-zeros"),
    )

    @pytest.mark.parametrize(("path", "text"), INSIDE)
    def test_accept_a_value_just_inside(self, path: str, text: str) -> None:
        element = message(ORDER)
        set_text(element, path, text)
        assert validate(element, root(ORDER)).accepted


class TestStructure:
    def test_refuses_a_missing_mandatory_element_by_its_name(self) -> None:
        element = message(ORDER)
        remove(element, "MeterReadingDocument/MeterReadingReasonCode")
        violation = only(validate(element, root(ORDER)).violations)
        assert violation.path == "MeterReadingDocument/MeterReadingReasonCode"
        assert violation.found == "ScheduledMeterReadingDate"

    def test_refuses_a_missing_last_element(self) -> None:
        element = message(ORDER)
        remove(element, f"{TASK}/UtiltiesDevice/SmartMeter")
        violation = only(validate(element, root(ORDER)).violations)
        assert (violation.path, violation.found) == (f"{TASK}/UtiltiesDevice/SmartMeter", "nothing")

    def test_refuses_elements_in_another_order(self) -> None:
        element = message(ORDER)
        document = element.find("MeterReadingDocument")
        document.append(document.find("ID"))
        violation = only(validate(element, root(ORDER)).violations)
        assert (violation.path, violation.found) == ("MeterReadingDocument/ID", "MeterReadingReasonCode")

    def test_refuses_an_element_that_stands_there_twice(self) -> None:
        element = message(ORDER)
        document = element.find("MeterReadingDocument")
        document.insert(1, etree.fromstring("<ID>2</ID>"))
        assert not validate(element, root(ORDER)).accepted

    def test_refuses_a_missing_mandatory_attribute(self) -> None:
        name = "UtilitiesDeviceERPSmartMeterLocationNotification"
        element = message(name)
        del element.find("UtilitiesDevice").attrib["locationListCompleteTransmissionIndicator"]
        violation = only(validate(element, root(name)).violations)
        assert "locationListCompleteTransmissionIndicator" in violation.expected

    def test_refuses_an_unknown_attribute(self) -> None:
        element = message(ORDER)
        element.find("MeterReadingDocument").set("zz", "1")
        assert not validate(element, root(ORDER)).accepted

    def test_names_the_line_of_the_source(self) -> None:
        lines = etree.tostring(message(ORDER), pretty_print=True, encoding="unicode").split("\n")
        number = next(n for n, line in enumerate(lines, start=1) if "<ScheduledMeterReadingDate>" in line)
        lines[number - 1] = "<ScheduledMeterReadingDate>soon</ScheduledMeterReadingDate>"
        violations = validate(sent("\n".join(lines)), root(ORDER)).violations
        assert {violation.line for violation in violations} == {number}

    def test_says_it_in_one_readable_line(self) -> None:
        element = sent(etree.tostring(message(ORDER), encoding="unicode"))
        set_text(element, "MeterReadingDocument/ID", "1" * 21)
        assert str(only(validate(element, root(ORDER)).violations)) == (
            f"MeterReadingDocument/ID (line 1): expected maxLength 20, found '{'1' * 21}'"
        )


class TestBulkStructure:
    def test_refuses_a_bulk_without_items(self) -> None:
        element = message(ORDERS)
        for item in element.findall(ITEM):
            element.remove(item)
        violation = only(validate(element, root(ORDERS)).violations)
        assert (violation.path, violation.expected, violation.found) == (ITEM, "at least one", "none")

    def test_refuses_a_bulk_without_header(self) -> None:
        element = message(ORDERS)
        remove(element, "MessageHeader")
        assert only(validate(element, root(ORDERS)).violations).path == "MessageHeader"

    def test_refuses_a_header_behind_the_items(self) -> None:
        element = message(ORDERS)
        element.append(element.find("MessageHeader"))
        assert only(validate(element, root(ORDERS)).violations).path == "MessageHeader"

    def test_refuses_a_second_header(self) -> None:
        element = message(ORDERS)
        element.insert(1, etree.fromstring(etree.tostring(element.find("MessageHeader"))))
        assert only(validate(element, root(ORDERS)).violations).path == "MessageHeader"

    def test_refuses_a_confirmation_without_overall_log(self) -> None:
        element = message(CONFIRMATIONS)
        element.remove(element[-1])
        assert only(validate(element, root(CONFIRMATIONS)).violations).path == "Log"

    def test_refuses_an_item_behind_the_log(self) -> None:
        element = message(CONFIRMATIONS)
        element.append(element[1])
        assert not validate(element, root(CONFIRMATIONS)).accepted

    def test_refuses_text_between_the_parts(self) -> None:
        element = message(ORDERS)
        element[0].tail = "stray"
        assert len(validate(element, root(ORDERS)).violations) == 1

    def test_refuses_an_attribute_on_the_root(self) -> None:
        element = message(ORDERS)
        element.set("zz", "1")
        assert only(validate(element, root(ORDERS)).violations).path == "@zz"

    def test_tells_which_item_is_at_fault(self) -> None:
        element = message(ORDERS)
        set_text(element.findall(ITEM)[1], "MeterReadingDocument/ID", "1" * 21)
        assert only(validate(element, root(ORDERS)).violations).path == f"{ITEM}[2]/MeterReadingDocument/ID"

    def test_judges_an_item_and_the_header_by_themselves(self) -> None:
        element = message(ORDERS)
        item = element.findall(ITEM)[1]
        assert validate_item(item, root(ORDERS), position=2).accepted
        assert validate_part(element.find("MessageHeader"), root(ORDERS)).accepted
        remove(element, "MessageHeader/CreationDateTime")
        set_text(item, "MeterReadingDocument/ID", "")
        assert only(validate_part(element.find("MessageHeader"), root(ORDERS)).violations).path == (
            "MessageHeader/CreationDateTime"
        )
        assert only(validate_item(item, root(ORDERS), position=7).violations).path == (
            f"{ITEM}[7]/MeterReadingDocument/ID"
        )


class TestManyViolations:
    @pytest.mark.parametrize("wrong", [1, 19, 20, 21, 26], ids=lambda wrong: f"{wrong}-items")
    def test_reports_no_more_than_twenty_places(self, wrong: int) -> None:
        element = message(ORDERS)
        good = etree.tostring(element.find(ITEM))
        for _ in range(30):
            element.append(etree.fromstring(good))
        for item in element.findall(ITEM)[:wrong]:
            set_text(item, "MeterReadingDocument/ID", "1" * 21)
        violations = validate(element, root(ORDERS)).violations
        assert len(violations) == min(wrong, MOST_VIOLATIONS)
        assert MOST_VIOLATIONS == 20

    def test_reports_no_more_than_twenty_places_of_a_single_message(self) -> None:
        name = "UtilitiesDeviceERPSmartMeterRegisterCreateRequest"
        element = message(name)
        device = element.find("UtilitiesDevice")
        register = etree.tostring(device.find("Register"))
        for _ in range(26):
            copy = etree.fromstring(register)
            set_text(copy, "UtilitiesMeasurementTaskID", "not digits")
            device.insert(-1, copy)
        assert len(validate(element, root(name)).violations) == MOST_VIOLATIONS
