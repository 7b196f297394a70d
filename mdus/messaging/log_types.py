"""TypeIDs of Log items: ours as SAP is to read them, and SAP's that count as success.

Services number what they have to say once and for all, `101(MDUS)`. What an installation's SAP wants to read instead
(another message class, a number of its own, a category for its error handling) is put in when a confirmation is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, TypeVar

from pydantic import Field

from mdus.contracts.log import CATEGORY_LENGTH, TYPE_ID_LENGTH, Log
from mdus.messaging.outcome import Problem, Result
from mdus.settings import Section, Settings

#: The message class of the TypeIDs that stand in the code.
_OURS: Final = "(MDUS)"

R = TypeVar("R", bound=Result)


class LogTypeRow(Section):
    """A row of config/log_types.toml, table `log_types`: how SAP reads what MDUS says under one number."""

    name: str
    number: Annotated[str, Field(pattern=r"^[0-9]{3}$")]
    type_id: Annotated[str, Field(min_length=1, max_length=TYPE_ID_LENGTH)] | None = None
    category: Annotated[str, Field(min_length=1, max_length=CATEGORY_LENGTH)] | None = None


class AcceptedTypeRow(Section):
    """A row of config/log_types.toml, table `accepted_types`: a refusal of SAP that says the work is done already."""

    name: str
    type_id: Annotated[str, Field(min_length=1, max_length=TYPE_ID_LENGTH)]
    service: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LogTypes:
    """How SAP is to read our TypeIDs: a row says it, else the message class of the installation."""

    message_class: str = "MDUS"
    rows: Mapping[str, LogTypeRow] = field(default_factory=dict)  # by number

    @classmethod
    def of(cls, settings: Settings) -> LogTypes:
        """Return what config/log_types.toml and `cis.message_class` say."""
        rows = {row.number: row for row in settings.rows("log_types", LogTypeRow)}
        return cls(message_class=settings.cis.message_class, rows=rows)

    def told(self, result: R) -> R:
        """Return the result of an item with its problems as SAP is to read them."""
        if not result.problems:
            return result
        return replace(result, problems=tuple(map(self._told, result.problems)))

    def log(self, log: Log) -> Log:
        """Return a log that was made without a result as SAP is to read it."""
        items = (
            item
            if item.type_id is None
            else replace(
                item,
                type_id=self.type_id(item.type_id),
                category=item.category and self.category(item.type_id, item.category),
            )
            for item in log.items
        )
        return replace(log, items=tuple(items))

    def type_id(self, type_id: str) -> str:
        """Return a TypeID as SAP is to read it; one that is not ours stays as it is."""
        number = type_id.removesuffix(_OURS)
        if number == type_id:
            return type_id
        row = self.rows.get(number)
        return (row and row.type_id) or f"{number}({self.message_class})"

    def category(self, type_id: str, otherwise: str | None) -> str | None:
        """Return the CategoryCode of an error, `otherwise` where no row says."""
        row = self.rows.get(type_id.removesuffix(_OURS))
        return (row and row.category) or otherwise

    def _told(self, problem: Problem) -> Problem:
        return replace(
            problem,
            type_id=self.type_id(problem.type_id),
            category=self.category(problem.type_id, problem.category),
        )


def accepted_types(settings: Settings, *, service: str) -> tuple[str, ...]:
    """Return how TypeIDs begin by which SAP refuses what a service sent, and means that it has it already."""
    rows = settings.rows("accepted_types", AcceptedTypeRow)
    return tuple(row.type_id for row in rows if row.service in (None, service))
