"""Looks for the voltage behind breakers: a request like any other, whose result moves nothing.

It is found by the caller's reference, and told at the addresses it came with, as all requests are.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

from simulators.headend_token_poll import soap
from simulators.headend_token_poll.contract import WORDS, meter_id

#: The topic under which one is told.
DETECTED = "detected"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What was found behind the breaker of one meter: voltage or none, or why nothing was."""

    serial: str
    voltage: str = ""
    code: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """One look: who asked, where it is told (empty: nowhere), and what was found."""

    token: str
    reference: str
    status_address: str
    data_address: str
    to_subscribers: bool
    findings: tuple[Finding, ...]

    @property
    def is_told(self) -> bool:
        """Whether anybody is told of it."""
        return bool(self.status_address or self.data_address or self.to_subscribers)

    def record(self) -> dict[str, Any]:
        """This will give the detection as the journal keeps it."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Detection":
        """This will read what `record` gave."""
        known = {each.name: record[each.name] for each in fields(cls)}
        return cls(**known | {"findings": tuple(Finding(**each) for each in record["findings"])})

    def add_to(self, message: soap.Message) -> None:
        """This will add what was found to a message."""
        endpoints = message.add("Endpoints")
        for each in self.findings:
            endpoint = message.add("Endpoint", to=endpoints)
            message.add("ElectronicSerialNumber", meter_id(each.serial), to=endpoint)
            message.add("Outcome", "Failure" if each.code else "Success", to=endpoint)
            if each.code:
                message.add("Code", WORDS[each.code], to=endpoint)
            else:
                message.add("LoadSideVoltage", each.voltage, to=endpoint)
