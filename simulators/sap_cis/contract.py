"""The contract as SAP sees it: which message starts a process, which one answers it, and what its items are called.

SAP's bulk names follow no stem (`SmartMeterBulkCreate`, `LocationBulkNotification`, `PointOfDeliveryBulkAssigned`), so
they are written out. An interface is the root with `_Out` (SAP sends) or `_In` (SAP receives).
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lxml import etree

GLOBAL = "http://sap.com/xi/SAPGlobal20/Global"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"

_DEVICE = "UtilitiesDeviceERPSmartMeter"
_READING = "SmartMeterMeterReadingDocumentERP"
_CONNECTION = "SmartMeterUtilitiesConnectionStatusChangeRequestERP"
_POINT = "SmartMeterUtilitiesMeasurementTaskERPPointOfDelivery"
_RESULT = "MeterReadingDocumentERPResult"
_EVENT = "UtilitiesSmartMeterEventERP"
_SERIES = "UtilitiesTimeSeriesERP"

#: The one interface where SAP waits for an answer.
QUERY = "UtilitiesTimeSeriesItemByIDQueryResponse_Out"
RESPONSE = "UtilitiesTimeSeriesItemByIDResponse_sync"


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """One thing SAP and MDUS do together, with the roots of its messages in both forms.

    `key` is the path of the business key inside a single message; `item` the element of one item of the bulk.
    """

    name: str
    key: str
    single: str | None = None
    bulk: str | None = None
    item: str | None = None
    confirmation: str | None = None
    bulk_confirmation: str | None = None

    def form(self, *, bulk: bool) -> str:
        """This will return the form of a message that should be a bulk or not: the only one where there is one only."""
        return "bulk" if self.single is None or (bulk and self.bulk is not None) else "single"

    def root(self, form: str) -> str:
        """This will return the root that starts the process in this form, `single` or `bulk`."""
        root = self.bulk if form == "bulk" else self.single
        if root is None:
            raise ValueError(f"{self.name} has no {form} form")
        return root


#: What SAP sends, by name. Those named after a confirmation answer a message MDUS started.
SENT = {
    process.name: process
    for process in (
        Process(
            name="device_create",
            key="UtilitiesDevice/ID",
            single=f"{_DEVICE}CreateRequest",
            bulk=f"{_DEVICE}BulkCreateRequest",
            item=f"{_DEVICE}CreateRequestMessage",
            confirmation=f"{_DEVICE}CreateConfirmation",
            bulk_confirmation=f"{_DEVICE}BulkCreateConfirmation",
        ),
        Process(
            name="register_create",
            key="UtilitiesDevice/ID",
            single=f"{_DEVICE}RegisterCreateRequest",
            bulk=f"{_DEVICE}RegisterBulkCreateRequest",
            item=f"{_DEVICE}RegisterCreateRequestMessage",
            confirmation=f"{_DEVICE}RegisterCreateConfirmation",
            bulk_confirmation=f"{_DEVICE}RegisterBulkCreateConfirmation",
        ),
        Process(
            name="device_change",
            key="UtilitiesDevice/ID",
            single=f"{_DEVICE}ChangeRequest",
            confirmation=f"{_DEVICE}ChangeConfirmation",
        ),
        Process(
            name="register_change",
            key="UtilitiesDevice/ID",
            single=f"{_DEVICE}RegisterChangeRequest",
            bulk=f"{_DEVICE}RegisterBulkChangeRequest",
            item=f"{_DEVICE}RegisterChangeRequestMessage",
            confirmation=f"{_DEVICE}RegisterChangeConfirmation",
            bulk_confirmation=f"{_DEVICE}RegisterBulkChangeConfirmation",
        ),
        Process(
            name="location",
            key="UtilitiesDevice/ID",
            single=f"{_DEVICE}LocationNotification",
            bulk=f"{_DEVICE}LocationBulkNotification",
            item=f"{_DEVICE}LocationNotificationMessage",
        ),
        Process(
            name="point_of_delivery",
            key="UtilitiesMeasurementTask/ID",
            single=f"{_POINT}AssignedNotification",
            bulk=f"{_POINT}BulkAssignedNotification",
            item=f"{_POINT}AssignedNotificationMessage",
        ),
        Process(
            name="reading_order",
            key="MeterReadingDocument/ID",
            single=f"{_READING}CreateRequest",
            bulk=f"{_READING}BulkCreateRequest",
            item=f"{_READING}CreateRequestMessage",
            confirmation=f"{_READING}CreateConfirmation",
            bulk_confirmation=f"{_READING}BulkCreateConfirmation",
        ),
        Process(
            name="reading_cancellation",
            key="MeterReadingDocument/ID",
            single=f"{_READING}CancellationRequest",
            bulk=f"{_READING}BulkCancellationRequest",
            item=f"{_READING}BulkCancellationRequestMessage",  # the one item not named after the single message
            confirmation=f"{_READING}CancellationConfirmation",
            bulk_confirmation=f"{_READING}BulkCancellationConfirmation",
        ),
        Process(
            name="manual_reading",
            key="MeterReadingDocument/ID",
            single=f"{_READING}ResultCreateRequest",
            confirmation=f"{_READING}ResultCreateConfirmation",
        ),
        Process(
            name="connection_order",
            key="UtilitiesConnectionStatusChangeRequest/ID",
            single=f"{_CONNECTION}CreateRequest",
            bulk=f"{_CONNECTION}BulkCreateRequest",
            item=f"{_CONNECTION}CreateRequestMessage",
            confirmation=f"{_CONNECTION}CreateConfirmation",
            bulk_confirmation=f"{_CONNECTION}BulkCreateConfirmation",
        ),
        Process(
            name="connection_cancellation",
            key="UtilitiesConnectionStatusChangeRequest/ID",
            single=f"{_CONNECTION}CancellationRequest",
            confirmation=f"{_CONNECTION}CancellationConfirmation",
        ),
        Process(
            name="result_confirmation",
            key="MeterReadingDocument/ID",
            single=f"{_RESULT}CreateConfirmation",
            bulk=f"{_RESULT}BulkCreateConfirmation",
            item=f"{_RESULT}CreateConfirmationMessage",
        ),
        Process(
            name="event_confirmation",
            key="UtilitiesSmartMeterEvent/ID",
            bulk=f"{_EVENT}BulkCreateConfirmation",
            item=f"{_EVENT}CreateConfirmationMessage",
        ),
        Process(
            name="profile_assignment",
            key="UtilitiesTimeSeries/ID",
            single=f"{_SERIES}MeasurementTaskAssignmentChangeRequest",
            confirmation=f"{_SERIES}MeasurementTaskAssignmentChangeConfirmation",
        ),
        Process(
            name="values_confirmation",
            key="UtilitiesTimeSeries/ID",
            bulk=f"{_SERIES}ItemBulkCreateConfirmation",
            item=f"{_SERIES}ItemCreateConfirmationMessage",
        ),
        Process(
            name="values_change_confirmation",
            key="UtilitiesTimeSeries/ID",
            bulk=f"{_SERIES}ItemBulkChangeConfirmation",
            item=f"{_SERIES}ItemChangeConfirmationMessage",
        ),
    )
}

#: What MDUS starts and this system judges item by item.
RECEIVED = {
    process.name: process
    for process in (
        Process(
            name="device_registered",
            key="UtilitiesDevice/ID",
            single=f"{_DEVICE}RegisteredNotification",
            bulk=f"{_DEVICE}RegisteredBulkNotification",
            item=f"{_DEVICE}RegisteredNotificationMessage",
        ),
        Process(
            name="reading_result",
            key="MeterReadingDocument/ID",
            single=f"{_RESULT}CreateRequest",
            bulk=f"{_RESULT}BulkCreateRequest",
            item=f"{_RESULT}CreateRequestMessage",
        ),
        Process(
            name="smart_meter_event",
            key="UtilitiesSmartMeterEvent/ID",
            bulk=f"{_EVENT}BulkCreateRequest",
            item=f"{_EVENT}CreateRequestMessage",
        ),
        Process(
            name="values",
            key="UtilitiesTimeSeries/ID",
            bulk=f"{_SERIES}ItemBulkCreateRequest",
            item=f"{_SERIES}ItemCreateRequestMessage",
        ),
        Process(
            name="values_change",
            key="UtilitiesTimeSeries/ID",
            bulk=f"{_SERIES}ItemBulkChangeRequest",
            item=f"{_SERIES}ItemChangeRequestMessage",
        ),
    )
}

#: Root of a confirmation -> (process, form).
CONFIRMATIONS = {
    root: (process, form)
    for process in SENT.values()
    for root, form in ((process.confirmation, "single"), (process.bulk_confirmation, "bulk"))
    if root is not None
}

#: Root of a message MDUS starts -> (process, form).
STARTED_BY_MDUS = {
    root: (process, form)
    for process in RECEIVED.values()
    for root, form in ((process.single, "single"), (process.bulk, "bulk"))
    if root is not None
}

#: Root of a message SAP sends -> (process, form).
SENT_ROOTS = {
    root: (process, form)
    for process in SENT.values()
    for root, form in ((process.single, "single"), (process.bulk, "bulk"))
    if root is not None
}


def contract_folder() -> Path:
    """This will return the folder that holds wsdl/ and xsd/, in a checkout or beside an installed MDUS."""
    top = Path(__file__).resolve().parents[2]
    for folder in (top, top / "mdus" / "_data"):
        if (folder / "xsd").is_dir() and (folder / "wsdl").is_dir():
            return folder
    raise FileNotFoundError(f"neither {top} nor its mdus/_data holds wsdl/ and xsd/")


class Contract:
    """The contract files: what this system can receive, and the schema of each root, compiled when first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._schemas: dict[str, etree.XMLSchema] = {}

    @cached_property
    def received_roots(self) -> tuple[str, ...]:
        """Every root MDUS may send: one WSDL `<root>_In.wsdl` each."""
        return tuple(sorted(path.name.removesuffix("_In.wsdl") for path in self._folder.glob("wsdl/*_In.wsdl")))

    def violations(self, message: etree._Element) -> list[str]:
        """This will return what the schema of the message's root finds wrong, with line numbers; not thread safe."""
        root = etree.QName(message).localname
        schema = self._schemas.get(root)
        if schema is None:
            parser = etree.XMLParser(no_network=True, resolve_entities=False)
            schema = etree.XMLSchema(etree.parse(self._folder / "xsd" / f"{root}.xsd", parser))
            self._schemas[root] = schema
        if schema.validate(message):
            return []
        return [f"line {error.line}: {error.message}" for error in schema.error_log]  # type: ignore[attr-defined]
