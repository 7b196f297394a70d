"""How this head end may misbehave: all shared faults, for MultiSpeak can show each of them, and its own."""

from dataclasses import replace

from simulators.fleet.faults import SHARED, Answer, Fault, table

#: Kinds whose results are called back; the others are answered at once, and have no callback to spoil.
CALLED_BACK = ("read_on_demand", "switch", "switch_state", "ping", "limit_demand")

#: The place of a fault that spoils the form of a callback.
CALLBACK = "callback"

#: The place of a fault that spoils what is told of a breaker that failed to move.
FAILED_SWITCH = "failed switch"

_OF_CALLBACKS = (
    "callback_before_acknowledgement",
    "duplicate_callback",
    "accepts_then_silence",
    "split_callbacks",
    "duplicate_callback_other_value",
    "callback_unknown_token",
    "callback_empty_correlation",
    "wrong_meter_in_callback",
    "late_result",
    "html_error_page_after_acceptance",
    "empty_200",
)

_OWN = (
    Fault(
        # Of breakers this is ambiguous_submit.
        name="sync_timeout_after_acceptance",
        description="A submit that moves no breaker is carried out, but the connection ends without an answer.",
        kinds=tuple(kind for kind in CALLED_BACK if kind != "switch"),
        answer=Answer.DONE,
    ),
    Fault(
        name="children_out_of_order",
        description="A callback has the children of all its elements in reverse order.",
        kinds=(CALLBACK,),
    ),
    Fault(
        name="position_ordered_beside_error",
        description="A breaker that failed to move is told with its error, and as standing where it was ordered to.",
        kinds=(FAILED_SWITCH,),
    ),
)

FAULTS = {
    name: replace(fault, kinds=tuple(kind for kind in fault.kinds if kind in (*CALLED_BACK, "connect", "disconnect")))
    if name in _OF_CALLBACKS
    else fault
    for name, fault in table(*SHARED, own=_OWN).items()
}
