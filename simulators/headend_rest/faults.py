"""How this head end may misbehave: of the shared faults those its API can show, and none of its own."""

from simulators.fleet.faults import table

FAULTS = table(
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
