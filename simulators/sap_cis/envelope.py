"""Finds the message inside a SOAP envelope, without trusting it: no entities, no network."""

from lxml import etree

from simulators.sap_cis.contract import ENVELOPE


def envelope_message(body: bytes) -> etree._Element:
    """This will return the one message in a SOAP 1.1 envelope; ValueError says why there is none."""
    try:
        envelope = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    except etree.XMLSyntaxError as error:
        raise ValueError(str(error)) from error
    inside = envelope.find(f"{{{ENVELOPE}}}Body") if envelope.tag == f"{{{ENVELOPE}}}Envelope" else None
    messages = [] if inside is None else list(inside.iterchildren(tag=etree.Element))
    if len(messages) != 1:
        raise ValueError(f"{len(messages)} messages in a SOAP 1.1 Body")
    return messages[0]
