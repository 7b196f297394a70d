"""Posts a captured message to an MDUS, as SAP would: for trying out, and for replaying what a customer sent us."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from lxml import etree

from mdus.contracts.envelope import BODY
from mdus.settings.authorities import trusting

_ENVELOPE = etree.QName(BODY.rpartition("}")[0][1:], "Envelope")
_HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"http://sap.com/xi/WebService/soap1.1"'}
_TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back: `text` is the fault's reason, or the beginning of whatever it was."""

    status: int
    text: str

    @property
    def accepted(self) -> bool:
        """Tell whether the message is durable there."""
        return 200 <= self.status < 300


class CannotPost(Exception):
    """Nothing was posted; `mend` says what to do."""

    def __init__(self, what: str, *, mend: str) -> None:
        super().__init__(what)
        self.mend = mend


def post_captured(body: bytes, *, url: str, user: str | None, password: str | None) -> Answer:
    """Post a SOAP envelope as it is, or a message alone in an envelope; raises CannotPost."""
    auth = None if user is None else httpx.BasicAuth(user, password or "")
    try:
        answer = httpx.post(
            url,
            content=in_envelope(body),
            headers=_HEADERS,
            auth=auth,
            timeout=_TIMEOUT_SECONDS,
            verify=trusting(None),
        )
    except httpx.InvalidURL as error:
        raise CannotPost(f"{url} is no URL: {error}", mend="give --url as http://host:port/sap") from error
    except httpx.HTTPError as error:
        raise CannotPost(f"no answer: {error!r}", mend="start MDUS there, or correct --url") from error
    return Answer(status=answer.status_code, text=_reason(answer.content))


def in_envelope(body: bytes) -> bytes:
    """Return the bytes unchanged if they are a SOAP envelope or no XML at all, else the element in an envelope."""
    try:
        root = etree.fromstring(body, _parser())
    except etree.XMLSyntaxError:
        return body  # let the other side say what is wrong with it
    if root.tag == _ENVELOPE.text:
        return body
    envelope = etree.Element(_ENVELOPE, nsmap={"soapenv": _ENVELOPE.namespace or ""})
    etree.SubElement(envelope, BODY).append(root)
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


def _reason(content: bytes) -> str:
    try:
        root = etree.fromstring(content, _parser())
    except etree.XMLSyntaxError:
        return content[:1000].decode("utf-8", "replace").strip()
    parts = [root.findtext(f".//{name}") for name in ("faultcode", "faultstring")]
    detail = root.find(".//detail")
    if detail is not None:
        parts += [_text(element) for element in detail.iter()]
    said = [part.strip() for part in parts if part and part.strip()]
    return "\n".join(said) if said else content[:1000].decode("utf-8", "replace").strip()


def _text(element: etree._Element) -> str:
    return element.text or ""


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
