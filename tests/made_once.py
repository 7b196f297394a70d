"""What every installation makes anew and a test process needs once only: SQL of statements, and the tables of TOML.

An engine keeps the SQL of its statements to itself, and each test has an engine: without this a fifth of the time of
flows goes into writing the same SQL again.
"""

from __future__ import annotations

import copy
import tomllib
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Engine

#: Statements kept at most: of a few thousand, all.
_MOST: Final = 10_000


class Compiled(dict[Any, Any]):
    """The SQL of statements for all engines of one kind of database.

    A key begins with the engine's own dialect, which is left out: all of a kind are set up alike.
    """

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        """Return what is kept of a statement."""
        return super().get(key[1:], default)

    def __setitem__(self, key: tuple[Any, ...], compiled: Any) -> None:
        """Keep a statement; too many are all forgotten."""
        if len(self) >= _MOST:
            self.clear()
        super().__setitem__(key[1:], compiled)


_COMPILED: Final[dict[tuple[str, str], Compiled]] = {}
_read = tomllib.loads


def share_compiled(connection: Connection) -> None:
    """Let a connection take the SQL of its statements from those of all; for the event `engine_connect`."""
    engine: Engine = connection.engine
    if "compiled_cache" not in engine.get_execution_options():
        dialect: Dialect = engine.dialect
        shared = _COMPILED.setdefault((dialect.name, dialect.driver), Compiled())
        engine.update_execution_options(compiled_cache=shared)
        connection.execution_options(compiled_cache=shared)


def toml(text: str, /) -> dict[str, Any]:
    """Read TOML as `tomllib.loads` does."""
    return copy.deepcopy(_toml(text))


@lru_cache(maxsize=256)
def _toml(text: str) -> dict[str, Any]:
    return _read(text)
