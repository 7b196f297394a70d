"""How a sender writes what the formats leave open, or what it does otherwise than they say."""

from dataclasses import dataclass
from decimal import Decimal

from simulators.fleet.times import Times

#: What a pulse stands for, in the unit of its channel: so little that no value has to be cut.
PULSE = "0.000001"


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner(Times):
    """The zone its times are of, where they stand at their intervals, and whether it counts pulses."""

    at_start: bool = False
    pulses: bool = False

    def value(self, quantity: str | None) -> str:
        """This will print what passed in an interval, empty where that is not known."""
        if quantity is None:
            return ""
        return str(int(Decimal(quantity) / Decimal(PULSE))) if self.pulses else quantity
