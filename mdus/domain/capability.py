"""What a device can do: a matrix of advanced metering system, device model and capability.

```
what its head end offers           AND    what the rows of config/capabilities.toml leave it
```

An order that a device cannot serve is refused when it comes, with the reason; a command that its head end cannot carry
out any more is refused when it would leave. Neither is left to time out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, ClassVar, Final

from pydantic import Field, model_validator

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.value import Value
from mdus.settings import LONGEST_TEXT, Section, Settings

#: Stands in a row for any characters, also for none.
ANY: Final = "*"


class Capability(StrEnum):
    """What SAP may ask of a device; the names are the columns of config/capabilities.toml."""

    REMOTE_READING = "remote_reading"  # its stored register values can be had
    ON_DEMAND_READING = "on_demand_reading"  # it can be asked for its registers now
    DISCONNECT = "disconnect"  # its breaker can be opened from afar
    RECONNECT = "reconnect"  # and closed
    LOAD_PROFILE = "load_profile"  # its interval values can be had
    EVENTS = "events"  # it tells what happens to it
    OPERATIONAL_STATE = "operational_state"  # it can be asked whether it works
    TEXT = "text"  # it shows texts to the customer
    DEMAND_LIMIT = "demand_limit"  # the power it lets through can be limited
    LOAD_CONTROL = "load_control"  # it leaves only a part of the load it controls while an event lasts
    TIME_SET = "time_set"  # its clock can be set


#: How a capability reads after "The device cannot ...".
_WORDS: Final[Mapping[Capability, str]] = {
    Capability.REMOTE_READING: "be read remotely",
    Capability.ON_DEMAND_READING: "be read on demand",
    Capability.DISCONNECT: "be disconnected remotely",
    Capability.RECONNECT: "be reconnected remotely",
    Capability.LOAD_PROFILE: "deliver a load profile",
    Capability.EVENTS: "report events",
    Capability.OPERATIONAL_STATE: "be asked for its operational state",
    Capability.TEXT: "show texts",
    Capability.DEMAND_LIMIT: "be limited in its demand",
    Capability.LOAD_CONTROL: "control load",
    Capability.TIME_SET: "have its clock set",
}

#: The commands a capability is made of: a head end that has them offers it. What is not here is told unasked.
_COMMANDS: Final[Mapping[Capability, frozenset[CommandKind]]] = {
    Capability.REMOTE_READING: frozenset({CommandKind.READ_REGISTERS}),
    Capability.ON_DEMAND_READING: frozenset({CommandKind.READ_ON_DEMAND}),
    Capability.LOAD_PROFILE: frozenset({CommandKind.READ_INTERVALS}),
    Capability.OPERATIONAL_STATE: frozenset({CommandKind.PING}),
    # A switch counts only when the position has been read back.
    Capability.DISCONNECT: frozenset({CommandKind.SWITCH, CommandKind.SWITCH_STATE}),
    Capability.RECONNECT: frozenset({CommandKind.SWITCH, CommandKind.SWITCH_STATE}),
    Capability.TEXT: frozenset({CommandKind.SHOW_TEXT}),
    Capability.DEMAND_LIMIT: frozenset({CommandKind.LIMIT_DEMAND}),
    Capability.LOAD_CONTROL: frozenset({CommandKind.CONTROL_LOAD}),
    Capability.TIME_SET: frozenset({CommandKind.SET_TIME}),
}

#: What a device must have beside a capability, as SAP's device management has it: no reading on demand without reading.
_RESTS_ON: Final[Mapping[Capability, Capability]] = {Capability.ON_DEMAND_READING: Capability.REMOTE_READING}


def enabled_by(commands: Collection[CommandKind]) -> frozenset[Capability]:
    """Return the capabilities that a head end with these kinds of commands offers."""
    return frozenset(capability for capability, needed in _COMMANDS.items() if needed <= set(commands))


def needed_for(command: Command) -> Capability | None:
    """Return the capability a command makes use of, None when every device has to bear it."""
    match command.kind:
        case CommandKind.READ_REGISTERS:
            return Capability.REMOTE_READING
        case CommandKind.READ_INTERVALS:
            return Capability.LOAD_PROFILE
        case CommandKind.READ_ON_DEMAND:
            return Capability.ON_DEMAND_READING
        case CommandKind.SWITCH:
            connects = command.wanted_state is SwitchState.CONNECTED
            return Capability.RECONNECT if connects else Capability.DISCONNECT
        case CommandKind.PING:
            return Capability.OPERATIONAL_STATE
        case CommandKind.LIMIT_DEMAND:
            return Capability.DEMAND_LIMIT
        case CommandKind.CONTROL_LOAD:
            return Capability.LOAD_CONTROL
        case CommandKind.SET_TIME:
            return Capability.TIME_SET
        case CommandKind.SHOW_TEXT:
            return Capability.TEXT
        case _:
            return None


class CapabilityRow(Section):
    """A row of config/capabilities.toml: what the devices of some systems and models can and cannot do.

    A column that is not set says nothing.
    """

    name: str
    ams_id: Annotated[str, Field(min_length=1, max_length=4)] = ANY
    material_id: Annotated[str, Field(min_length=1, max_length=60)] = ANY
    remote_reading: bool | None = None
    on_demand_reading: bool | None = None
    disconnect: bool | None = None
    reconnect: bool | None = None
    load_profile: bool | None = None
    events: bool | None = None
    operational_state: bool | None = None
    text: bool | None = None
    demand_limit: bool | None = None
    load_control: bool | None = None
    time_set: bool | None = None

    @model_validator(mode="after")
    def _is_sound(self) -> CapabilityRow:
        if not self.spoken_of:
            raise ValueError("a row says of at least one capability whether it is there")
        for capability, ground in _RESTS_ON.items():
            if self.says(capability) and self.says(ground) is False:
                raise ValueError(f"{capability} needs {ground}")
        return self

    def says(self, capability: Capability) -> bool | None:
        """Return what this row says of a capability, None for nothing."""
        said: bool | None = getattr(self, capability.value)
        return said

    @property
    def spoken_of(self) -> tuple[Capability, ...]:
        """Return the capabilities this row says something of."""
        return tuple(capability for capability in Capability if self.says(capability) is not None)

    def applies(self, *, ams_id: str, material_id: str) -> bool:
        """Tell whether the row is for devices of this system and model."""
        return _matches(self.ams_id, ams_id) and _matches(self.material_id, material_id)

    def covers(self, other: CapabilityRow) -> bool:
        """Tell whether the row is for all devices that the other one is for, and perhaps for more."""
        # Of a pattern only `*` matches another pattern's `*`.
        return self.applies(ams_id=other.ams_id, material_id=other.material_id)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, text.split(ANY))), re.DOTALL)


def _matches(pattern: str, text: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities(Value):
    """The matrix: the rows, and what each configured head end offers, by its kind and its row.

    Of a head end that is not among `offered` nothing is known; it is held to offer everything. `longest_texts` are the
    characters of a text that meters of a head end can show.
    """

    KEY: ClassVar[tuple[str, ...]] = ()

    rows: tuple[CapabilityRow, ...] = ()
    offered: Mapping[str, frozenset[Capability]] = field(default_factory=dict)
    longest_texts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings) -> Capabilities:
        """Return the matrix that config/capabilities.toml says for the configured head ends."""
        offers = {row.name: settings.offered_by(row) for row in settings.head_ends}
        return cls(
            rows=settings.rows("capabilities", CapabilityRow),
            offered={name: frozenset(map(Capability, some)) for name, some in offers.items() if some is not None},
            longest_texts={row.name: settings.longest_text_of(row.kind) for row in settings.head_ends},
        )

    def of_device(self, device: EndDevice) -> frozenset[Capability]:
        """Return all that a device can do."""
        return frozenset(capability for capability in Capability if self.lack(device, capability) is None)

    def longest_text(self, device: EndDevice) -> int:
        """Return how many characters of a text the device can show."""
        return self.longest_texts.get(device.head_end or "", LONGEST_TEXT)

    def lack(self, device: EndDevice, capability: Capability) -> str | None:
        """Return why a device does not have a capability, for SAP to read, or None when it has it.

        The most specific row that says something counts. Where two such rows disagree, neither being for fewer devices
        of the other's, the one that denies it does: a refused order can be placed again.
        """
        ground = _RESTS_ON.get(capability)
        denying = self._denying(device, capability) or (self._denying(device, ground) if ground else None)
        if denying is not None:
            model = f"its model {device.material_id} lacks that at {device.ams_id or 'its metering system'}"
            return f"The device cannot {_WORDS[capability]}: {model} (capabilities.{denying.name})"
        offered = self.offered.get(device.head_end or "")
        if offered is not None and capability not in offered:
            return f"The device cannot {_WORDS[capability]}: its head end {device.head_end} does not offer that"
        return None

    def _denying(self, device: EndDevice, capability: Capability) -> CapabilityRow | None:
        speaking = [
            row
            for row in self.rows
            if row.says(capability) is not None
            and row.applies(ams_id=device.ams_id or "", material_id=device.material_id)
        ]
        return next((row for row in _most_specific(speaking) if not row.says(capability)), None)


def _most_specific(rows: Sequence[CapabilityRow]) -> list[CapabilityRow]:
    """Return the rows that no other one of them narrows."""
    return [row for row in rows if not any(row.covers(other) and not other.covers(row) for other in rows)]


def contradicting(rows: Sequence[CapabilityRow]) -> list[tuple[CapabilityRow, CapabilityRow, Capability]]:
    """Return the pairs of rows that are for the same devices and disagree, with what they disagree on."""
    return [
        (one, other, capability)
        for position, one in enumerate(rows)
        for other in rows[position + 1 :]
        if one.covers(other) and other.covers(one)
        for capability in Capability
        if {one.says(capability), other.says(capability)} == {True, False}
    ]
