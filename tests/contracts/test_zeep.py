"""A second implementation reads the WSDLs: zeep, as a customer's client would, without a network."""

from __future__ import annotations

import io

import pytest
import zeep
from lxml import etree

from mdus.contracts.catalog import Catalog, Root, catalog
from mdus.contracts.envelope import parse
from mdus.settings import data_folder
from tests.contracts.filled_messages import filled

RECEIVING = [pytest.param(interface, id=interface) for interface in catalog().interfaces]


class NoNetwork(zeep.Transport):
    """Loads files and nothing else."""

    def _load_remote_data(self, url: str) -> bytes:
        raise AssertionError(f"asked for {url}")


def build(client: zeep.Client, root: Root) -> bytes:
    """Return the envelope zeep makes of a filled message: parsed by zeep, sent by zeep."""
    element = client.get_element(root.tag)
    value = element.type.parse_xmlelement(filled(root), client.wsdl.types)
    arguments = {child.name: value[child.name] for child in root.type.children}
    return etree.tostring(client.create_message(client.service, root.interface, **arguments))


def canonical(element: etree._Element) -> str:
    return etree.canonicalize(etree.tostring(element, encoding="unicode"), rewrite_prefixes=True)


class TestZeep:
    @pytest.mark.parametrize("interface", RECEIVING)
    def test_builds_the_message_from_the_file(self, interface: str) -> None:
        root = catalog().received_by(interface)
        client = zeep.Client(str(data_folder("wsdl") / f"{interface}.wsdl"), transport=NoNetwork())
        message = parse(build(client, root))
        catalog().schema(root).assertValid(message)
        assert canonical(message) == canonical(filled(root))

    @pytest.mark.parametrize("interface", RECEIVING)
    def test_builds_the_message_from_the_served_document(self, interface: str) -> None:
        root = catalog().received_by(interface)
        location = f"http://127.0.0.1:9/sap/{interface}"
        served = catalog().wsdl(interface, location=location)
        client = zeep.Client(io.BytesIO(served), transport=NoNetwork())
        message = parse(build(client, root))
        catalog().schema(root).assertValid(message)
        assert client.service._binding_options["address"] == location

    def test_knows_the_answer_and_the_fault_of_the_query(self) -> None:
        client = zeep.Client(
            str(data_folder("wsdl") / "UtilitiesTimeSeriesItemByIDQueryResponse_Out.wsdl"), transport=NoNetwork()
        )
        response = catalog().root("UtilitiesTimeSeriesItemByIDResponse_sync")
        value = client.get_element(response.tag).type.parse_xmlelement(filled(response), client.wsdl.types)
        assert len(value["UtilitiesTimeSeries"]["Item"]) == 2
        assert client.get_element("{http://sap.com/xi/SAPGlobal/Global}StandardMessageFault") is not None


class TestServedWsdl:
    def test_shows_no_path_of_ours(self) -> None:
        contract: Catalog = catalog()
        for interface in contract.interfaces:
            served = contract.wsdl(interface, location="https://mdus.example/sap/x")
            assert b"schemaLocation" not in served
            assert b"localhost" not in served
            assert str(data_folder("xsd")).encode() not in served
