"""What the tester says of a cell: passed, failed with what was expected and came, not triggered, not applicable."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from simulators.conformance.contract import Kind, Row
from simulators.conformance.ledger import Posting, Received


class Variant(StrEnum):
    """The columns of the matrix: what a message is put through."""

    OK = "ok"
    BUSINESS_ERROR = "business error"
    DUPLICATE = "duplicate"
    CHANGED_DUPLICATE = "changed duplicate"
    MALFORMED = "malformed"
    REORDERED = "reordered"


class State(StrEnum):
    """How a cell ended, worst last."""

    NOT_APPLICABLE = "n/a"
    PASSED = "passed"
    NOT_TRIGGERED = "not triggered"
    FAILED = "failed"


_WORST = list(State)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is not as the contract says."""

    expected: str
    came: str


@dataclass(slots=True, kw_only=True)
class Verdict:
    """One cell. `reason` explains a cell that is neither passed nor failed; the exchange is what passed on the wire."""

    state: State
    findings: list[Finding] = field(default_factory=list)
    reason: str = ""
    postings: list[Posting] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)

    def merged(self, other: "Verdict") -> "Verdict":
        """This will return the verdict of a cell that two scenes have tried: the worse state, all findings."""
        worse = max(self, other, key=lambda verdict: _WORST.index(verdict.state))
        return Verdict(
            state=worse.state,
            findings=[*self.findings, *other.findings],
            reason=worse.reason,
            postings=[*self.postings, *other.postings],
            received=[*self.received, *other.received],
        )


def verdict(
    findings: Iterable[Finding],
    *,
    postings: Iterable[Posting] = (),
    received: Iterable[Received] = (),
    untriggered: str = "",
) -> Verdict:
    """This will return the verdict from what was found; `untriggered` says why nothing found is no pass."""
    found = list(findings)
    state = State.FAILED if found else State.NOT_TRIGGERED if untriggered else State.PASSED
    return Verdict(
        state=state,
        findings=found,
        reason="" if found else untriggered,
        postings=list(postings),
        received=list(received),
    )


def not_applicable(row: Row, variant: Variant) -> str | None:
    """This will return why a cell does not exist in the contract, None when it does."""
    if row.is_fault:
        return None if variant is Variant.MALFORMED else "a fault answers only a query that cannot be read"
    if row.service.kind is Kind.QUERIED:
        return _QUERIED.get(variant) or (_NO_RESPONSE if row.answers and variant is Variant.MALFORMED else None)
    if row.service.kind is Kind.NOTIFIED and variant is Variant.BUSINESS_ERROR:
        return "nothing answers a notification"
    if not row.sent_by_sap and row.service.kind in (Kind.NOTIFIED, Kind.STARTED):
        if variant is Variant.CHANGED_DUPLICATE:
            return "the tested MDUS is the sender: what it sends again is judged as duplicate"
        if variant is Variant.REORDERED and row.service.name in ("event", "time_series_create"):
            return "nothing of SAP's must have come before it that SAP could see"
    if row.service.name == "device_create" and variant is Variant.REORDERED:
        return "no message comes before a device's first"
    return None


_QUERIED = {
    Variant.CHANGED_DUPLICATE: "a query has no header, so no key that could come twice",
    Variant.REORDERED: "asked and answered in one call",
}
_NO_RESPONSE = "a fault answers a query that cannot be read: its own row"
