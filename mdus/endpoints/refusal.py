"""Why a SOAP request is refused: one reason each, with the HTTP status that says it best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """The reasons, as metrics and logs name them."""

    NOT_AUTHENTICATED = "not_authenticated"  # no or wrong user and password
    UNKNOWN_INTERFACE = "unknown_interface"  # the URL names no interface of the contract
    CONTENT_TYPE = "content_type"  # not text/xml, or an encoding we do not read
    TOO_LARGE = "too_large"  # above the limit, as sent or decompressed
    COMPRESSION = "compression"  # the body is not the gzip it says it is
    MALFORMED_XML = "malformed_xml"
    DTD = "dtd"
    NOT_AN_ENVELOPE = "not_an_envelope"
    SOAP_VERSION = "soap_version"
    EMPTY_BODY = "empty_body"
    SEVERAL_MESSAGES = "several_messages"
    UNKNOWN_ROOT = "unknown_root"  # no message of the contract
    WRONG_DIRECTION = "wrong_direction"  # a message that MDUS sends
    OTHER_INTERFACE = "other_interface"  # a message of the contract, posted to the address of another
    UNSUPPORTED_SERVICE = "unsupported_service"  # in the contract, not carried out yet
    CONTRACT = "contract"  # breaks the schema
    SENDER_SYSTEM = "sender_system"  # the user may not speak for this system
    NO_KEY = "no_key"  # neither UUID nor ID
    CHANGED_DUPLICATE = "changed_duplicate"  # a known key with other content
    STORAGE = "storage"  # the database could not take it: ours, and worth another try


#: Where HTTP says it better than 500, which SOAP 1.1 asks for.
_STATUS: Final[Mapping[Reason, int]] = {
    Reason.NOT_AUTHENTICATED: 401,
    Reason.UNKNOWN_INTERFACE: 404,
    Reason.TOO_LARGE: 413,
    Reason.CONTENT_TYPE: 415,
    Reason.COMPRESSION: 400,
    Reason.STORAGE: 503,
}


class Refused(Exception):
    """The request is not taken: a SOAP fault tells the sender why, in one sentence and up to 20 places."""

    def __init__(self, reason: Reason, text: str, *, details: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.details = tuple(details)

    @property
    def status(self) -> int:
        """Return the HTTP status of the answer."""
        return _STATUS.get(self.reason, 500)

    @property
    def is_readable(self) -> bool:
        """Tell whether a message came that a visible copy is kept of."""
        return self.reason not in _STATUS

    @property
    def code(self) -> str:
        """Return the SOAP fault code: whose mistake it is."""
        return "Server" if self.reason is Reason.STORAGE else "Client"

    @property
    def told(self) -> str:
        """Return all that the fault says, as the stored copy shows it."""
        return "\n".join((self.text, *self.details))
