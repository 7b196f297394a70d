"""Why values of a channel's day are what they are, and what staff do to them."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from datetime import date
from decimal import Decimal
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Header, HTTPException, Query
from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field

from mdus.domain.access import Caller, Role
from mdus.endpoints.interval_edits import Action, NoSuchChannel, Order, OtherVersion, Outcome, carry_out, channel_of
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.mending import Reason
from mdus.endpoints.rest.paging import YEARS, Day
from mdus.endpoints.rest.problems import Problem, described
from mdus.endpoints.rest.sent import Sent, instant, whole_number
from mdus.endpoints.rest.shapes import Shown
from mdus.endpoints.runtime import Runtime
from mdus.storage.audit import Deed
from mdus.storage.interval_history import known_of
from mdus.vee.editing import EditRefused
from mdus.vee.explanation import DayVersion, Explanation, IntervalRun, explained

_MOST: Final = 200
_MOST_VALUES: Final = 1500

Text = Annotated[str, Field(strict=True, pattern=r"^[!-~]{1,60}$")]
Quantity = Annotated[str, Field(strict=True, pattern=r"^-?[0-9]{1,18}(\.[0-9]{1,18})?$")]
Seen = Annotated[
    str,
    Header(
        alias="If-Match",
        pattern=r'^("[0-9]{1,9}")?$',
        description='The version of the day that was seen, such as "3"; of one item only. Another is answered 412.',
    ),
]


class EditItem(Sent):
    """What is to be done to a channel's day, or to the intervals from one instant to before another.

    With `set` there is a value per interval, null leaves one as it is. `version` is the version of the day that was
    seen: another one is not edited.
    """

    model_config = ConfigDict(populate_by_name=True)

    device_id: Text
    reading_type: Text
    day: Day | None = None
    start: Annotated[AwareDatetime | None, BeforeValidator(instant), Field(alias="from")] = None
    end: Annotated[AwareDatetime | None, BeforeValidator(instant), Field(alias="to")] = None
    action: Action
    values: Annotated[list[Quantity | None], Field(max_length=_MOST_VALUES)] = Field(default=[])
    version: Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(whole_number)] | None = None


class IntervalEdits(Sent):
    """Edits of final values of one sender system's meters."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "sender_system": "P11",
                    "reason": "read off the meter's display",
                    "items": [
                        {
                            "device_id": "000000000000000042",
                            "reading_type": "1-0:1.29.0*255",
                            "from": "2026-03-28T10:00:00Z",
                            "to": "2026-03-28T10:30:00Z",
                            "action": "set",
                            "values": ["0.125", "0.130"],
                            "version": 1,
                        }
                    ],
                }
            ]
        }
    )

    sender_system: Text
    reason: Reason
    items: Annotated[list[EditItem], Field(min_length=1, max_length=_MOST)]


class EditResult(Shown):
    """What became of one item; `problem` says why it was not done, `version` is the day's new one."""

    position: int
    state: Literal["done", "failed"]
    problem: str | None
    day: date | None
    version: int | None
    intervals: list[int]


class IntervalEditsDone(Shown):
    """What became of edits, item by item."""

    items: list[EditResult]


class ExplanationShown(Shown):
    """Why the values of a channel's day are what they are; `version` is what an edit is meant for."""

    sender_system: str
    device_id: str
    reading_type: str
    unit: str
    time_zone: str
    day: date
    version: int | None
    rule_set: str | None
    rules: list[str]
    found: list[str]
    total: Decimal | None
    runs: list[IntervalRun]
    history: list[DayVersion]
    edits: list[str]
    handed_over: list[str]
    case: str | None


def add_interval_edits(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    who, operator = Depends(access), Depends(access.at_least(Role.OPERATOR))
    database, clock = runtime.database, runtime.clock

    @router.get("/intervals/explanation", tags=["validation"])
    def explanation(
        caller: Annotated[Caller, who],
        sender_system: Annotated[str, Query(description="The sender system whose device it is.")],
        device_id: Annotated[str, Query(min_length=1, description="The device, by SAP's id or its serial number.")],
        day: Annotated[Day, Query(description="The day, local where the meter is.")],
        reading_type: Annotated[str | None, Query(description="The channel, where there are several.")] = None,
    ) -> ExplanationShown:
        """Say why each value of a channel's day is what it is: what the meter told, rules found, somebody edited."""
        if not caller.may_see(sender_system):
            raise HTTPException(404, f"There is no sender system {sender_system}: /kpis lists those there are")
        if day.year not in YEARS:
            raise HTTPException(404, f"Nothing was measured on {day}")
        with database.read() as uow:
            try:
                channel_id, channel = channel_of(uow, device_id, reading_type, systems=(sender_system,))
            except NoSuchChannel as error:
                raise HTTPException(404, f"{error}") from error
            return explanation_shown(explained(known_of(uow, channel_id, channel, day)))

    @router.post("/intervals/edits", tags=["validation"], responses=described(409, 412))
    def edit(edits: IntervalEdits, caller: Annotated[Caller, operator], if_match: Seen = "") -> IntervalEditsDone:
        """Set values by hand, accept or reject what was estimated or suspected, or take such an edit back.

        Each item is done or not by itself. Rules judge the day again as it is then.
        """
        if not caller.may_see(edits.sender_system):
            systems = ", ".join(caller.systems or ())
            raise HTTPException(403, f"{caller.name} acts for {systems}, not for {edits.sender_system}")
        seen = int(if_match.strip('"')) if if_match else None
        if seen is not None and len(edits.items) > 1:
            raise Problem(
                409,
                "it is about one day",
                at="header.if-match",
                expected="a single item",
                found=f"{len(edits.items)} items",
                mend="state `version` in each item",
            )
        deed = Deed(who=caller.name, reason=edits.reason)
        results = [_done(place, edits.sender_system, item, deed, seen) for place, item in enumerate(edits.items)]
        return IntervalEditsDone(items=results)

    def _done(place: int, sender_system: str, item: EditItem, deed: Deed, seen: int | None) -> EditResult:
        order = Order(
            sender_system=sender_system,
            device_id=item.device_id,
            reading_type=item.reading_type,
            action=item.action,
            day=item.day,
            start=item.start,
            end=item.end,
            values=[None if value is None else Decimal(value) for value in item.values],
            seen=item.version if seen is None else seen,
        )
        try:
            with database.begin() as uow:
                outcome = carry_out(uow, order, deed, now=clock.now())
        except EditRefused as error:
            if seen is not None and isinstance(error, OtherVersion):
                raise Problem(
                    412,
                    str(error),
                    at="header.if-match",
                    expected="the version that is current",
                    found=f'"{seen}"',
                    mend="read it again: GET /intervals/explanation",
                ) from error
            return EditResult(
                position=place, state="failed", problem=str(error), day=item.day, version=None, intervals=[]
            )
        return _result(place, outcome)


def _result(place: int, outcome: Outcome) -> EditResult:
    return EditResult(
        position=place,
        state="done",
        problem=None,
        day=outcome.day,
        version=outcome.version,
        intervals=list(outcome.positions),
    )


def explanation_shown(found: Explanation) -> ExplanationShown:
    """Return an explanation as it is told."""
    channel = found.channel
    return ExplanationShown(
        sender_system=channel.sender_system,
        device_id=channel.device_id,
        reading_type=channel.reading_type,
        unit=channel.unit,
        time_zone=channel.time_zone,
        day=found.day,
        version=found.version,
        rule_set=found.rule_set,
        rules=list(found.rules),
        found=list(found.found),
        total=found.total,
        runs=list(found.runs),
        history=list(found.history),
        edits=list(found.edits),
        handed_over=list(found.handed_over),
        case=found.case,
    )
