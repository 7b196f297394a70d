"""The faults of the head end that the landscape plays: those that befall its business, and that its report explains.

The others make values wrong or late beyond its three days, or need concentrators; every head end's own tests play them.
"""

from simulators.fleet.faults import Fault
from simulators.headend_rest.faults import FAULTS

FIELD_FAULTS: dict[str, Fault] = {
    name: FAULTS[name]
    for name in (
        "never_answers",
        "ambiguous_submit",
        "callback_before_acknowledgement",
        "duplicate_callback",
        "overloaded",
        "accepts_then_silence",
        "stuck_relay",
        "late_result",
        "intervals_late",
        "interval_gap",
        "interval_revised",
        "duplicate_block",
        "event_storm",
        "duplicate_event",
    )
}
