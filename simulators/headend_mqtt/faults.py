"""How concentrators may misbehave: of the shared faults those that can be seen through a broker, and their own."""

from simulators.fleet.faults import Fault, table

#: Where faults of their own fire: a response is published, anything is told, a birth message is due.
RESPONSE = "response"
TELLING = "telling"
BIRTH = "birth"

FAULTS = table(
    "accepts_then_silence",
    "duplicate_callback",
    "duplicate_callback_other_value",
    "wrong_meter_in_callback",
    "stuck_relay",
    "late_result",
    "intervals_late",
    "interval_gap",
    "interval_revised",
    "duplicate_block",
    "event_storm",
    "duplicate_event",
    "per_meter_reject",
    "no_response_is_no_outage",
    "meter_clock_drift",
    "stamp_of_1970",
    "relay_stuck_but_acknowledged",
    "arm_only_meter",
    "load_side_voltage_blocks_close",
    "disconnect_refused",
    own=(
        Fault(
            name="message_without_cid",
            description="A response names no command; what it has read is good.",
            kinds=(RESPONSE,),
        ),
        Fault(
            name="response_to_unknown_cid",
            description="Before its response a concentrator answers a command that nobody gave.",
            kinds=(RESPONSE,),
        ),
        Fault(
            name="retained_old_response",
            description="A response is retained: whoever subscribes later gets it again.",
            kinds=(RESPONSE,),
        ),
        Fault(
            name="duplicate_message",
            description="A message is published twice.",
            kinds=(TELLING,),
        ),
        Fault(
            name="concentrator_offline_then_backlog",
            description="A concentrator loses its connection, and tells ten minutes later what it has kept.",
            kinds=(TELLING,),
        ),
        Fault(
            name="broker_restarted",
            description="The broker ends and starts again; all have to connect anew.",
            kinds=(TELLING,),
        ),
        Fault(
            name="birth_lost",
            description="A birth message is not published; it comes with the next repetition, five minutes later.",
            kinds=(BIRTH,),
        ),
    ),
)
