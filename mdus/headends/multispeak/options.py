"""What one head end of kind `multispeak` does differently from another: [head_ends.options] of its row."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from mdus.settings import Section
from mdus.settings.shapes import Zone

#: What a text that no row explains is taken for.
REJECTED_UNKNOWN: Final = "REJECTED_UNKNOWN"

#: A login that is refused, and a head end that takes nothing now: neither says anything of a meter.
LOGIN_REFUSED: Final = "LOGIN_REFUSED"
NOT_NOW: Final = "NOT_NOW"

#: Codes after which it is certain that the meter did not act. Of any other a breaker must be asked for its state.
NOTHING_DONE: Final = frozenset(
    {
        "UNKNOWN_METER",  # the head end has no such meter
        "NOT_PROVISIONED",  # known, but not served
        "NO_BREAKER",
        "BUSY",  # occupied by another order
        "RELAY_STUCK",  # told to move, did not
        "LOAD_SIDE_VOLTAGE",  # not closed, for there is voltage behind it
        "LOW_CREDIT",  # a prepayment meter refuses to connect
        "REFUSED",  # not allowed to be switched
        "NO_DATA",  # nothing stored for the period
        "ALREADY_KNOWN",
        "REGISTER_MISMATCH",
        "EXPIRED",  # given up before it was begun
        "ARMED",  # waits for the button to be pressed
        LOGIN_REFUSED,
        NOT_NOW,
    }
)


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is no regular expression: {error}") from error
    return text


class ErrorRow(Section):
    """A row of `options.errors`: a regular expression, looked for in a text in capitals or not, and its code."""

    pattern: Annotated[str, Field(min_length=1), AfterValidator(_pattern)]
    code: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,39}$")]


class StatusRow(Section):
    """A row of `options.statuses`: the IEC 61968-9 quality of an interval value with a status; empty: nothing to say.

    Where `is_value` is false no value was measured, whatever stands there.
    """

    status: Annotated[str, Field(min_length=1)]
    quality: Annotated[str, Field(pattern=r"^(\d{1,3}\.\d{1,3}\.\d{1,4})?$")] = ""
    is_value: bool = True


class Paths(Section):
    """Where the services of a head end are, behind its `url`: one address for all, or one each."""

    mr: str = ""  # MR_Server: meters and readings
    cd: str = ""  # CD_Server: breakers
    od: str = ""  # OD_Server: outages
    lm: str = ""  # LM_Server: load


class Options(Section):
    """[head_ends.options] of a row with kind = "multispeak".

    - `version`: of MultiSpeak. It decides names and namespace, in both directions.
    - `company`, `app_name`: what the header says of us.
    - `http_basic`: user and password in an HTTP header too, beside the MultiSpeakMsgHeader.
    - `paths`: of the services, behind `url`.
    - `expiration_minutes`: how long the head end may go on with what it accepted. Keep it below
      `switching.command_timeout_minutes`, lest a breaker move after SAP was told that it did not.
    - `expiration_unit`: of expirationTime, which 3.0 does not name. Hours by default: a head end that takes it for
      minutes or seconds gives up at once, which shows; the other way round it would act hours later.
    - `switch_state`: how a breaker's position is read: "initiate" asks the meter (InitiateCDStateRequest), "get" the
      head end's record (GetCDMeterState); "auto" the first where GetMethods lists it.
    - `take_limit_away`: the loadActionCode that takes a demand limit away. 3.0 has none: there it is refused until one
      is named.
    - `provision`: the method that makes a meter known; "changed" where head ends know all meters from the factory.
    - `interval_unit`: of intervalLength.
    - `zone_of_local_times`: of times without an offset, where that is not the row's `time_zone`: head ends that keep
      standard time the whole year.
    - `event_edition`: of IEC 61968-9 that meterEvent codes are of. Codes of the first edition pass only by a table.
    - `errors`, `statuses`: go before the rows of the package.
    """

    version: Literal["3.0", "4.1"] = "3.0"
    company: str = ""
    app_name: str = "MDUS"
    http_basic: bool = False
    paths: Paths = Paths()
    expiration_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = 10.0
    expiration_unit: Literal["hours", "minutes", "seconds"] = "hours"
    switch_state: Literal["auto", "initiate", "get"] = "auto"
    take_limit_away: Annotated[str, Field(min_length=1)] | None = None
    provision: Literal["add", "changed"] = "add"
    interval_unit: Literal["minutes", "seconds", "hours"] = "minutes"
    zone_of_local_times: Zone | None = None
    event_edition: Literal[1, 2] = 1
    errors: tuple[ErrorRow, ...] = ()
    statuses: tuple[StatusRow, ...] = ()


#: errorString is free text. What is in use, most telling first.
ERRORS: Final = tuple(
    ErrorRow(pattern=pattern, code=code)
    for pattern, code in (
        (r"user ?id|password|\bpwd\b|credential|log ?[io]n|not authori[sz]ed|unauthori[sz]ed", LOGIN_REFUSED),
        (r"already|duplicate", "ALREADY_KNOWN"),
        (r"\barmed\b|push.?button|press the button", "ARMED"),
        (r"load.?side voltage", "LOAD_SIDE_VOLTAGE"),
        (r"credit|balance", "LOW_CREDIT"),
        (r"stuck|did not (move|operate|change)|failed to (open|close|operate)", "RELAY_STUCK"),
        (r"no (remote )?(disconnect|breaker|switch|relay|collar|rcd)|not (a )?(disconnect|cd|rcd)", "NO_BREAKER"),
        (r"not (provisioned|registered|commissioned|in service)", "NOT_PROVISIONED"),
        (r"no (data|readings?|intervals?|values)\b", "NO_DATA"),
        (
            r"(unknown|invalid|no such|unrecogni[sz]ed) (meter|device|endpoint)|(meter|device).*not found",
            "UNKNOWN_METER",
        ),
        (r"expired|past (its )?expiration", "EXPIRED"),
        # What is pending or in progress may be this very order, unless another one is said to be.
        (r"busy|occupied|\b(an)?other\b.*(in progress|pending)|previous.*(in progress|pending)", "BUSY"),
        (r"no response|not respond|no answer|time[d]? ?-?out|unreachable|no communication", "NO_RESPONSE"),
        # Only what the head end has too much of: too many retries are of a meter, which may have acted.
        (r"too many (pending |open |outstanding )?(requests?|meters|transactions|connections|calls)\b", NOT_NOW),
        (r"register.*(mismatch|unknown)", "REGISTER_MISMATCH"),
        (r"medical|critical|prohibited|not allowed|refused|denied", "REFUSED"),
        (r"try (again )?later|overload|unavailable|maintenance", NOT_NOW),
    )
)

#: Statuses of interval values: the names that the version's own schema has for what may be wrong with one.
STATUSES: Final = tuple(
    StatusRow(status=status, quality=quality, is_value=is_value)
    for status, quality, is_value in (
        ("partialInterval", "1.4.2", True),
        ("longInterval", "1.4.3", True),
        ("overflow", "1.4.1", True),
        ("testData", "1.4.5", True),
        ("clockForward", "1.4.9", True),
        ("clockBackward", "1.4.9", True),
        ("DSTinEffect", "1.4.16", True),
        ("manuallyEntered", "2.7.0", True),
        ("manuallyModified", "2.7.0", True),
        ("invalid", "2.5.258", True),
        ("estimated", "2.8.0", True),
        ("missing", "2.5.259", False),
        ("powerFailure", "1.2.32", False),
        ("recorderStopped", "1.2.32", False),
    )
)


class Errors:
    """The rows that class error texts of one head end; its own first."""

    def __init__(self, options: Options) -> None:
        self._rows = [(re.compile(row.pattern, re.IGNORECASE), row.code) for row in (*options.errors, *ERRORS)]

    def code(self, text: str) -> str:
        """Return the code of an error text, REJECTED_UNKNOWN where no row explains it."""
        return next((code for pattern, code in self._rows if pattern.search(text)), REJECTED_UNKNOWN)
