"""wsdl/ and xsd/ held against SAP's tables, row by row and in both directions.

The files are read here with nothing but lxml: the reader under `mdus.contracts` is not asked to vouch for itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from mdus.settings import data_folder
from tests.contracts import sap_tables

XSD = "{http://www.w3.org/2001/XMLSchema}"
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
SOAP = "{http://schemas.xmlsoap.org/wsdl/soap/}"
TYPES = "http://sap.com/xi/IS-U/Global2"
ONE_WAY = [row for row in sap_tables.services() if row["mode"] == "one-way"]
MESSAGES = [row for row in sap_tables.services() if row["root_element"] != "StandardMessageFault"]
INTERFACES = sorted({row["sap_interface"] for row in sap_tables.services()})
COLUMNS = ("namespace", "type", "position", "kind", "name", "type_or_base", "min", "max", "facets")


def xsd_files() -> list[Path]:
    return sorted(data_folder("xsd").glob("*.xsd"))


def wsdl(interface: str) -> etree._Element:
    return etree.parse(data_folder("wsdl") / f"{interface}.wsdl").getroot()


def base_name(reference: str, nsmap: dict[str | None, str]) -> str:
    """Return a reference the way the tables write it: XSD's own names with the prefix xsd, SAP's without one."""
    prefix, _, name = reference.rpartition(":")
    return f"xsd:{name}" if nsmap[prefix] == XSD[1:-1] else name


def facets(restriction: etree._Element | None) -> str:
    if restriction is None:
        return ""
    return " ".join(sorted(f"{etree.QName(facet).localname}={facet.get('value')}" for facet in restriction))


def row(schema: etree._Element, of: str, position: int, kind: str, **rest: str) -> tuple[str, ...]:
    known = {"name": "", "type_or_base": "", "min": "", "max": "", "facets": ""} | rest
    fixed = {"namespace": schema.get("targetNamespace"), "type": of, "position": str(position), "kind": kind}
    return tuple((fixed | known)[column] for column in COLUMNS)


def attribute_row(schema: etree._Element, of: str, position: int, attribute: etree._Element) -> tuple[str, ...]:
    restriction = attribute.find(f"{XSD}simpleType/{XSD}restriction")
    reference = attribute.get("type") if restriction is None else restriction.get("base")
    return row(
        schema,
        of,
        position,
        "attribute",
        name=attribute.get("name"),
        type_or_base=base_name(reference, attribute.nsmap),
        min="1" if attribute.get("use") == "required" else "0",
        max="1",
        facets=facets(restriction),
    )


def rows_of(schema: etree._Element) -> Iterator[tuple[str, ...]]:
    for definition in schema:
        if not isinstance(definition.tag, str) or definition.tag in (f"{XSD}include", f"{XSD}import", f"{XSD}element"):
            continue
        of = definition.get("name")
        if definition.tag == f"{XSD}simpleType":
            (restriction,) = definition
            base = base_name(restriction.get("base"), restriction.nsmap)
            yield row(schema, of, 0, "simple", type_or_base=base, facets=facets(restriction))
            continue
        assert definition.tag == f"{XSD}complexType"
        assert not set(definition.attrib) - {"name"}
        extension = definition.find(f"{XSD}simpleContent/{XSD}extension")
        if extension is not None:
            yield row(schema, of, 0, "extension", type_or_base=base_name(extension.get("base"), extension.nsmap))
            for position, attribute in enumerate(extension, start=1):
                yield attribute_row(schema, of, position, attribute)
            continue
        sequence, *attributes = definition
        assert sequence.tag == f"{XSD}sequence"
        assert not sequence.attrib
        position = -1
        for position, element in enumerate(sequence):
            assert set(element.attrib) <= {"name", "type", "minOccurs", "maxOccurs"}
            yield row(
                schema,
                of,
                position,
                "element",
                name=element.get("name"),
                type_or_base=base_name(element.get("type"), element.nsmap),
                min=element.get("minOccurs", "1"),
                max=element.get("maxOccurs", "1"),
            )
        for place, attribute in enumerate(attributes, start=position + 1):
            yield attribute_row(schema, of, place, attribute)


class TestXsd:
    def test_holds_every_row_of_the_table_and_nothing_else(self) -> None:
        written: list[tuple[str, ...]] = []
        for path in xsd_files():
            written += rows_of(etree.parse(path).getroot())
        expected = [
            tuple(
                " ".join(sorted(value.split())) if column == "facets" else value
                for column, value in ((column, entry[column]) for column in COLUMNS)
            )
            for entry in sap_tables.types()
        ]
        assert not set(expected) - set(written), "rows of the table that no file holds"
        assert not set(written) - set(expected), "definitions that are in no row of the table"
        assert sorted(written) == sorted(expected)

    def test_has_one_root_per_message_in_a_file_of_its_name(self) -> None:
        written = []
        for path in xsd_files():
            schema = etree.parse(path).getroot()
            for element in schema.findall(f"{XSD}element"):
                reference = element.get("type")
                of = base_name(reference, element.nsmap) if reference else ""
                written.append((path.stem, element.get("name"), schema.get("targetNamespace"), of))
        assert sorted(written) == sorted(
            (entry["root_element"], entry["root_element"], entry["root_namespace"], entry["root_type"])
            for entry in sap_tables.services()
        )

    def test_leaves_every_local_element_unqualified(self) -> None:
        for path in xsd_files():
            schema = etree.parse(path).getroot()
            assert schema.get("elementFormDefault") is None, path.name
            assert schema.get("attributeFormDefault") is None, path.name
            assert not schema.xpath("//@form"), path.name

    def test_tells_its_reader_at_the_top_what_it_holds(self) -> None:
        for path in [*xsd_files(), *data_folder("wsdl").glob("*.wsdl")]:
            comment = etree.parse(path).getroot().getprevious()
            assert comment is not None, path.name
            assert comment.tag is etree.Comment, path.name

    @pytest.mark.parametrize("path", xsd_files(), ids=lambda path: path.stem)
    def test_compiles_offline_by_itself(self, path: Path) -> None:
        source = etree.parse(path)
        for reference in source.getroot().iter(f"{XSD}import", f"{XSD}include"):
            assert "/" not in reference.get("schemaLocation"), "only files beside it"
        assert etree.XMLSchema(source) is not None

    def test_wraps_the_fault_data_in_the_fault(self) -> None:
        schema = etree.parse(data_folder("xsd") / "StandardMessageFault.xsd").getroot()
        (standard,) = schema.findall(f"{XSD}element/{XSD}complexType/{XSD}sequence/{XSD}element")
        assert standard.get("name") == "standard"
        assert base_name(standard.get("type"), standard.nsmap) == "ExchangeFaultData"


class TestExtensions:
    def test_list_every_row_of_the_table_and_nothing_else(self) -> None:
        listed = tomllib.loads((data_folder("xsd") / "extensions.toml").read_text(encoding="utf-8"))
        elements = {(entry["type"], entry["name"], entry["of"]) for entry in listed["element"]}
        facet_rows = {
            (
                entry["type"],
                entry["base"],
                " ".join(sorted(f"{key}={value}" for key, value in entry.items() if key not in ("type", "base"))),
            )
            for entry in listed["facets"]
        }
        table = sap_tables.extensions()
        assert elements == {(r["type"], r["name"], r["type_or_base"]) for r in table if r["kind"] == "element"}
        assert facet_rows == {
            (r["type"], r["type_or_base"], " ".join(sorted(r["facets"].split())))
            for r in table
            if r["kind"] == "simple"
        }
        assert {r["kind"] for r in table} == {"element", "simple"}

    def test_are_not_part_of_the_served_contract(self) -> None:
        strict = {(r["type"], r["name"]) for r in sap_tables.types() if r["kind"] == "element"}
        extended = {(r["type"], r["name"]) for r in sap_tables.extensions() if r["kind"] == "element"}
        assert not strict & extended


class TestWsdl:
    def test_has_one_file_per_interface(self) -> None:
        assert sorted(path.stem for path in data_folder("wsdl").glob("*.wsdl")) == INTERFACES

    @pytest.mark.parametrize("entry", sap_tables.services(), ids=lambda entry: entry["root_element"])
    def test_carries_the_message_as_the_table_says(self, entry: dict[str, str]) -> None:
        definitions = wsdl(entry["sap_interface"])
        assert definitions.get("targetNamespace") == entry["wsdl_target_namespace"]
        message = definitions.find(f"{WSDL}message[@name='{entry['root_element']}']")
        (part,) = message
        prefix, _, name = part.get("element").rpartition(":")
        assert (part.nsmap[prefix], name) == (entry["root_namespace"], entry["root_element"])
        _, _, way = entry["mode"].rpartition("/")
        kind = "input" if way == "one-way" else way
        (used,) = definitions.findall(f"{WSDL}portType/{WSDL}operation/{WSDL}{kind}")
        assert used.get("message").rpartition(":")[2] == entry["root_element"]

    @pytest.mark.parametrize("interface", INTERFACES)
    def test_has_nothing_the_table_does_not_name(self, interface: str) -> None:
        definitions = wsdl(interface)
        entries = [entry for entry in sap_tables.services() if entry["sap_interface"] == interface]
        assert len(definitions.findall(f"{WSDL}message")) == len(entries)
        assert len(definitions.findall(f"{WSDL}portType/{WSDL}operation/*")) == len(entries)
        assert len(definitions.findall(f"{WSDL}portType/{WSDL}operation")) == 1
        imported = definitions.findall(f"{WSDL}types/{XSD}schema/{XSD}import")
        assert sorted(element.get("schemaLocation") for element in imported) == sorted(
            f"../xsd/{entry['root_element']}.xsd" for entry in entries
        )

    @pytest.mark.parametrize("interface", INTERFACES)
    def test_binds_soap_1_1_document_literal_with_the_constant_action(self, interface: str) -> None:
        definitions = wsdl(interface)
        (entry, *_) = [entry for entry in sap_tables.services() if entry["sap_interface"] == interface]
        (binding,) = definitions.findall(f"{WSDL}binding")
        assert dict(binding.find(f"{SOAP}binding").attrib) == {
            "style": "document",
            "transport": "http://schemas.xmlsoap.org/soap/http",
        }
        (operation,) = binding.findall(f"{WSDL}operation/{SOAP}operation")
        assert operation.get("soapAction") == entry["soap_action"]
        assert {body.get("use") for body in binding.iter(f"{SOAP}body")} == {"literal"}
        (address,) = definitions.findall(f"{WSDL}service/{WSDL}port/{SOAP}address")
        assert address.get("location") == f"http://localhost/sap/{interface}"

    @pytest.mark.parametrize("entry", ONE_WAY, ids=lambda entry: entry["root_element"])
    def test_answers_a_one_way_message_with_nothing(self, entry: dict[str, str]) -> None:
        ways = wsdl(entry["sap_interface"]).findall(f"{WSDL}portType/{WSDL}operation/*")
        assert [etree.QName(way).localname for way in ways] == ["input"]
