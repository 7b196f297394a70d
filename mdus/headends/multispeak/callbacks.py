"""How a head end calls us: what a callback says of itself before it is read, and what it is answered."""

from __future__ import annotations

import re
from typing import Final

from mdus.domain.head_end import Answer, Callbacks
from mdus.headends.multispeak import soap
from mdus.headends.multispeak.soap import NAMESPACES, Node
from mdus.headends.multispeak.wsdl import METHODS, description

#: The topic of callbacks: responseURL is the head end's callback address with this behind it.
TOPIC: Final = "soap"

_MEDIA_TYPE: Final = "text/xml; charset=utf-8"
_TRANSACTION: Final = re.compile(rb"<(?:[\w.-]+:)?transactionID(?:\s[^>]*)?>\s*([^<>&]{1,100}?)\s*</")


def correlation(body: bytes) -> str:
    """Return the transactionID a callback names, empty where it names none."""
    found = _TRANSACTION.search(body)
    return found.group(1).decode("ascii", "replace") if found else ""


def credentials(body: bytes) -> tuple[str, str] | None:
    """Return UserID and Pwd of a callback's header, None where it has none."""
    try:
        header, _, _ = soap.beginning(body)
    except ValueError:
        return None
    user = header.get("UserID")
    return None if user is None else (user, header.get("Pwd", ""))


def answer(topic: str, body: bytes) -> Answer:
    """Return the answer to a callback that is stored: an empty list of errors, in the version it came in."""
    del topic
    try:
        _, namespace, name = soap.beginning(body)
    except ValueError as error:
        return _fault(500, str(error), is_theirs=True)
    version = next((one for one, known in NAMESPACES.items() if known == namespace), None)
    if version is None:
        return _fault(500, f"{namespace or 'no namespace'} is none of MultiSpeak 3.0 and 4.1", is_theirs=True)
    message = Node(f"{name}Response", children=_result(name, version))
    content = soap.envelope(message, version=version, header=header_of(version))
    return Answer(status=200, media_type=_MEDIA_TYPE, content=content)


def refuse(topic: str, reason: str) -> Answer:
    """Return the fault that a sender is answered who is not let in."""
    del topic
    return _fault(401, reason, is_theirs=True)


def wsdl(topic: str, address: str) -> bytes | None:
    """Return the description of callbacks in both versions, at an address; None of any other topic."""
    if topic != TOPIC:
        return None
    return description(address)


def header_of(version: str) -> dict[str, str]:
    """Return what a header says of us whatever the call is; 4.1 requires a BuildString."""
    if version == "3.0":
        return {"Version": "3.0", "AppName": "MDUS"}
    return {"MajorVersion": "4", "MinorVersion": "1", "BuildString": "Release", "AppName": "MDUS"}


def _result(name: str, version: str) -> tuple[Node, ...]:
    """Return what stands in a response: 3.0 answers a change of a breaker with nothing."""
    if name == "CDStateChangedNotification" and version == "3.0":
        return ()
    if name == "GetMethods":
        return (Node("GetMethodsResult", children=[Node("string", method) for method in METHODS[version]]),)
    return (Node(f"{name}Result"),)


def _fault(status: int, reason: str, *, is_theirs: bool) -> Answer:
    return Answer(status=status, media_type=_MEDIA_TYPE, content=soap.fault(reason, is_theirs=is_theirs))


CALLBACKS: Final = Callbacks(
    correlation=correlation,
    credentials=credentials,
    stored=soap.without_passwords,
    answer=answer,
    refuse=refuse,
    wsdl=wsdl,
)
