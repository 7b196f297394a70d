"""What SAP's confirmation of something we sent says: how it went, and why, in codes that are open tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mdus.contracts.binding import wire, wire_text
from mdus.domain.exception_case import CONFIRMATION_UNMATCHED, ExceptionCase
from mdus.messaging.outcome import Received


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """One line of SAP's log; all its codes are open tokens."""

    type_id: str | None = wire("TypeID")
    severity: str | None = wire("SeverityCode")
    note: str = wire_text("Note")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer(Received):
    """The Log of one confirmed item; a service adds the key of what it confirms."""

    result_code: str | None = wire("Log/BusinessDocumentProcessingResultCode")
    max_severity: str | None = wire("Log/MaximumLogItemSeverityCode")
    remarks: tuple[Remark, ...] = wire("Log/Item")

    @property
    def reason(self) -> str:
        """Return what SAP says for a human to read."""
        return "; ".join(remark.note for remark in self.remarks) or "SAP gave no reason"

    def says_only(self, type_ids: tuple[str, ...]) -> bool:
        """Tell whether SAP gives reasons whose TypeIDs all begin as one of these."""
        reasons = [remark.type_id or "" for remark in self.remarks]
        return bool(reasons and type_ids) and all(reason.startswith(type_ids) for reason in reasons)

    def unmatched(self, what: str, *, now: datetime) -> ExceptionCase:
        """Return the case of an answer to `what` was never sent: there is nothing to tell SAP."""
        return ExceptionCase(
            kind=CONFIRMATION_UNMATCHED,
            case_key=str(self.origin.item_id),
            opened_at=now,
            note=f"{self.origin.sender_system} confirms {what}",
        )
