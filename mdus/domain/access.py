"""Who may do what: roles, each of which may all that the ones before it may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from mdus.domain.value import Value


class Role(StrEnum):
    """What a caller may do."""

    VIEWER = "viewer"  # read, without personal data
    OPERATOR = "operator"  # read all; mend what was given up; limit demand and control load; stop disconnections
    APPROVER = "approver"  # disconnect, let disconnections leave again, release determinants
    ADMIN = "admin"  # everything

    def includes(self, other: Role) -> bool:
        """Tell whether whoever has this role may do what takes the other."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER: Final = tuple(Role)

#: What it takes to have a meter disconnected, in whatever way.
MAY_SWITCH: Final = Role.APPROVER


@dataclass(frozen=True, kw_only=True, slots=True)
class Client(Value):
    """A REST client whose token is in force, by the name that an audit says."""

    KEY: ClassVar[tuple[str, ...]] = ("name",)

    name: str
    role: Role

    @property
    def may_switch(self) -> bool:
        """Tell whether it may have meters disconnected."""
        return self.role.includes(MAY_SWITCH)


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who calls: `name` is what an audit says; `systems` are the sender systems it may see, None for all.

    Whoever `sees_personal` is told addresses and whole messages: an operator, and a SAP system what is its own.
    """

    name: str
    role: Role
    systems: tuple[str, ...] | None = None
    sees_personal: bool = False

    def may_see(self, system: str) -> bool:
        """Tell whether what belongs to a sender system is shown."""
        return self.systems is None or system in self.systems
