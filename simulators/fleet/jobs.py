"""Orders to meters, whatever protocol they came by: a submission, the job made of it, its device orders and results."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from simulators.clock import instant, stamp

#: What a meter can be asked to do, with the members of a device order's `wish`.
KINDS = (
    "provision",  # device_id, commodity, registers: [{obis, unit, digits, decimals, factor}]
    "read_registers",  # period: {from, to}
    "read_intervals",  # period: {from, to}
    "read_on_demand",
    "switch",  # state: connected or disconnected
    "switch_state",
    "ping",
    "limit_demand",  # limit_kw: decimal text, or None: the limit is taken away
    "control_load",  # event, action: schedule or cancel, start: instant, minutes, percent: of the load left, 0 to 100
    "set_time",
    "show_text",  # text
)

#: Kinds that only electricity meters know.
OF_ELECTRICITY = ("limit_demand", "control_load")

#: Kinds that need a breaker.
OF_BREAKERS = ("switch", "switch_state")

#: Why a device order was rejected or failed.
TEXTS = {
    "UNKNOWN_METER": "no meter with this serial number",
    "NOT_PROVISIONED": "the meter was never provisioned",
    "REGISTER_MISMATCH": "the meter does not have such a register",
    "NO_BREAKER": "the meter has no breaker",
    "NOT_SUPPORTED": "the meter cannot do this",
    "BUSY": "the meter is occupied by another job",
    "NO_RESPONSE": "the meter did not answer",
    "RELAY_STUCK": "the breaker did not move",
    "LOW_CREDIT": "no credit to connect with",
    "ARMED": "the meter is armed: the customer must press its button",
    "LOAD_SIDE_VOLTAGE": "voltage on the load side, the breaker was not closed",
    "DISCONNECT_REFUSED": "disconnection is locked: medical equipment",
    "NO_DATA": "nothing is stored for the period",
    "EXPIRED": "expired before it was begun",
}


@dataclass(kw_only=True, slots=True)
class Order:
    """One device order: what was asked of one meter, what shall go wrong with it, and what became of it."""

    serial: str
    reference: str
    wish: dict[str, Any]  # the members of its kind, as submitted
    outcome: str | None = None  # a code, or a way to misbehave, see `field.OUTCOMES`; None where all goes well
    due: datetime | None = None  # when it is carried out; None: never
    result: dict[str, Any] | None = None
    told_at: datetime | None = None  # when its result may be told, if that is later

    def record(self) -> list[Any]:
        """This will print what was decided on taking it, as the journal keeps it."""
        due = None if self.due is None else stamp(self.due)
        return [self.serial, self.reference, self.wish, self.outcome, due]

    @classmethod
    def from_record(cls, record: list[Any]) -> "Order":
        """This will read what `record` printed."""
        serial, reference, wish, outcome, due = record
        due_at = None if due is None else instant(due)
        return cls(serial=serial, reference=reference, wish=wish, outcome=outcome, due=due_at)


@dataclass(kw_only=True, slots=True)
class Job:
    """One accepted submit."""

    token: str
    correlation_id: str
    kind: str
    callback_url: str  # where its results are told, in words of the face; empty: nowhere
    submitted_at: datetime
    expires_at: datetime | None
    orders: dict[str, Order]  # by reference
    rejected: list[dict[str, Any]] = field(default_factory=list)
    callback_fault: str | None = None  # what goes wrong with the next telling of its results

    def told(self, now: datetime) -> list[dict[str, Any]]:
        """This will list the results the head end tells by now."""
        return [
            order.result
            for order in self.orders.values()
            if order.result is not None and (order.told_at is None or order.told_at <= now)
        ]

    def is_done(self, now: datetime) -> bool:
        """This will tell whether every device order has its result by now."""
        return len(self.told(now)) == len(self.orders)

    def resource(self, now: datetime) -> dict[str, Any]:
        """This will print the job with its results so far."""
        return {
            "token": self.token,
            "correlation_id": self.correlation_id,
            "kind": self.kind,
            "state": "done" if self.is_done(now) else "running",
            "submitted_at": stamp(self.submitted_at),
            "expires_at": None if self.expires_at is None else stamp(self.expires_at),
            "accepted": len(self.orders),
            "rejected": self.rejected,
            "results": self.told(now),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """What a client submits, as a face has read it: device orders of one kind, with references unique among them.

    What is not `is_asked` the utility has set up by itself: what goes wrong with orders does not befall it.
    """

    correlation_id: str
    kind: str
    orders: list[Order]
    callback_url: str | None = None  # None: the one the head end was started with
    expires_at: datetime | None = None
    is_asked: bool = True


def rejection(order: Order, code: str) -> dict[str, Any]:
    """This will print a device order refused at once."""
    return {"serial": order.serial, "reference": order.reference, "code": code, "text": TEXTS[code]}
