"""How concentrators may misbehave: the shared faults that can be seen through a broker, and those only they know."""

from simulators.fleet.faults import SHARED, Fault, table

#: Where faults of their own fire: a response is published, one with several values, anything is told, a birth message
#: is due.
RESPONSE = "response"
VALUES = "response with values"
TELLING = "telling"
BIRTH = "birth"

#: A command is published: the broker acknowledges it to the client, and whatever a concentrator does spoils nothing of
#: that. One that takes no command says BUSY of each by itself, which is `per_meter_reject`.
_OF_ANSWERS = {
    "never_answers",
    "ambiguous_submit",
    "callback_before_acknowledgement",
    "overloaded",
    "login_refused_once",
    "maintenance_window",
    "max_pending",
    "html_error_page",
    "html_error_page_after_acceptance",
    "empty_200",
    "soap_fault",
}

#: Each command has a response of its own, under its own id: what these do to the results of a job is done to that by
#: faults of our own.
_OF_JOBS = {
    "split_callbacks",  # response_in_parts
    "callback_unknown_token",  # response_to_unknown_cid
    "callback_empty_correlation",  # message_without_cid
}

FAULTS = table(
    *(name for name in SHARED if name not in _OF_ANSWERS | _OF_JOBS),
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
            name="response_in_parts",
            description="The values of a response come in two messages; only the second is final.",
            kinds=(VALUES,),
        ),
        Fault(
            name="duplicate_message",
            description="A message is published twice.",
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

#: Each of these makes one message that names no command there is.
STRAYS = frozenset({"message_without_cid", "response_to_unknown_cid"})
