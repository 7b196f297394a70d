"""A simulated SAP in the middle of its business, what MDUS could say to it, and changes that spoil it."""

from collections.abc import Callable

from lxml import etree

from simulators.sap_cis.business import Business
from simulators.sap_cis.cis import Cis
from simulators.sap_cis.view import Order, Sent
from tests.unit.simulators.sap_cis import mdus_messages as mdus
from tests.unit.simulators.sap_cis.conftest import METERS, make_cis

#: Where messages of one item have what tests change.
STATUS = "UtilitiesConnectionStatusChangeRequest/DeviceConnectionStatus"
RESULT = "MeterReadingDocumentERPResultCreateRequestMessage/MeterReadingDocument"
EVENT = "UtilitiesSmartMeterEventERPCreateRequestMessage/UtilitiesSmartMeterEvent"


class Scene:
    """A simulated SAP in the middle of its business: two devices created, two orders and two documents accepted."""

    def __init__(self) -> None:
        self.cis: Cis = make_cis()
        self.business = Business(self.cis)
        self.devices = [device.id for device in self.business.initialize_devices(METERS[:2])]
        for sent in list(self.cis.view.sent.values()):
            if sent.process in ("device_create", "register_create"):
                self.say(mdus.confirmation(sent, self.cis.view))
        self.orders = self.business.order_readings(
            "all", reason="01", scheduled_on="2026-03-27", obis=["1-0:1.8.0*255"]
        )
        self.say(mdus.confirmation(self.sent("reading_order"), self.cis.view))
        assert self.cis.view.defects == []

    def sent(self, process: str) -> Sent:
        """The latest message of a process."""
        return [sent for sent in self.cis.view.sent.values() if sent.process == process][-1]

    def say(self, message: etree._Element, *, interface: str | None = None) -> None:
        """MDUS posts a message."""
        self.cis.receive(message, interface=interface or f"{etree.QName(message).localname}_In")

    @property
    def defects(self) -> set[str]:
        return {defect["name"] for defect in self.cis.view.defects}

    # What MDUS could say now, correctly -------------------------------------------------------------------------

    def new_orders(self) -> tuple[Order, ...]:
        return tuple(self.business.order_readings("all", reason="01", scheduled_on="2026-03-27"))

    def order_confirmation(self, code: str = "3", *, bulk: bool = True) -> etree._Element:
        self.business.order_readings("all", reason="09", scheduled_on="2026-03-27", obis=["1-0:1.8.0*255"], bulk=bulk)
        sent = self.sent("reading_order")
        return mdus.confirmation(sent, self.cis.view, codes=dict.fromkeys(sent.items, code))

    def switched(self, code: str = "3", *, together: int = 2) -> etree._Element:
        self.business.order_connections(self.devices, category="1", devices_per_document=together)
        sent = self.sent("connection_order")
        return mdus.confirmation(sent, self.cis.view, codes=dict.fromkeys(sent.items, code))

    def result(self, *, value: str = "1234.56") -> etree._Element:
        return mdus.results((self.orders[0],), value=value)

    def event(self) -> etree._Element:
        self.say(mdus.registered((self.devices[0],)))
        return mdus.events(self.devices[0])

    def failure(self) -> etree._Element:
        return mdus.events(self.devices[0], type_code="1002", category="0009")


def put(path: str, value: str) -> Callable[[etree._Element], None]:
    """This will return a change of the first element at `path`."""

    def change(message: etree._Element) -> None:
        element = message.find(path)
        assert element is not None, path
        assert element.text != value
        element.text = value

    return change


def drop(path: str) -> Callable[[etree._Element], None]:
    """This will return the removal of the first element at `path`."""

    def change(message: etree._Element) -> None:
        element = message.find(path)
        assert element is not None, path
        element.getparent().remove(element)

    return change
