"""Makes the changed twin of a message: the same UUID, other content, still valid by the schema."""

from datetime import datetime, timedelta

from lxml import etree

from simulators.sap_cis.building import wire_instant

#: Process -> the element whose content is changed, with how; cancellations have none that could differ.
_APPENDED = {
    "device_create": "MaterialID",
    "location": "InstallationPointID",
    "point_of_delivery": "UtilitiesPointOfDeliveryPartyID",
}
_REPLACED = {
    "register_create": ("MeasureUnitCode", {"KWH": "MWH"}, "L"),
    "reading_order": ("MeterReadingReasonCode", {"09": "01"}, "09"),
    "connection_order": ("CategoryCode", {"1": "2"}, "1"),
    "result_confirmation": ("BusinessDocumentProcessingResultCode", {"3": "5"}, "3"),
    "event_confirmation": ("BusinessDocumentProcessingResultCode", {"3": "5"}, "3"),
}


def changed(xml: bytes, process: str) -> bytes:
    """This will return the message created a second later and, where the process has one, with another business value.

    A receiver that looked at the UUID only would take it for a repetition; one without memory would act on it.
    """
    envelope = etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))
    created = envelope.find(".//MessageHeader/CreationDateTime")
    assert created is not None
    assert created.text is not None
    created.text = wire_instant(datetime.fromisoformat(created.text) + timedelta(seconds=1))
    if process in _APPENDED and (leaf := envelope.find(f".//{_APPENDED[process]}")) is not None:
        leaf.text = f"{leaf.text}X"
    elif process in _REPLACED:
        name, values, otherwise = _REPLACED[process]
        if (leaf := envelope.find(f".//{name}")) is not None:
            leaf.text = values.get(leaf.text or "", otherwise)
    return bytes(etree.tostring(envelope, xml_declaration=True, encoding="utf-8"))
