"""The settings of a row of kind `cim`: what its head end wants to hear, and how it names things."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from mdus.domain.end_device import SwitchState
from mdus.headends.cim.names import Noun, Style, Vintage
from mdus.settings import Section, Texts
from mdus.settings.shapes import Zone

#: The type of a control whose content says what it is.
_SAYS_NOTHING: Final = "0.0.0.0"  # noqa: S104 - no address

ControlType = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}$")]
Event = Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){2}$")]


def _readable(patterns: Mapping[str, str]) -> Mapping[str, str]:
    for name, pattern in patterns.items():
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"{name}: {pattern!r} is no regular expression: {error}") from None
    return patterns


#: What the reason of an Error says more exactly than its code, by our own short code; the first that fits counts.
_REASONS: Final[Mapping[str, str]] = {
    "NO_BREAKER": r"no (remote |connect.?disconnect |rcd |service )?(switch|breaker|relay|disconnect)",
    "NOT_PROVISIONED": r"(not|never) (been |was )?provisioned",
    "ARMED": r"\barmed\b|not.?armed|arm.for.clos|button",
    "RELAY_STUCK": r"stuck|did not (move|operate)",
    "LOW_CREDIT": r"credit",
    "LOAD_SIDE_VOLTAGE": r"load.side",
    "DISCONNECT_REFUSED": r"refus|locked|medical",
    "EXPIRED": r"expired",
}


class CimOptions(Section):
    """`[head_ends.options]` of a row of kind `cim`.

    What is sent: `style` of roots, `namespaces`, `path` behind the row's url, `source` of headers. `identify_by` says
    how a meter is named, `meter_name_type` under which NameType its serial number stands, `device_name_type` SAP's
    device. `names_reading_types` lists in reads which ReadingTypes are wanted. `switch_state_by` is what the position
    of a breaker is asked with: the noun EndDeviceConfig, or MeterReadings of `relay_reading_type`, whose values
    `relay_closed` and `relay_open` stand for it. The types of controls are by what they do; with `expiry` a switch and
    a limit say until when they may be begun. It is asked for what `asks_for` names, so many hours at a time; with
    `finds_calls` it is asked by CorrelationID what became of a call whose answer was lost.

    What is received: `state_attribute` is the attribute of a control that says where its breaker stands. `parts` says
    what a reply holds after which more follows, all values of its meters or some; `created_answers` whether created
    MeterReadings with a CorrelationID answer a call. `heard_events` are the events by which a meter communicates for
    the first time, without the device type. `zone_of_local_times` is for instants without an offset: without it they
    are refused. `reasons` are regular expressions.
    """

    style: Style = Style.TYPED
    namespaces: Vintage = Vintage.OF_2011
    path: Annotated[str, Field(pattern=r"^(/.*)?$")] = ""
    source: Annotated[str, Field(min_length=1)] = "MDUS"
    identify_by: Literal["name", "serial_number", "mrid"] = "name"
    meter_name_type: str = "MeterNumber"
    device_name_type: str = "UtilitiesDeviceID"
    provision_verb: Literal["create", "change"] = "create"
    names_reading_types: bool = True
    switch_state_by: Literal[Noun.END_DEVICE_CONFIG, Noun.METER_READINGS] = Noun.END_DEVICE_CONFIG
    relay_reading_type: str = ""
    relay_closed: Texts = ("1", "closed", "connected", "true", "on")
    relay_open: Texts = ("0", "open", "opened", "disconnected", "false", "off")
    limit_by: Literal["supply_capacity", "load_limiting"] = "supply_capacity"
    limit_attribute: Annotated[str, Field(min_length=1)] = "limit_kW"
    connect_type: ControlType = "3.31.0.18"
    disconnect_type: ControlType = "3.31.0.23"
    expiry: bool = True
    set_time_type: ControlType = "3.36.116.13"
    show_text_type: ControlType = _SAYS_NOTHING
    schedule_load_type: ControlType = "0.15.43.300"
    cancel_load_type: ControlType = "0.15.43.8"
    asks_for: tuple[Literal["snapshots", "intervals", "events", "meters"], ...] = (
        "snapshots",
        "intervals",
        "events",
        "meters",
    )
    hours_per_question: Annotated[int, Field(ge=1)] = 24
    finds_calls: bool = False
    state_attribute: str = "switchState"
    parts: Literal["of_meter", "by_meter"] = "of_meter"
    created_answers: bool = True
    heard_events: tuple[Event, ...] = ("1.0.42",)
    zone_of_local_times: Zone | None = None
    reasons: Annotated[Mapping[str, str], AfterValidator(_readable)] = _REASONS

    def position(self, told: str) -> SwitchState | None:
        """Return the position of a breaker that a word stands for, None for a word that says none."""
        if told.lower() in self.relay_closed:
            return SwitchState.CONNECTED
        return SwitchState.DISCONNECTED if told.lower() in self.relay_open else None
