"""What is known while a batch is decided: the loaded values, seen through the changes decided so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from mdus.domain.value import Remove, Value, type_key
from mdus.messaging.outcome import Await, Done, Outcome

V = TypeVar("V", bound=Value)

Attributes = tuple[str, ...]
Bucket = dict[type_key, Value]


class Known:
    """The values of a batch by kind and key; `after` folds one outcome in, so each item sees those before it.

    One instance belongs to one batch: `after` works in place and returns it, because copying it per item would make a
    batch quadratic.
    """

    def __init__(self, *loaded: Iterable[Value]) -> None:
        """Take the values that `load` fetched, of any kinds."""
        self._values: dict[type[Value], Bucket] = {}
        self._indexes: dict[tuple[type[Value], Attributes], dict[type_key, Bucket]] = {}
        for values in loaded:
            for value in values:
                self._put(value)

    def one(self, kind: type[V], *key: object) -> V | None:
        """Return the value of a kind with this natural key, or None."""
        return self._values.get(kind, {}).get(key)  # type: ignore[return-value]

    def find(self, kind: type[V], **attributes: object) -> tuple[V, ...]:
        """Return all values of a kind whose attributes have these values, in the order they were loaded or saved."""
        names = tuple(sorted(attributes))
        index = self._indexes.get((kind, names))
        if index is None:
            index = self._indexes[(kind, names)] = {}
            for value in self._values.get(kind, {}).values():
                _file(index, names, value)
        return tuple(index.get(tuple(attributes[name] for name in names), {}).values())  # type: ignore[arg-type]

    def after(self, outcome: Outcome) -> Known:
        """Return what is known once the changes of this outcome are made."""
        if isinstance(outcome, Done | Await):
            for change in outcome.changes:
                if isinstance(change, Remove):
                    self._drop(change.kind, change.key)
                else:
                    self._put(change)
        if isinstance(outcome, Await):
            for command in outcome.commands:
                if command.key not in self._values.get(type(command), {}):
                    self._put(command)
        return self

    def _put(self, value: Value) -> None:
        kind, key = type(value), value.key
        self._drop(kind, key)
        self._values.setdefault(kind, {})[key] = value
        for (indexed, names), index in self._indexes.items():
            if indexed is kind:
                _file(index, names, value)

    def _drop(self, kind: type[Value], key: type_key) -> None:
        old = self._values.get(kind, {}).pop(key, None)
        if old is None:
            return
        for (indexed, names), index in self._indexes.items():
            if indexed is kind:
                index[tuple(getattr(old, name) for name in names)].pop(key, None)


def _file(index: dict[type_key, Bucket], names: Attributes, value: Value) -> None:
    index.setdefault(tuple(getattr(value, name) for name in names), {})[value.key] = value
