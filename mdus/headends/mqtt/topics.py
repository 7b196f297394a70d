"""The topics of data concentrators, made from a template: `ami/v1/{headend}/{concentrator}/{device}/{kind}`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MESSAGES: Final = "ami/v1/{headend}/{concentrator}/{device}/{kind}"
STATES: Final = "ami/v1/{headend}/{concentrator}/state"

#: What stands for one level of a topic.
_LEVEL = re.compile(r"[^/+#\x00-\x1f]+")
_PLACE = re.compile(r"\{(\w*)\}")


class Kind(StrEnum):
    """What a message is, as its topic says."""

    COMMAND = "cmd"  # to a meter; never retained
    RESPONSE = "rsp"  # what became of a command
    EVENT = "evt"  # what a meter tells of itself
    READING = "rdg"  # what a meter counts, and signs of life
    STATE = "state"  # whether a concentrator is there; retained


#: What meters tell.
_TOLD = (Kind.RESPONSE, Kind.EVENT, Kind.READING)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Whom a message is of, as its topic says; the state of a concentrator is of no device."""

    kind: Kind
    concentrator: str
    device: str | None


def can_stand_in(level: str) -> bool:
    """Tell whether a text can be one level of a topic."""
    return _LEVEL.fullmatch(level) is not None


def checked(template: str, *places: str) -> str:
    """Return a template that has each place once, as a level of its own; raises ValueError."""
    levels = template.split("/")
    missing = [place for place in places if levels.count(f"{{{place}}}") != 1]
    if missing:
        raise ValueError(f"{{{missing[0]}}} has to stand once in the topic, as a level of its own")
    others = [level for level in levels if level not in {f"{{{place}}}" for place in places}]
    if not all(can_stand_in(level) and not _PLACE.search(level) for level in others):
        raise ValueError(f"{template!r} is no topic")
    return template


class Topics:
    """The topics of one head end, by its name in them."""

    def __init__(self, head_end: str, *, messages: str = MESSAGES, states: str = STATES) -> None:
        self._messages = messages.replace("{headend}", head_end)
        self._states = states.replace("{headend}", head_end)
        self._patterns = (_pattern(self._messages), _pattern(self._states))

    @property
    def filters(self) -> tuple[str, ...]:
        """Return the filters of all that concentrators tell."""
        told = (self._of(kind, concentrator="+", device="+") for kind in _TOLD)
        return (*told, self._states.replace("{concentrator}", "+"))

    def command(self, *, concentrator: str, device: str) -> str:
        """Return where a meter is commanded."""
        return self._of(Kind.COMMAND, concentrator=concentrator, device=device)

    def response(self, *, concentrator: str, device: str) -> str:
        """Return where it answers."""
        return self._of(Kind.RESPONSE, concentrator=concentrator, device=device)

    def place(self, topic: str) -> Place | None:
        """Return whom a message under this topic is of, None where it is none of ours."""
        messages, states = self._patterns
        if (found := messages.fullmatch(topic)) is not None and found["kind"] in _TOLD:
            return Place(kind=Kind(found["kind"]), concentrator=found["concentrator"], device=found["device"])
        if (found := states.fullmatch(topic)) is not None:
            return Place(kind=Kind.STATE, concentrator=found["concentrator"], device=None)
        return None

    def _of(self, kind: Kind, *, concentrator: str, device: str) -> str:
        values = {"concentrator": concentrator, "device": device, "kind": kind.value}
        return _PLACE.sub(lambda place: values[place[1]], self._messages)


def _pattern(template: str) -> re.Pattern[str]:
    parts = _PLACE.split(template)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(parts)))
