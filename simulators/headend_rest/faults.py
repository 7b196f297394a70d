"""How this head end may misbehave: its API can show all shared faults but those of SOAP, and it has none of its own."""

from simulators.fleet.faults import SHARED, table

FAULTS = table(*(name for name in SHARED if name != "soap_fault"))
