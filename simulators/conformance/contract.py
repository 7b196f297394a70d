"""The contract as the tester reads it: the rows of the matrix from wsdl/, the eighteen services, the schemas.

A row is one message: who sends it comes from its file (`_Out`: SAP sends, `_In`: SAP receives), its root and item
element from the file's content. SAP's bulk names follow no stem, so each service says what its messages are called.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from lxml import etree

from simulators.sap_cis.contract import ENVELOPE, GLOBAL, contract_folder

__all__ = ["ENVELOPE", "FAULT", "GLOBAL", "SERVICES", "Contract", "Form", "Kind", "Row", "Service", "contract_folder"]

FAULT = "http://sap.com/xi/SAPGlobal/Global"

_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
_XSD = "{http://www.w3.org/2001/XMLSchema}"

_DEVICE = "UtilitiesDeviceERPSmartMeter"
_ORDER = "SmartMeterMeterReadingDocumentERP"
_SWITCH = "SmartMeterUtilitiesConnectionStatusChangeRequestERP"
_POINT = "SmartMeterUtilitiesMeasurementTaskERPPointOfDelivery"
_RESULT = "MeterReadingDocumentERPResult"
_SERIES = "UtilitiesTimeSeriesERPItem"
_EVENT = "UtilitiesSmartMeterEventERP"
_QUERY = "UtilitiesTimeSeriesItemByID"


class Form(StrEnum):
    """How many objects a message carries."""

    SINGLE = "single"
    BULK = "bulk"


class Kind(StrEnum):
    """The five ways SAP and MDUS exchange messages, from SAP's side."""

    ASKED = "SAP asks, MDUS confirms"
    TOLD = "SAP tells"
    NOTIFIED = "MDUS tells"
    STARTED = "MDUS asks, SAP confirms"
    QUERIED = "SAP asks and waits"


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One enterprise service: what its messages are called in each form, and where its business key stands.

    `key` is the path of the business key in a single message, of an event that of its device: its own id nobody knows
    beforehand. `answer_key` is the path in what answers it, where that differs.
    """

    name: str
    kind: Kind
    key: str
    requests: Mapping[Form, str]
    confirmations: Mapping[Form, str] = field(default_factory=dict)
    answer_key: str | None = None

    @property
    def roots(self) -> tuple[str, ...]:
        """All its roots."""
        return (*self.requests.values(), *self.confirmations.values())

    @property
    def forms(self) -> tuple[Form, ...]:
        """The forms it has."""
        return tuple(self.requests)


def _asked(name: str, stem: str, verb: str, *, key: str, bulk: str | None = None) -> Service:
    stems = {Form.SINGLE: f"{stem}{verb}"} | ({Form.BULK: f"{stem}{bulk}"} if bulk else {})
    return Service(
        name=name,
        kind=Kind.ASKED,
        key=key,
        requests={form: f"{root}Request" for form, root in stems.items()},
        confirmations={form: f"{root}Confirmation" for form, root in stems.items()},
    )


def _started(name: str, stems: Mapping[Form, str], *, key: str) -> Service:
    return Service(
        name=name,
        kind=Kind.STARTED,
        key=key,
        requests={form: f"{stem}Request" for form, stem in stems.items()},
        confirmations={form: f"{stem}Confirmation" for form, stem in stems.items()},
    )


_SWITCH_KEY = "UtilitiesConnectionStatusChangeRequest/ID"

#: The eighteen services, in the order of a device's life.
SERVICES: Mapping[str, Service] = {
    service.name: service
    for service in (
        _asked("device_create", _DEVICE, "Create", bulk="BulkCreate", key="UtilitiesDevice/ID"),
        _asked("device_change", _DEVICE, "Change", key="UtilitiesDevice/ID"),
        _asked("register_create", f"{_DEVICE}Register", "Create", bulk="BulkCreate", key="UtilitiesDevice/ID"),
        _asked("register_change", f"{_DEVICE}Register", "Change", bulk="BulkChange", key="UtilitiesDevice/ID"),
        Service(
            name="location",
            kind=Kind.TOLD,
            key="UtilitiesDevice/ID",
            requests={
                Form.SINGLE: f"{_DEVICE}LocationNotification",
                Form.BULK: f"{_DEVICE}LocationBulkNotification",
            },
        ),
        Service(
            name="point_of_delivery",
            kind=Kind.TOLD,
            key="UtilitiesMeasurementTask/ID",
            requests={
                Form.SINGLE: f"{_POINT}AssignedNotification",
                Form.BULK: f"{_POINT}BulkAssignedNotification",
            },
        ),
        Service(
            name="registered",
            kind=Kind.NOTIFIED,
            key="UtilitiesDevice/ID",
            requests={
                Form.SINGLE: f"{_DEVICE}RegisteredNotification",
                Form.BULK: f"{_DEVICE}RegisteredBulkNotification",
            },
        ),
        _asked(
            "measurement_task_assignment",
            "UtilitiesTimeSeriesERPMeasurementTaskAssignment",
            "Change",
            key="UtilitiesTimeSeries/ID",
        ),
        _asked("reading_order", _ORDER, "Create", bulk="BulkCreate", key="MeterReadingDocument/ID"),
        _started(
            "reading_result",
            {Form.SINGLE: f"{_RESULT}Create", Form.BULK: f"{_RESULT}BulkCreate"},
            key="MeterReadingDocument/ID",
        ),
        _asked("reading_cancellation", _ORDER, "Cancellation", bulk="BulkCancellation", key="MeterReadingDocument/ID"),
        _asked("manual_reading", f"{_ORDER}Result", "Create", key="MeterReadingDocument/ID"),
        _asked("connection_order", _SWITCH, "Create", bulk="BulkCreate", key=_SWITCH_KEY),
        _asked("connection_cancellation", _SWITCH, "Cancellation", key=_SWITCH_KEY),
        _started("event", {Form.BULK: f"{_EVENT}BulkCreate"}, key="UtilitiesSmartMeterEvent/UtilitiesDeviceID"),
        _started("time_series_create", {Form.BULK: f"{_SERIES}BulkCreate"}, key="UtilitiesTimeSeries/ID"),
        _started("time_series_change", {Form.BULK: f"{_SERIES}BulkChange"}, key="UtilitiesTimeSeries/ID"),
        Service(
            name="time_series_query",
            kind=Kind.QUERIED,
            key="UtilitiesTimeSeriesItemSelectionByID/UtilitiesTimeSeriesID",
            requests={Form.SINGLE: f"{_QUERY}Query_sync"},
            confirmations={Form.SINGLE: f"{_QUERY}Response_sync"},
            answer_key="UtilitiesTimeSeries/ID",
        ),
    )
}

#: Root -> (service, form, whether it answers).
ROOTS: Mapping[str, tuple[Service, Form, bool]] = {
    root: (service, form, answers)
    for service in SERVICES.values()
    for answers, roots in ((False, service.requests), (True, service.confirmations))
    for form, root in roots.items()
}

_STANDARD_FAULT = "StandardMessageFault"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One message of the contract: a row of the matrix. `answers` is true of a confirmation, response or fault."""

    root: str
    interface: str
    sent_by_sap: bool
    service: Service
    form: Form
    answers: bool

    @property
    def is_fault(self) -> bool:
        """Whether it is the fault of the synchronous query."""
        return self.root == _STANDARD_FAULT


class Contract:
    """The contract files: rows, item elements, and the schema of each root, compiled when first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._schemas: dict[str, etree.XMLSchema] = {}
        self._items: dict[str, str | None] = {}

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """Every message of every interface, by service in the order of `SERVICES`, single before bulk."""
        found = [row for file in sorted(self._folder.glob("wsdl/*.wsdl")) for row in self._rows_of(file)]
        services, forms = list(SERVICES.values()), list(Form)
        return tuple(
            sorted(
                found,
                key=lambda row: (services.index(row.service), forms.index(row.form), row.answers, row.is_fault),
            )
        )

    def _rows_of(self, file: Path) -> list[Row]:
        interface = file.stem
        wsdl = etree.parse(file, _parser())
        elements = {
            str(message.get("name")): str(message.find(f"{_WSDL}part").get("element"))  # type: ignore[union-attr]
            for message in wsdl.iterfind(f"{_WSDL}message")
        }
        rows = []
        for kind in ("input", "output", "fault"):
            for part in wsdl.iterfind(f"{_WSDL}portType/{_WSDL}operation/{_WSDL}{kind}"):
                root = elements[str(part.get("message")).rpartition(":")[2]].rpartition(":")[2]
                service, form, answers = (
                    (SERVICES["time_series_query"], Form.SINGLE, True) if root == _STANDARD_FAULT else ROOTS[root]
                )
                rows.append(
                    Row(
                        root=root,
                        interface=interface,
                        sent_by_sap=interface.endswith("_Out"),
                        service=service,
                        form=form,
                        answers=answers,
                    )
                )
        return rows

    @cached_property
    def interfaces(self) -> Mapping[str, str]:
        """Root -> SAP's name of the interface that carries it."""
        return {row.root: row.interface for row in self.rows}

    def item_element(self, root: str) -> str | None:
        """This will return what the items of a bulk are called, None of a single message."""
        if root not in self._items:
            self._items[root] = self._read_item_element(root)
        return self._items[root]

    def _read_item_element(self, root: str) -> str | None:
        if ROOTS[root][1] is Form.SINGLE:
            return None
        schema = etree.parse(self._folder / "xsd" / f"{root}.xsd", _parser())
        kind = str(schema.find(f"{_XSD}element").get("type")).rpartition(":")[2]  # type: ignore[union-attr]
        types = str(schema.find(f"{_XSD}import").get("schemaLocation"))  # type: ignore[union-attr]
        path = f"{_XSD}complexType[@name='{kind}']/{_XSD}sequence/{_XSD}element"
        children = etree.parse(self._folder / "xsd" / types, _parser()).iterfind(path)
        (item,) = (str(child.get("name")) for child in children if child.get("name") not in ("MessageHeader", "Log"))
        return item

    def items(self, message: etree._Element) -> list[etree._Element]:
        """This will return the single messages inside: the items of a bulk, else the message itself."""
        item = self.item_element(etree.QName(message).localname)
        return [message] if item is None else message.findall(item)

    def violations(self, message: etree._Element) -> list[str]:
        """This will return what the schema of the message's root finds wrong; not thread safe."""
        root = etree.QName(message).localname
        schema = self._schemas.get(root)
        if schema is None:
            schema = etree.XMLSchema(etree.parse(self._folder / "xsd" / f"{root}.xsd", _parser()))
            self._schemas[root] = schema
        if schema.validate(message):
            return []
        return [f"line {error.line}: {error.message}" for error in schema.error_log]  # type: ignore[attr-defined]


def _parser() -> etree.XMLParser:
    return etree.XMLParser(no_network=True, resolve_entities=False, remove_comments=True)
