"""How this head end may misbehave: of the shared faults those it can show, and its own."""

from simulators.fleet.faults import ANY_KIND, Answer, Fault, table

#: Places of faults that only this head end has.
LOGIN, SESSION, STATUS, ANNOUNCEMENT, TELLING, VOLTAGE = (
    "login",
    "session",
    "status callback",
    "arrival of data",
    "telling of subscribers",
    "detection of voltage",
)

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
    "login_refused_once",
    "maintenance_window",
    "max_pending",
    "per_meter_reject",
    "split_callbacks",
    "callback_unknown_token",
    "callback_empty_correlation",
    "no_response_is_no_outage",
    "meter_clock_drift",
    "stamp_of_1970",
    "relay_stuck_but_acknowledged",
    "arm_only_meter",
    "load_side_voltage_blocks_close",
    "disconnect_refused",
    own=(
        Fault(
            name="soap_fault",
            description="A request is answered by a fault of the server; nothing was done.",
            kinds=ANY_KIND,
            answer=Answer.LOST,
        ),
        Fault(
            name="html_error_page",
            description="A request is answered 500 with a page of HTML; nothing was done.",
            kinds=ANY_KIND,
            answer=Answer.LOST,
        ),
        Fault(
            name="empty_200",
            description="A request is carried out, but answered 200 with an empty body.",
            kinds=ANY_KIND,
            answer=Answer.DONE,
        ),
        Fault(
            name="session_expires",
            description="The session is over in the middle of work: the call is refused, nothing was done.",
            kinds=(SESSION,),
        ),
        Fault(
            name="login_rate_limited",
            description="A login is refused because there were too many.",
            kinds=(LOGIN,),
        ),
        Fault(
            name="status_callback_lost",
            description="That a request has results is not told; it has to be asked for.",
            kinds=(STATUS,),
        ),
        Fault(
            name="data_announced_twice",
            description="That data has arrived is told twice.",
            kinds=(ANNOUNCEMENT,),
        ),
        Fault(
            name="subscription_lost",
            description="A subscription is forgotten: what is told by itself goes nowhere until it is made again.",
            kinds=(TELLING,),
        ),
        Fault(
            name="voltage_behind_the_breaker",
            description="Voltage is found behind an open breaker when it is looked for.",
            kinds=(VOLTAGE,),
        ),
    ),
)
