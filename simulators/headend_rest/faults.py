"""How this head end may misbehave: its API can show all shared faults, and it has none of its own."""

from simulators.fleet.faults import SHARED, table

FAULTS = table(*SHARED)
