"""SOAP 1.1 envelopes: read, built, and the faults of this head end."""

import xml.etree.ElementTree as ET

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
Element = ET.Element

ET.register_namespace("soap", ENVELOPE)


class Fault(Exception):
    """A request that is answered by a fault: its code stands in the detail."""

    def __init__(self, code: str, text: str, *, of_sender: bool = False) -> None:
        super().__init__(text)
        self.code = code
        self.of_sender = of_sender

    def body(self) -> bytes:
        """This will print the envelope with the fault."""
        fault = Element(f"{{{ENVELOPE}}}Fault")
        ET.SubElement(fault, "faultcode").text = "soap:Client" if self.of_sender else "soap:Server"
        ET.SubElement(fault, "faultstring").text = str(self)
        detail = ET.SubElement(ET.SubElement(fault, "detail"), "Fault")
        ET.SubElement(detail, "Code").text = self.code
        return envelope(fault)


def local(element: Element) -> str:
    """This will return the name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def namespace(element: Element) -> str:
    """This will return the namespace of an element."""
    return element.tag[1:].partition("}")[0] if element.tag.startswith("{") else ""


def read(content: bytes) -> tuple[str | None, Element]:
    """This will return the session that an envelope names in its header, and the message in its body."""
    try:
        root = ET.fromstring(content)
    except ET.ParseError as error:
        raise Fault("NotXml", f"not well-formed: {error}", of_sender=True) from error
    body = root.find(f"{{{ENVELOPE}}}Body")
    if root.tag != f"{{{ENVELOPE}}}Envelope" or body is None or len(body) != 1:
        raise Fault("NotAnEnvelope", "a SOAP 1.1 envelope with one message is expected", of_sender=True)
    session = next((each.text for each in root.iter() if local(each) == "SessionToken"), None)
    return session, body[0]


def envelope(message: Element) -> bytes:
    """This will print a message in an envelope."""
    root = Element(f"{{{ENVELOPE}}}Envelope")
    ET.SubElement(root, f"{{{ENVELOPE}}}Body").append(message)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


class Message:
    """This will build a message whose elements are all in one namespace."""

    def __init__(self, namespace: str, name: str) -> None:
        self._prefix = f"{{{namespace}}}" if namespace else ""
        self.root = Element(f"{self._prefix}{name}")

    def add(self, name: str, text: str | None = None, *, to: Element | None = None) -> Element:
        """This will add an element to another one, or to the root."""
        element = ET.SubElement(self.root if to is None else to, f"{self._prefix}{name}")
        element.text = text
        return element


def texts(parent: Element, name: str) -> list[str]:
    """This will return the texts of all elements of a name below another."""
    return [(each.text or "").strip() for each in parent.iter() if local(each) == name]


def text(parent: Element, name: str) -> str:
    """This will return the text of a child that must be there; Fault where it is not."""
    found = [(each.text or "").strip() for each in parent if local(each) == name]
    if not found or not found[0]:
        raise Fault("ElementMissing", f"{name} is missing in {local(parent)}", of_sender=True)
    return found[0]


def child(parent: Element, name: str) -> Element:
    """This will return a child that must be there; Fault where it is not."""
    for each in parent:
        if local(each) == name:
            return each
    raise Fault("ElementMissing", f"{name} is missing in {local(parent)}", of_sender=True)
