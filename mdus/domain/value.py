"""What every stored domain value has in common: a natural key, and the keys of parked work it wakes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import ClassVar

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
        return _key_reader(type(self))(self)

    @property
    def wakes(self) -> tuple[str, ...]:
        """Return the names that parked items may be waiting for and that this value's arrival satisfies."""
        return ()


@cache
def _key_reader(kind: type[Value]) -> Callable[[Value], type_key]:
    """Return what reads the key of a kind; made once, for a batch of thousands asks for thousands."""
    names = kind.KEY
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


@dataclass(frozen=True, slots=True)
class Remove:
    """A change that deletes the value of one kind with one key."""

    kind: type[Value]
    key: type_key
