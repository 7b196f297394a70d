"""What a head end tells of a breaker against what SAP was told of the orders for it.

No outcome changes any more; what contradicts one becomes a smart meter event and a case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import SwitchState
from mdus.domain.end_device_control import ControlStatus, EndDeviceControl


@dataclass(frozen=True, kw_only=True, slots=True)
class Contradiction:
    """An order of which SAP was told otherwise, and in what."""

    control: EndDeviceControl
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldPosition:
    """What one result of a switch, or of reading its position back, says of the breaker at an instant."""

    command: Command
    state: SwitchState
    succeeded: bool
    at: datetime


def contradiction(
    told: ToldPosition, *, control: EndDeviceControl, ordered: Sequence[EndDeviceControl]
) -> Contradiction | None:
    """Return which order this position contradicts, or None; `ordered` is all that was ordered for the device.

    The last word has the latest order carried out: a breaker moved after it by an earlier order contradicts *it*.
    Where nothing was carried out since, or the switch of the order itself is told of, its own outcome is compared.
    """
    since = [other for other in ordered if other.status is ControlStatus.EXECUTED and other.is_later_than(control)]
    last = max(since, key=lambda each: (each.effective_at, each.item_id), default=None)
    if last is not None and last.processed_at is not None and told.at > last.processed_at:
        if told.state is last.category.wanted_state:
            return None
        note = (
            f"The order was confirmed as carried out, but the meter is {told.state.value} since: "
            f"the earlier order {control.request_id} was carried out after it"
        )
        return Contradiction(control=last, note=note)
    itself = _of_itself(told, control=control, is_last=last is None)
    return None if itself is None else Contradiction(control=control, note=itself)


def _of_itself(told: ToldPosition, *, control: EndDeviceControl, is_last: bool) -> str | None:
    wanted = control.category.wanted_state
    is_switch = told.command.kind is CommandKind.SWITCH
    if not is_switch and not is_last:
        return None  # a position read so long ago is the work of a later order
    switched = told.succeeded and told.state is wanted
    if control.status is ControlStatus.CANCELLED:
        return f"The order was confirmed as cancelled, but the meter was {wanted.value}" if switched else None
    if control.reported_success is False and switched:
        return f"The order was confirmed as failed, but the meter was {wanted.value} after all"
    is_news = is_switch or control.processed_at is None or told.at > control.processed_at
    if control.reported_success is True and told.state is not wanted and is_news:
        return f"The order was confirmed as carried out, but the meter is {told.state.value}"
    return None
