"""What each service that SAP starts needs first, what it says right, wrong and changed, and what may come of it.

A recipe is all that tells one such service from another; what is done with it is the same for all (`asking.py`).
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from simulators.conformance import bodies
from simulators.conformance.calling import Outcome, outcome_of
from simulators.conformance.contract import SERVICES, Form, Service
from simulators.conformance.judging import ANY, DONE
from simulators.conformance.stage import NotSetUp, Stage
from simulators.conformance.subjects import Subject, World, now
from simulators.conformance.writing import Content

Said = Callable[[Subject, World], Content]
Preparation = Callable[[Stage, Subject], Awaitable[object]]

_TWO_DAYS = timedelta(days=2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrong:
    """One way to be wrong in business terms: why, what is said, and what must be so before, if not what always must."""

    why: str
    said: Said
    prepare: Preparation | None = None


async def _nothing(_: Stage, __: Subject) -> None:
    """Nothing comes before it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One service. `key` names the subject's id that is its business key, `change` a path and another value for it.

    `reordered` are the result codes allowed when the message comes before what it depends on. `in_field`: only a meter
    of the field can carry it out; without one any result code is right, and nothing is proven.
    """

    service: Service
    key: Callable[[Subject], str]
    right: Said
    wrongs: tuple[Wrong, ...]
    change: tuple[str, str]
    prepare: Preparation = _nothing
    reordered: Collection[str] = ANY
    in_field: bool = False


def _device(subject: Subject) -> str:
    return subject.device


def _task(subject: Subject) -> str:
    return subject.task


def _document(subject: Subject) -> str:
    return subject.document


def _request(subject: Subject) -> str:
    return subject.request


async def _device_known(stage: Stage, subject: Subject) -> None:
    await stage.device(subject)


async def _register_known(stage: Stage, subject: Subject) -> None:
    await stage.register(subject)


async def _channel_known(stage: Stage, subject: Subject) -> None:
    await stage.register(subject, intervals=True)


async def _seen(stage: Stage, subject: Subject) -> None:
    """Without a meter of the field the device is at least known."""
    await (stage.usable(subject) if subject.in_field else stage.register(subject))


async def _ordered(stage: Stage, subject: Subject) -> None:
    await stage.register(subject)
    await _order(stage, subject)


async def _order(stage: Stage, subject: Subject) -> None:
    await stage.establish("reading_order", subject, bodies.reading_order(subject, stage.world), key=subject.document)


async def _switch_planned(stage: Stage, subject: Subject) -> None:
    """A switch in two days: nothing of it happens during the run."""
    await stage.register(subject)
    await _plan(stage, subject, planned=_TWO_DAYS)


async def _switch_over(stage: Stage, subject: Subject) -> None:
    """A switch planned two days ago: whatever came of it, it is over."""
    await stage.register(subject)
    await _plan(stage, subject, planned=-_TWO_DAYS, confirmed=True)


async def _plan(stage: Stage, subject: Subject, *, planned: timedelta, confirmed: bool = False) -> None:
    content = bodies.connection_order(subject, stage.world, category=bodies.DISCONNECT, planned=now() + planned)
    message = stage.message("connection_order", Form.SINGLE, [(subject.request, content)])
    posting = await stage.caller.send(message, sender=subject.sender)
    if outcome_of(posting.answers[-1]) is not Outcome.TAKEN:
        raise NotSetUp(f"{message.root} was {outcome_of(posting.answers[-1])}")
    if confirmed and not await stage.confirmed(posting, "connection_order"):
        raise NotSetUp(f"{message.root} of a disconnection that is over was not confirmed")


_RECIPES = (
    Recipe(
        service=SERVICES["device_create"],
        key=_device,
        right=bodies.device_create,
        wrongs=(
            Wrong(
                why="the id of a known device for another meter",
                said=partial(bodies.device_create, other_meter=True),
                prepare=_device_known,
            ),
        ),
        change=("UtilitiesDevice/EndDate", "2099-12-31"),
    ),
    Recipe(
        service=SERVICES["device_change"],
        key=_device,
        right=bodies.device_change,
        wrongs=(Wrong(why="not the device's serial number", said=partial(bodies.device_change, other_meter=True)),),
        change=("UtilitiesDevice/EndDate", "2099-12-31"),
        prepare=_device_known,
    ),
    Recipe(
        service=SERVICES["register_create"],
        key=_device,
        right=bodies.register_create,
        wrongs=(Wrong(why="begins before its device", said=partial(bodies.register_create, too_early=True)),),
        change=("UtilitiesDevice/Register/Specifications/MeasureUnitCode", "MWH"),
        prepare=_device_known,
        reordered=DONE,
    ),
    Recipe(
        service=SERVICES["register_change"],
        key=_device,
        right=bodies.register_change,
        wrongs=(Wrong(why="ends before it begins", said=partial(bodies.register_change, reversed_dates=True)),),
        change=("UtilitiesDevice/Register/Specifications/MeasureUnitCode", "MWH"),
        prepare=_register_known,
    ),
    Recipe(
        service=SERVICES["location"],
        key=_device,
        right=bodies.location,
        wrongs=(Wrong(why="ends before it begins", said=partial(bodies.location, reversed_dates=True)),),
        change=("UtilitiesDevice/Location/InstallationPointID", "ELSEWHERE"),
        prepare=_register_known,
    ),
    Recipe(
        service=SERVICES["point_of_delivery"],
        key=_task,
        right=bodies.point_of_delivery,
        wrongs=(Wrong(why="ends before it begins", said=partial(bodies.point_of_delivery, reversed_dates=True)),),
        change=(
            "UtilitiesMeasurementTask/UtilitiesPointOfDeliveryAssignment/UtilitiesPointOfDeliveryPartyID",
            "ELSEWHERE",
        ),
        prepare=_register_known,
    ),
    Recipe(
        service=SERVICES["measurement_task_assignment"],
        key=lambda subject: subject.profile,
        right=bodies.measurement_task_assignment,
        wrongs=(
            Wrong(why="ends before it begins", said=partial(bodies.measurement_task_assignment, reversed_dates=True)),
        ),
        change=("UtilitiesTimeSeries/MeasureUnitCode", "MWH"),
        prepare=_channel_known,
    ),
    Recipe(
        service=SERVICES["reading_order"],
        key=_document,
        right=bodies.reading_order,
        wrongs=(
            Wrong(
                why="a reason nobody knows",
                said=partial(bodies.reading_order, reason=bodies.UNKNOWN_REASON),
            ),
            Wrong(
                why="the day after the register's last",
                said=lambda subject, world: bodies.reading_order(subject, world, on=world.last_day + timedelta(days=1)),
            ),
        ),
        change=("MeterReadingDocument/MeterReadingReasonCode", "06"),
        prepare=_register_known,
        reordered=DONE,
    ),
    Recipe(
        service=SERVICES["reading_cancellation"],
        key=_document,
        right=bodies.reading_cancellation,
        wrongs=(
            Wrong(
                why="another metering system than the order's",
                said=partial(bodies.reading_cancellation, foreign=True),
            ),
        ),
        change=("MeterReadingDocument/UtilitiesDeviceSmartMeter/UtilitiesAdvancedMeteringSystemID", "ZZZZ"),
        prepare=_ordered,
    ),
    Recipe(
        service=SERVICES["manual_reading"],
        key=_document,
        right=bodies.manual_reading,
        wrongs=(Wrong(why="before the register was there", said=partial(bodies.manual_reading, too_early=True)),),
        change=("MeterReadingDocument/Result/MeterReadingResultValue", "13"),
        prepare=_register_known,
    ),
    Recipe(
        service=SERVICES["connection_order"],
        key=_request,
        right=bodies.connection_order,
        wrongs=(Wrong(why="a category nobody knows", said=partial(bodies.connection_order, category="9")),),
        change=("UtilitiesConnectionStatusChangeRequest/CategoryCode", bodies.DISCONNECT),
        prepare=_seen,
        in_field=True,
    ),
    Recipe(
        service=SERVICES["connection_cancellation"],
        key=_request,
        right=bodies.connection_cancellation,
        wrongs=(Wrong(why="the order is over", said=bodies.connection_cancellation, prepare=_switch_over),),
        change=("UtilitiesConnectionStatusChangeRequest/CategoryCode", bodies.RECONNECT),
        prepare=_switch_planned,
    ),
)

#: Service name -> recipe, for the twelve services SAP starts.
RECIPES: Mapping[str, Recipe] = {recipe.service.name: recipe for recipe in _RECIPES}
