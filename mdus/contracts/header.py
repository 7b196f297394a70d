"""The header every message but the synchronous query starts with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mdus.contracts.shape import wire


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageHeader:
    """Who sends a message, when, and what it answers (`BusinessDocumentMessageHeader`; parties are not read).

    SAP sends UUID, CreationDateTime and SenderBusinessSystemID, and no ID. Identifiers are kept as sent.
    """

    id: str | None = wire("ID")
    uuid: str | None = wire("UUID")
    reference_id: str | None = wire("ReferenceID")
    reference_uuid: str | None = wire("ReferenceUUID")
    created_at: datetime = wire("CreationDateTime")
    test_data: bool | None = wire("TestDataIndicator")
    reconciliation: bool | None = wire("ReconciliationIndicator")
    sender_system: str | None = wire("SenderBusinessSystemID")
    recipient_system: str | None = wire("RecipientBusinessSystemID")

    @property
    def key(self) -> str | None:
        """Return what makes the message unique for its sender: the lower-case UUID, else the ID, else None."""
        return self.uuid.lower() if self.uuid else self.id

    @property
    def reference_key(self) -> str | None:
        """Return the key of the message this one answers, formed as `key` is, or None."""
        return self.reference_uuid.lower() if self.reference_uuid else self.reference_id
