"""The tester's own reading of the contract is that of the tables."""

from __future__ import annotations

from collections import Counter

import pytest

from simulators.conformance.contract import ROOTS, SERVICES, Form, Kind
from simulators.conformance.verdicts import Variant, not_applicable
from tests.contracts import sap_tables
from tests.unit.simulators.conformance.parts import CONTRACT


class TestRows:
    def test_are_those_of_the_tables(self) -> None:
        ours = {(row.interface, row.root, row.sent_by_sap) for row in CONTRACT.rows}
        theirs = {
            (row["sap_interface"], row["root_element"], row["direction"] == "CIS->MDUS")
            for row in sap_tables.services()
        }
        assert len(CONTRACT.rows) == len(sap_tables.services()) == 51
        assert ours == theirs

    def test_belong_to_eighteen_services_of_five_kinds(self) -> None:
        assert len(SERVICES) == 18
        kinds = Counter(service.kind for service in SERVICES.values())
        assert kinds == {Kind.ASKED: 10, Kind.TOLD: 2, Kind.NOTIFIED: 1, Kind.STARTED: 4, Kind.QUERIED: 1}
        assert {row.service.name for row in CONTRACT.rows} == set(SERVICES)

    def test_are_in_the_order_of_services_single_before_bulk(self) -> None:
        names = [row.root for row in CONTRACT.rows if row.service.name == "device_create"]
        stem = "UtilitiesDeviceERPSmartMeter"
        assert names == [f"{stem}{form}Create{what}" for form in ("", "Bulk") for what in ("Request", "Confirmation")]


class TestItems:
    @pytest.mark.parametrize("root", sorted(root for root, (_, form, _) in ROOTS.items() if form is Form.BULK))
    def test_of_a_bulk_are_called_as_in_the_tables(self, root: str) -> None:
        (message,) = [row for row in sap_tables.services() if row["root_element"] == root]
        children = {
            row["name"]
            for row in sap_tables.types()
            if row["type"] == message["root_type"] and row["kind"] == "element"
        }
        assert CONTRACT.item_element(root) in children - {"MessageHeader", "Log"}

    def test_of_a_single_message_are_the_message(self) -> None:
        assert CONTRACT.item_element("UtilitiesDeviceERPSmartMeterCreateRequest") is None


class TestNotApplicable:
    def test_cells_have_their_reasons(self) -> None:
        reasons = [
            not_applicable(row, variant) for row in CONTRACT.rows for variant in Variant if not_applicable(row, variant)
        ]
        assert len(reasons) == 25
        assert all(reason and len(reason) > 10 for reason in reasons)

    def test_is_nothing_of_what_sap_sends_but_a_first_message(self) -> None:
        cells = {
            (row.service.name, variant)
            for row in CONTRACT.rows
            for variant in Variant
            if row.sent_by_sap and row.service.kind is not Kind.QUERIED and not_applicable(row, variant)
        }
        assert cells == {("device_create", Variant.REORDERED)}
