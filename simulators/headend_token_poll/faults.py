"""How this head end may misbehave: it can show all shared faults, and has some of its own.

Those of callbacks are of results that are fetched, too: `results` says which fetch is spoiled, and how.
"""

from simulators.fleet.faults import SHARED, Fault, table

#: Places of faults that only this head end has.
LOGIN, SESSION, STATUS, ANNOUNCEMENT, TELLING, DETECTION, VOLTAGE = (
    "login",
    "session",
    "status callback",
    "arrival of data",
    "telling of subscribers",
    "request of a detection",
    "detection of voltage",
)

FAULTS = table(
    *SHARED,
    own=(
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
            description="Voltage is found behind an open breaker when it is looked for: somebody feeds in.",
            kinds=(VOLTAGE,),
        ),
        Fault(
            name="detection_told_to_subscribers",
            description="What was found of the voltage behind breakers is told to the subscribers of data too.",
            kinds=(DETECTION,),
        ),
    ),
)
