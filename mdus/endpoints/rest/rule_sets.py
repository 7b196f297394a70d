"""Rule sets of validation and estimation: read, changed from a day on, and tried on past days before that."""

# Not `from __future__ import annotations`: FastAPI reads the annotations, and the dependencies are local names.

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Response
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from sqlalchemy.exc import IntegrityError

from mdus.domain.access import Caller, Role
from mdus.endpoints.rest.access import Access
from mdus.endpoints.rest.conditional import IfMatch, refuse_other
from mdus.endpoints.rest.mending import Reason
from mdus.endpoints.rest.paging import Day, refuse_unusual
from mdus.endpoints.rest.problems import Problem, described
from mdus.endpoints.rest.sent import Sent, whole_number
from mdus.endpoints.rest.shapes import Listed, Shown
from mdus.endpoints.runtime import Runtime
from mdus.storage import rule_set, validation
from mdus.storage.audit import Deed, note_deed
from mdus.storage.rule_set import RuleSetVersion
from mdus.storage.session import UnitOfWork
from mdus.vee.comparing import Comparison, Tried
from mdus.vee.described import described_methods, described_rules
from mdus.vee.rule_set import Judges, Misfit, RuleSetRow

#: Days that one change makes to be looked at again, and that one preview looks at.
_MOST_AGAIN: Final = 200_000
_MOST_TRIED: Final = 50_000
_MOST_DAYS: Final = 366
_LONGEST_SECONDS: Final = 60

Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$", description="The name of the rule set.")]


Whole = BeforeValidator(whole_number)
Text = Annotated[str, Field(strict=True, pattern=r"^[!-~]{1,60}$")]


class RuleSetContent(Sent):
    """What a rule set says: for which reading types, which rules in their order, which methods in theirs.

    `judges` are values of intervals or readings of registers; only sets for the latter are chosen by `divisions`.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "reading_types": ["1-*"],
                    "rules": [
                        {"name": "missing_intervals", "severity": "issue"},
                        {"name": "spike", "severity": "issue", "replaces": True, "tolerance": 2.5},
                    ],
                    "methods": [{"name": "linear", "max_minutes": 60}],
                    "estimated_share": 0.5,
                }
            ]
        }
    )

    judges: Judges = Judges.INTERVALS
    reading_types: Annotated[list[Text], Field(min_length=1, max_length=100)]
    divisions: Annotated[list[Text], Field(max_length=20)] = Field(default=[])
    rules: Annotated[list[dict[str, Any]], Field(max_length=100)] = Field(default=[])
    methods: Annotated[list[dict[str, Any]], Field(max_length=100)] = Field(default=[])
    estimated_share: Annotated[float, Field(ge=0, le=1, strict=True)] = 1.0


class RuleSetPut(Sent):
    """A new version of a rule set, which counts from a day on."""

    content: RuleSetContent
    valid_from: Annotated[Day, Field(description="The first day it counts for, local where the meter is.")]
    reason: Reason
    revalidate: Annotated[
        bool, Field(strict=True, description="Look at days again from then on that another version has validated.")
    ] = False


class RuleSetTried(Sent):
    """A rule set that is only tried, on past days of some channels."""

    model_config = ConfigDict(populate_by_name=True)

    content: RuleSetContent
    first: Annotated[Day, Field(alias="from", description="The first day.")]
    last: Annotated[Day, Field(alias="to", description="The last day.")]
    reading_types: Annotated[list[str], Field(max_length=100, description="Only channels of these.")] = Field(
        default=[]
    )
    device_ids: Annotated[list[str], Field(max_length=1000, description="Only these devices.")] = Field(default=[])
    limit: Annotated[int, Field(ge=1, le=_MOST_TRIED, description="Most channel-days."), Whole] = 5000
    seconds: Annotated[int, Field(ge=1, le=_LONGEST_SECONDS, description="How long at most."), Whole] = 20
    examples: Annotated[int, Field(ge=0, le=500, description="Days told in words."), Whole] = 20


class RuleSetVersionShown(Shown):
    """A version of a rule set: it counts from `valid_from` until the next one begins."""

    name: str
    version: int
    valid_from: date
    content: dict[str, Any]
    written_at: datetime
    written_by: str
    reason: str
    retired: bool


class RuleSetShown(Shown):
    """A rule set: the version in force today where the installation is, and those that are to come."""

    name: str
    in_force: RuleSetVersionShown | None
    to_come: list[RuleSetVersionShown]


class RuleSetDetail(Shown):
    """A rule set with all its versions, the newest first."""

    name: str
    versions: list[RuleSetVersionShown]


class RuleSetMade(RuleSetVersionShown):
    """A new version; `looked_at_again` are the channel-days made due for validation by it."""

    looked_at_again: int


class ParameterShown(Shown):
    """A limit of a rule or method."""

    name: str
    type: str
    default: Any
    description: str


class ToolShown(Shown):
    """A rule or a method of estimation, with what can be said about it in a rule set."""

    name: str
    number: str
    title: str
    description: str
    parameters: list[ParameterShown]
    needs: list[str]


class RuleCount(Shown):
    """On how many channel-days a rule finds something, now and with the changed set."""

    rule: str
    before: int
    after: int


class EstimatedAmount(Shown):
    """What is estimated of a unit, now and with the changed set."""

    unit: str
    before: Decimal
    after: Decimal


class DifferentDay(Shown):
    """A day that comes out otherwise, in words."""

    sender_system: str
    device_id: str
    reading_type: str
    day: date
    before: str
    after: str


class RuleSetPreview(Shown):
    """What a changed rule set would do to past days; `left_out` says what was not looked at."""

    name: str
    channels: int
    days: int
    different: int
    issues_before: int
    issues_after: int
    estimated_values_before: int
    estimated_values_after: int
    rules: list[RuleCount]
    estimated: list[EstimatedAmount]
    examples: list[DifferentDay]
    left_out: list[str]


def add_rule_sets(router: APIRouter, runtime: Runtime, access: Access) -> None:
    """Add the routes to a router."""
    _add_reading(router, runtime, Depends(access))
    _add_changing(router, runtime, Depends(access.at_least(Role.APPROVER)))
    _add_trying(router, runtime, Depends(access))


def _add_reading(router: APIRouter, runtime: Runtime, who: Any) -> None:
    database = runtime.database

    @router.get("/rule-sets", tags=["validation"])
    def rule_sets(_: Annotated[Caller, who]) -> Listed[RuleSetShown]:
        """List the rule sets by which interval values are validated and estimated."""
        today = _today(runtime)
        with database.read() as uow:
            versions = rule_set.versions(uow.connection)
        counting = rule_set.in_force(versions, today)
        items = [
            RuleSetShown(
                name=name,
                in_force=_shown(counting[name]) if name in counting else None,
                to_come=[
                    _shown(each)
                    for each in versions
                    if each.name == name and each.valid_from > today and not each.retired
                ],
            )
            for name in dict.fromkeys(each.name for each in versions)
        ]
        return Listed(items=items)

    @router.get("/rule-sets/{name}", tags=["validation"])
    def one(name: Name, _: Annotated[Caller, who], response: Response) -> RuleSetDetail:
        """Show a rule set with all its versions; its ETag is what a change is meant for (If-Match)."""
        with database.read() as uow:
            versions = rule_set.versions(uow.connection, name)
        if not versions:
            raise _unknown(name)
        response.headers["ETag"] = _tag(name, versions)
        return RuleSetDetail(name=name, versions=[_shown(each) for each in reversed(versions)])

    @router.get("/vee/rules", tags=["validation"])
    def rules(_: Annotated[Caller, who]) -> Listed[ToolShown]:
        """List the validation rules there are, with their parameters."""
        return Listed(items=[ToolShown.model_validate(each) for each in described_rules(runtime.tools)])

    @router.get("/vee/methods", tags=["validation"])
    def methods(_: Annotated[Caller, who]) -> Listed[ToolShown]:
        """List the methods of estimation there are, with their parameters."""
        return Listed(items=[ToolShown.model_validate(each) for each in described_methods(runtime.tools)])


def _add_changing(router: APIRouter, runtime: Runtime, approver: Any) -> None:
    database, clock = runtime.database, runtime.clock

    @router.put("/rule-sets/{name}", tags=["validation"], responses=described(409, 412))
    def put(
        name: Name, order: RuleSetPut, caller: Annotated[Caller, approver], if_match: IfMatch = None
    ) -> RuleSetMade:
        """Write a new version of a rule set, or the first of a new one; values that were validated stay as they are.

        With `revalidate` days from `valid_from` on that another version has validated are looked at again.
        """
        row, now = _row(runtime, name, order.content), clock.now()
        refuse_unusual(order.valid_from, at="body.valid_from")
        deed = Deed(who=caller.name, reason=order.reason)
        try:
            with database.begin() as uow:
                known = rule_set.hold(uow.connection, name)
                refuse_other(if_match, _tag(name, known), mend=f"read it again: GET /rule-sets/{name}")
                number = max((each.version for each in known), default=0) + 1
                made = rule_set.add_version(
                    uow.connection, row, deed, version=number, valid_from=order.valid_from, now=now
                )
                again = _look_again(uow, made, now=now) if order.revalidate else 0
                target = f"{made.title} from {made.valid_from}"
                note_deed(uow.connection, deed, action="rule set written", target=target, count=again, at=now)
        except IntegrityError as error:
            raise HTTPException(409, f"{name} was changed at the same time: read it, and put it again") from error
        return RuleSetMade(**_shown(made).model_dump(), looked_at_again=again)

    @router.delete("/rule-sets/{name}/versions/{version}", tags=["validation"], responses=described(409, 412))
    def retire(
        name: Name,
        version: Annotated[int, Path(ge=1, le=2**31 - 1, description="The version's number.")],
        reason: Annotated[str, Query(min_length=3, max_length=500, description="Why; kept in the audit.")],
        caller: Annotated[Caller, approver],
        if_match: IfMatch = None,
    ) -> RuleSetVersionShown:
        """Take back a version that has not begun yet: it never counts."""
        return _retire(runtime, name, version, Deed(who=caller.name, reason=reason), if_match)


def _add_trying(router: APIRouter, runtime: Runtime, who: Any) -> None:
    @router.post("/rule-sets/{name}/preview", tags=["validation"], responses=described(409))
    def preview(name: Name, tried: RuleSetTried, caller: Annotated[Caller, who]) -> RuleSetPreview:
        """Try a changed rule set on the raw values of past days: what would differ. Nothing is written."""
        if runtime.preview is None:
            raise HTTPException(503, "This process cannot try rule sets: ask the one that `mdus serve` has started")
        row = _row(runtime, name, tried.content)
        for at, day in (("body.from", tried.first), ("body.to", tried.last)):
            refuse_unusual(day, at=at)
        if not 0 <= (tried.last - tried.first).days < _MOST_DAYS:
            raise Problem(
                409,
                "no span of days",
                at="body.to",
                expected=f"a day from {tried.first} on, at most {_MOST_DAYS} days in all",
                found=str(tried.last),
                mend="name another span",
            )
        found = runtime.preview(
            row,
            Tried(
                first=tried.first,
                before=tried.last + timedelta(days=1),
                reading_types=frozenset(tried.reading_types),
                devices=frozenset(tried.device_ids),
                systems=caller.systems,
                limit=tried.limit,
                seconds=tried.seconds,
                examples=tried.examples,
            ),
            now=runtime.clock.now(),
        )
        return preview_shown(found)


def preview_shown(found: Comparison) -> RuleSetPreview:
    """Return a comparison as it is told."""
    rules = dict.fromkeys([*found.flagged_before, *found.flagged_after])
    units = sorted({*found.estimated_before, *found.estimated_after})
    return RuleSetPreview(
        name=found.name,
        channels=found.channels,
        days=found.days,
        different=found.different,
        issues_before=found.issues[0],
        issues_after=found.issues[1],
        estimated_values_before=found.values_before,
        estimated_values_after=found.values_after,
        rules=[
            RuleCount(rule=rule, before=found.flagged_before[rule], after=found.flagged_after[rule]) for rule in rules
        ],
        estimated=[
            EstimatedAmount(
                unit=unit,
                before=found.estimated_before.get(unit, Decimal(0)),
                after=found.estimated_after.get(unit, Decimal(0)),
            )
            for unit in units
        ],
        examples=[
            DifferentDay(
                sender_system=each.channel.sender_system,
                device_id=each.channel.device_id,
                reading_type=each.channel.reading_type,
                day=each.day,
                before=each.before,
                after=each.after,
            )
            for each in found.examples
        ],
        left_out=found.left_out,
    )


def _row(runtime: Runtime, name: str, content: RuleSetContent) -> RuleSetRow:
    """Return what was sent as a rule set; raises Problem with the first thing that is wrong, and all in `errors`."""
    try:
        row = RuleSetRow.model_validate({"name": name, **content.model_dump()})
    except ValidationError as error:
        raise _wrong(
            [
                Misfit(".".join(map(str, each["loc"])), f"{each['msg']}", "/vee/rules and /vee/methods describe them")
                for each in error.errors()
            ]
        ) from error
    misfits = list(runtime.tools.problems(row))
    if misfits:
        raise _wrong(misfits)
    return row


def _wrong(misfits: Sequence[Misfit]) -> Problem:
    first, *_ = misfits
    problem = Problem(
        409, first.what, at=f"body.content.{first.at}", expected="what /vee/rules or /vee/methods say", mend=first.mend
    )
    problem.errors = [{"at": f"body.content.{each.at}", "what": each.what, "expected": each.mend} for each in misfits]
    return problem


def _retire(runtime: Runtime, name: str, version: int, deed: Deed, if_match: str | None) -> RuleSetVersionShown:
    now = runtime.clock.now()
    with runtime.database.begin() as uow:
        known = rule_set.hold(uow.connection, name)
        if not known:
            raise _unknown(name)
        refuse_other(if_match, _tag(name, known), mend=f"read it again: GET /rule-sets/{name}")
        found = next((each for each in known if each.version == version), None)
        if found is None or found.retired:
            raise HTTPException(404, f"There is no version {version} of {name}: GET /rule-sets/{name} lists them")
        if found.valid_from <= _latest_day(now):
            raise HTTPException(
                409, f"{found.title} counts since {found.valid_from}: put a new version in its place instead"
            )
        rule_set.retire(uow.connection, found)
        target = f"{found.title} from {found.valid_from}"
        note_deed(uow.connection, deed, action="rule set retired", target=target, count=1, at=now)
    return _shown(found).model_copy(update={"retired": True})


def _look_again(uow: UnitOfWork, made: RuleSetVersion, *, now: datetime) -> int:
    """Make days due from the beginning of a version on that fit it and another one has validated."""
    row = made.row
    if row.judges is not Judges.INTERVALS:
        return 0  # a reading is judged once, when it is to answer a document
    fits: Callable[[str], bool] = lambda reading_type: row.weight(reading_type) is not None  # noqa: E731 - a condition
    found = validation.look_again(
        uow.connection, since=made.valid_from, fits=fits, but=f"vee/{made.title}", due_at=now, limit=_MOST_AGAIN + 1
    )
    if found > _MOST_AGAIN:
        raise Problem(
            409,
            f"more than {_MOST_AGAIN:,} channel-days would be looked at again",
            at="body.revalidate",
            expected="fewer: a later valid_from",
            mend="let it begin later, or put it without revalidate",
        )
    return found


def _tag(name: str, versions: Sequence[RuleSetVersion]) -> str:
    """Return the ETag of a rule set: it changes with every version that comes or is retired."""
    return f'"{name}.{len(versions)}.{sum(each.retired for each in versions)}"'


def _today(runtime: Runtime) -> date:
    return runtime.clock.now().astimezone(ZoneInfo(runtime.settings.time_zone)).date()


def _latest_day(now: datetime) -> date:
    """Return the day it is where days begin first."""
    return (now + timedelta(hours=14)).date()


def _unknown(name: str) -> HTTPException:
    return HTTPException(404, f"There is no rule set {name}: GET /rule-sets lists those there are")


def _shown(version: RuleSetVersion) -> RuleSetVersionShown:
    content = version.row.model_dump(mode="json", exclude={"name"})
    return RuleSetVersionShown.model_validate(
        {
            "name": version.name,
            "version": version.version,
            "valid_from": version.valid_from,
            "content": content,
            "written_at": version.written_at,
            "written_by": version.written_by,
            "reason": version.reason,
            "retired": version.retired,
        }
    )
