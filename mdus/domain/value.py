"""What every stored domain value has in common: a natural key, and the keys of parked work it wakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import ClassVar, Final

type_key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A frozen domain value that a service may put among its changes.

    `KEY` names the fields that identify it; saving a value with a known key replaces the stored one.
    """

    KEY: ClassVar[tuple[str, ...]] = ()

    @property
    def key(self) -> type_key:
        """Return the natural key: the values of the fields named in `KEY`, in that order."""
        kind = type(self)
        return (_KEY_READERS.get(kind) or _key_reader(kind))(self)

    @property
    def wakes(self) -> tuple[str, ...]:
        """Return the names that parked items may be waiting for and that this value's arrival satisfies."""
        return ()


#: What reads the key of a kind; made once, for a batch of thousands asks for thousands.
_KEY_READERS: Final[dict[type[Value], Callable[[Value], type_key]]] = {}


def _key_reader(kind: type[Value]) -> Callable[[Value], type_key]:
    names = kind.KEY
    # Of one name attrgetter returns the bare value, of none it cannot be made.
    reader = attrgetter(*names) if len(names) > 1 else lambda value: tuple(getattr(value, name) for name in names)
    _KEY_READERS[kind] = reader
    return reader


@dataclass(frozen=True, slots=True)
class Remove:
    """A change that deletes the value of one kind with one key; `wakes` are the names of what waits for its going."""

    kind: type[Value]
    key: type_key
    wakes: tuple[str, ...] = ()
