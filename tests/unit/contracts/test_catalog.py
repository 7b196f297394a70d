"""The catalog of messages."""

from __future__ import annotations

import pathlib
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from lxml import etree

from mdus.contracts.catalog import Catalog, ContractFileError, Direction, UnknownInterface, UnknownRoot, catalog
from mdus.contracts.wire_types import ROOT_NAMESPACE
from mdus.settings import data_folder
from tests.contracts import sap_tables

MESSAGES = [row for row in sap_tables.services() if row["root_element"] != "StandardMessageFault"]


class TestRoots:
    @pytest.mark.parametrize("row", MESSAGES, ids=lambda row: row["root_element"])
    def test_are_what_the_table_says(self, row: dict[str, str]) -> None:
        root = catalog().root(row["root_element"])
        received = row["direction"] == "CIS->MDUS" and row["mode"] != "request-response/output"
        assert root.interface == row["sap_interface"]
        assert root.type.name == row["root_type"]
        assert root.direction is (Direction.RECEIVED if received else Direction.SENT)
        assert root.tag == f"{{{ROOT_NAMESPACE}}}{row['root_element']}"

    def test_are_bulk_where_the_name_says_so(self) -> None:
        assert [root.name for root in catalog().roots.values() if root.is_bulk != ("Bulk" in root.name)] == []

    def test_know_the_item_whose_name_follows_no_rule(self) -> None:
        root = catalog().root("SmartMeterMeterReadingDocumentERPBulkCancellationRequest")
        assert root.item_element == "SmartMeterMeterReadingDocumentERPBulkCancellationRequestMessage"
        assert root.single == "SmartMeterMeterReadingDocumentERPCancellationRequest"

    def test_know_that_events_have_no_single_form(self) -> None:
        assert catalog().root("UtilitiesSmartMeterEventERPBulkCreateRequest").single is None

    def test_are_found_with_and_without_namespace(self) -> None:
        name = "UtilitiesDeviceERPSmartMeterCreateRequest"
        assert catalog().root(f"{{{ROOT_NAMESPACE}}}{name}") is catalog().root(name)

    @pytest.mark.parametrize(
        "name",
        [
            "Unknown",
            f"{{{ROOT_NAMESPACE}}}Unknown",
            "{urn:elsewhere}UtilitiesDeviceERPSmartMeterCreateRequest",
            "{}UtilitiesDeviceERPSmartMeterCreateRequest",
            "StandardMessageFault",
        ],
    )
    def test_refuse_what_is_no_message(self, name: str) -> None:
        with pytest.raises(UnknownRoot):
            catalog().root(name)


class TestInterfaces:
    def test_take_in_their_message(self) -> None:
        assert len(catalog().interfaces) == 49
        for interface in catalog().interfaces:
            assert catalog().received_by(interface).interface == interface

    def test_take_in_the_query_and_not_its_answer(self) -> None:
        root = catalog().received_by("UtilitiesTimeSeriesItemByIDQueryResponse_Out")
        assert root.name == "UtilitiesTimeSeriesItemByIDQuery_sync"

    def test_are_refused_when_unknown(self) -> None:
        with pytest.raises(UnknownInterface):
            catalog().received_by("../../etc/passwd")
        with pytest.raises(UnknownInterface):
            catalog().wsdl("../xsd/log", location="http://localhost")


class TestWsdl:
    def test_carries_the_address_asked_for(self) -> None:
        location = "https://mdus.example/sap/X?a=1&b=2"
        served = etree.fromstring(catalog().wsdl("UtilitiesDeviceERPSmartMeterCreateRequest_Out", location=location))
        (address,) = served.iter("{http://schemas.xmlsoap.org/wsdl/soap/}address")
        assert address.get("location") == location

    def test_validates_a_message_with_the_schemas_inside(self) -> None:
        served = etree.fromstring(catalog().wsdl("UtilitiesDeviceERPSmartMeterCreateRequest_Out", location="http://x"))
        schemas = list(served.iter("{http://www.w3.org/2001/XMLSchema}schema"))
        assert [schema.get("targetNamespace") for schema in schemas] == [
            ROOT_NAMESPACE,
            "http://sap.com/xi/IS-U/Global2",
        ]


class TestSchemas:
    def test_of_an_item_take_it_without_namespace(self) -> None:
        root = catalog().root("UtilitiesDeviceERPSmartMeterBulkCreateRequest")
        item = etree.fromstring(f"<{root.item_element}/>")
        schema = catalog().item_schema(root)
        assert not schema.validate(item)
        assert "Missing child element" in str(schema.error_log)

    def test_of_an_item_are_for_bulks_only(self) -> None:
        single = catalog().root("UtilitiesDeviceERPSmartMeterCreateRequest")
        with pytest.raises(ValueError, match="no bulk"):
            catalog().item_schema(single)
        with pytest.raises(ValueError, match="no bulk"):
            catalog().item_explainer(single)

    def test_are_compiled_once(self) -> None:
        root = catalog().root("UtilitiesDeviceERPSmartMeterCreateRequest")
        assert catalog().schema(root) is catalog().schema(root)
        assert catalog().explainer(root) is catalog().explainer(root)

    def test_are_compiled_by_one_thread_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fresh = Catalog(wsdl=data_folder("wsdl"), xsd=data_folder("xsd"))
        inside, met = threading.Semaphore(0), threading.Event()

        def compile_slowly(_: object) -> object:
            # Whoever finds another one here has met it; who does not waits for one to come.
            if inside.acquire(timeout=0):
                met.set()
            inside.release()
            met.wait(0.05)
            inside.acquire(timeout=0)
            return object()

        monkeypatch.setattr(etree, "XMLSchema", compile_slowly)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(fresh.schema, list(fresh.roots.values())[:8]))

        assert not met.is_set()


class TestContractFiles:
    @pytest.fixture
    def folder(self, tmp_path: pathlib.Path) -> pathlib.Path:
        for name in ("wsdl", "xsd"):
            shutil.copytree(data_folder(name), tmp_path / name)
        return tmp_path

    def read(self, folder: pathlib.Path) -> Catalog:
        return Catalog(wsdl=folder / "wsdl", xsd=folder / "xsd")

    def replace(self, file: pathlib.Path, old: str, new: str) -> None:
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def test_are_found_wherever_they_lie(self, folder: pathlib.Path) -> None:
        contract = self.read(folder)
        assert len(contract.roots) == 50
        assert contract.schema(contract.root("UtilitiesDeviceERPSmartMeterCreateRequest")) is not None

    def test_are_refused_with_a_type_nobody_defines(self, folder: pathlib.Path) -> None:
        self.replace(folder / "xsd" / "log.xsd", 'type="isu:LogItem"', 'type="isu:Missing"')
        with pytest.raises(ContractFileError, match="Missing is used and not defined"):
            self.read(folder)

    def test_are_refused_with_a_type_defined_twice(self, folder: pathlib.Path) -> None:
        shutil.copy(folder / "xsd" / "log.xsd", folder / "xsd" / "log_again.xsd")
        with pytest.raises(ContractFileError, match="defined a second time"):
            self.read(folder)

    def test_are_refused_with_a_construct_nobody_reads(self, folder: pathlib.Path) -> None:
        file = folder / "xsd" / "log.xsd"
        self.replace(file, '<xsd:element name="WebURI" type="isu:WebURI" minOccurs="0"/>', "<xsd:any/>")
        with pytest.raises(ContractFileError, match="not understood"):
            self.read(folder)

    def test_are_refused_with_a_root_under_another_name(self, folder: pathlib.Path) -> None:
        name = "UtilitiesDeviceERPSmartMeterCreateRequest.xsd"
        (folder / "xsd" / name).rename(folder / "xsd" / "Other.xsd")
        with pytest.raises(ContractFileError, match="named after its root"):
            self.read(folder)

    def test_are_refused_with_an_interface_whose_message_is_missing(self, folder: pathlib.Path) -> None:
        (folder / "xsd" / "UtilitiesDeviceERPSmartMeterCreateRequest.xsd").unlink()
        with pytest.raises(ContractFileError, match="no file in xsd"):
            self.read(folder)
