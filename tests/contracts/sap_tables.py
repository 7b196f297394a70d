"""The three tables of SAP's contract, as the tests read them."""

from __future__ import annotations

import csv
from pathlib import Path

_FOLDER = Path(__file__).parent / "tables"


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of one table by column."""
    with (_FOLDER / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def types() -> list[dict[str, str]]:
    """Return the rows of the types: one per child, attribute, base or simple type."""
    return rows("sap_types")


def services() -> list[dict[str, str]]:
    """Return the rows of the services: one per message."""
    return rows("sap_services")


def extensions() -> list[dict[str, str]]:
    """Return the rows of single customers' extensions."""
    return rows("sap_type_extensions")
