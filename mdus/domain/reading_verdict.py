"""What validation, or a person, holds of one register reading."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from mdus.domain.reading import MeterReading
from mdus.domain.value import Value


class Judgement(StrEnum):
    """Whether a reading may answer an order."""

    VALID = "valid"
    SUSPECT = "suspect"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingVerdict(Value):
    """The verdict on the reading with the same key; the reading itself stays as it came.

    `rule_set` is the name and version of the set that judged it last, `basis` what its rules found as JSON (None:
    nothing). A person's verdict (`judged_by`, `reason`) stands whatever rules find; what they found is kept.
    """

    KEY: ClassVar[tuple[str, ...]] = MeterReading.KEY

    sender_system: str
    device_id: str
    reading_type: str
    measured_at: datetime
    value: Decimal
    judgement: Judgement
    rule_set: str | None = None
    basis: str | None = None
    judged_at: datetime
    judged_by: str | None = None
    reason: str | None = None

    @property
    def is_suspect(self) -> bool:
        """Tell whether the reading may answer no order."""
        return self.judgement is Judgement.SUSPECT

    def stands(self, rule_set: str) -> bool:
        """Tell whether the reading need not be judged again by a rule set (its name and version).

        What was held suspect is: the reading before, or what is known of the meter, may have changed since.
        """
        return self.judged_by is not None or (self.rule_set == rule_set and not self.is_suspect)

    def says(self) -> str:
        """Return the verdict in words: who holds what of it, and why."""
        if self.judged_by is not None:
            return f"{self.judgement} by {self.judged_by}: {self.reason}"
        found = words(self.basis)
        return f"{self.judgement} by {self.rule_set}" + (f": {found}" if found else "")

    def by(self, who: str, judgement: Judgement, *, reason: str, now: datetime) -> ReadingVerdict:
        """Return the verdict as a person changes it."""
        return replace(self, judgement=judgement, judged_at=now, judged_by=who, reason=reason)


def verdict_on(
    reading: MeterReading,
    judgement: Judgement,
    *,
    rule_set: str | None = None,
    basis: str | None = None,
    judged_at: datetime,
) -> ReadingVerdict:
    """Return a verdict on a reading."""
    return ReadingVerdict(
        sender_system=reading.sender_system,
        device_id=reading.device_id,
        reading_type=reading.reading_type,
        measured_at=reading.measured_at,
        value=reading.value,
        judgement=judgement,
        rule_set=rule_set,
        basis=basis,
        judged_at=judged_at,
    )


def words(basis: str | None) -> str:
    """Return what rules found, in words."""
    found = json.loads(basis).get("found", ()) if basis else ()
    return "; ".join(f"{each['rule']}: {each['says']}" for each in found)
