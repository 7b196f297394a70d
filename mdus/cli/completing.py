"""What the shell offers for an argument. Written out, because a shell does not wait for MDUS to be loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

GIVEN_UP: Final = ("message", "item", "delivery")
UNMAPPED: Final = ("channel", "event", "unit", "quality")
IMPORTED: Final = ("device", "register", "location", "logical_location", "point_of_delivery")
FORMATS: Final = ("cmep", "csv", "registers", "document", "events", "results")
ROLES: Final = ("viewer", "operator", "approver", "admin")
JOBS: Final = (
    "due_readings",
    "command_timeouts",
    "confirmation_watch",
    "head_end_poll",
    "interval_export",
    "estimate_missing",
    "interval_corrections",
    "determinants",
    "exception_ageing",
    "registry_sync",
    "kpi_rollup",
    "retention",
    "reconcile",
)


def one_of(names: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Return what completes the beginning of one of these names."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names if name.startswith(incomplete)]

    return complete
