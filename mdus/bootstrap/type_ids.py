"""Every TypeID that MDUS may put into a Log item, with its meaning: collected from the code that says it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import mdus.domain
import mdus.messaging
import mdus.services
import mdus.workers
from mdus.contracts.log import SUCCESS_TYPE_ID
from mdus.messaging.log_types import LogTypes
from mdus.messaging.outcome import BusinessError
from mdus.settings import Settings

#: The category of errors that no row of config/log_types.toml gives another.
_CATEGORY = "PRE"


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldType:
    """A TypeID as SAP reads it, the category of errors under it, and what it means."""

    type_id: str
    category: str
    meaning: str


def told_types(settings: Settings) -> tuple[ToldType, ...]:
    """Return all that Log items may say, as the SAP systems of this installation read it."""
    log_types = LogTypes.of(settings)
    return tuple(
        ToldType(
            type_id=log_types.type_id(type_id),
            category=log_types.category(type_id, _CATEGORY) or "",
            meaning=meaning,
        )
        for type_id, meaning in type_ids().items()
    )


def type_ids() -> dict[str, str]:
    """Return the meaning of each TypeID, as it stands in the code: `101(MDUS)`.

    Whatever has a class attribute `type_id` tells it by the first line of its docstring, a module's `TYPE_IDS` by its
    short codes.
    """
    found: dict[str, str] = {}
    for package in (mdus.domain, mdus.messaging, mdus.services, mdus.workers):
        for module in _modules(package):
            for code, type_id in getattr(module, "TYPE_IDS", {}).items():
                found.setdefault(type_id, code.replace("_", " ").capitalize())
            # An error's own sentence goes before a short code.
            found |= _said_in(module)
    found |= {SUCCESS_TYPE_ID: "Done, with a remark", BusinessError.type_id: "Something is wrong that has no number"}
    return dict(sorted(found.items()))


def _said_in(module: ModuleType) -> dict[str, str]:
    classes = (kind for _, kind in inspect.getmembers(module, inspect.isclass) if kind.__module__ == module.__name__)
    return {
        type_id: (kind.__doc__ or kind.__name__).strip().splitlines()[0].rstrip(".")
        for kind in classes
        if isinstance(type_id := kind.__dict__.get("type_id"), str)
    }


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for info in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{package.__name__}.{info.name}")
