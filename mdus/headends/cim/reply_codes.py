"""The reply codes of IEC 61968-9: what each says of a whole message, and of one meter in it.

| class | codes | a whole message | one meter |
|---|---|---|---|
| nothing to report | 0.0 | taken | done |
| more follows, last part | 0.1, 0.2 | taken | see `decoding` |
| acknowledged | 0.3 | taken | - |
| refused | 1.x, 2.x, 7.2 to 7.7 | every command rejected | rejected |
| too many items | 3.1 | the adapter sends fewer in a message | rejected |
| later | 3.2, 4.1, 5.1, 5.2, 7.1 | tried again | failed as BUSY or NO_RESPONSE |
| attempted | 5.3, 5.4, 4.1 of a control, any other | a switch: state is read; a limit: again | of a control in doubt |
| no data | 5.5 to 5.8 | every command rejected | failed as NO_DATA |
| called off | 5.9, 6.1, 6.5 | every command rejected | failed |
| news | 6.2, 6.3, 6.4 | taken | - |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from lxml import etree

from mdus.headends.cim import elements


class ReplyClass(StrEnum):
    """What happens next after a reply code."""

    NOTHING = "nothing"
    MORE_FOLLOWS = "more_follows"
    LAST_PART = "last_part"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    TOO_MANY = "too_many"
    LATER = "later"
    ATTEMPTED = "attempted"
    NO_DATA = "no_data"
    CALLED_OFF = "called_off"
    NEWS = "news"


#: Classes of codes that say nothing went wrong.
HARMLESS: Final = frozenset(
    {
        ReplyClass.NOTHING,
        ReplyClass.MORE_FOLLOWS,
        ReplyClass.LAST_PART,
        ReplyClass.ACKNOWLEDGED,
        ReplyClass.NEWS,
    }
)

#: Levels at which an Error says something beside what was done.
_REMARKS: Final = frozenset({"INFORM", "WARNING"})


class _Row(NamedTuple):
    """A reply code: its class, and our short code of a failure."""

    means: ReplyClass
    name: str


#: The code of a time-out: of a read nothing happened, of a control nobody knows.
TIMED_OUT: Final = "4.1"

_CODES: Final[Mapping[str, _Row]] = {
    "0.0": _Row(ReplyClass.NOTHING, ""),
    "0.1": _Row(ReplyClass.MORE_FOLLOWS, ""),
    "0.2": _Row(ReplyClass.LAST_PART, ""),
    "0.3": _Row(ReplyClass.ACKNOWLEDGED, ""),
    "2.4": _Row(ReplyClass.REFUSED, "UNKNOWN_METER"),
    "2.6": _Row(ReplyClass.REFUSED, "REGISTER_MISMATCH"),  # invalid reading type
    "2.10": _Row(ReplyClass.REFUSED, "REGISTER_MISMATCH"),  # unsupported reading type
    "3.1": _Row(ReplyClass.TOO_MANY, "BATCH_REFUSED"),
    "3.2": _Row(ReplyClass.LATER, "BUSY"),  # too many pending requests
    "4.1": _Row(ReplyClass.LATER, "NO_RESPONSE"),
    "5.1": _Row(ReplyClass.LATER, "BUSY"),  # high system activity
    "5.2": _Row(ReplyClass.LATER, "BUSY"),  # not attempted
    "5.3": _Row(ReplyClass.ATTEMPTED, "ATTEMPT_FAILED"),
    "5.5": _Row(ReplyClass.NO_DATA, "NO_DATA"),  # reading types not in the MDMS
    "5.6": _Row(ReplyClass.NO_DATA, "NO_DATA"),  # reading types not in the AMI
    "5.7": _Row(ReplyClass.NO_DATA, "NO_DATA"),
    "5.8": _Row(ReplyClass.NO_DATA, "NO_DATA"),  # a field of it is missing
    "5.9": _Row(ReplyClass.CALLED_OFF, "ABORTED"),  # for the integrity of the transaction
    "6.1": _Row(ReplyClass.CALLED_OFF, "CALLED_OFF"),
    "6.2": _Row(ReplyClass.NEWS, ""),  # held
    "6.3": _Row(ReplyClass.NEWS, ""),  # released
    "6.4": _Row(ReplyClass.NEWS, ""),  # rescheduled
    "6.5": _Row(ReplyClass.CALLED_OFF, "CALLED_OFF"),  # by a user
    "7.1": _Row(ReplyClass.LATER, "BUSY"),  # not logged in: an operator mends it
}

#: Whole groups, for codes that have no row; SOAP's own words for "your message" among them.
_GROUPS: Final[Mapping[str, _Row]] = {
    "1": _Row(ReplyClass.REFUSED, "BATCH_REFUSED"),
    "2": _Row(ReplyClass.REFUSED, "BATCH_REFUSED"),
    "7": _Row(ReplyClass.REFUSED, "BATCH_REFUSED"),
    "Client": _Row(ReplyClass.REFUSED, "BATCH_REFUSED"),
    "Sender": _Row(ReplyClass.REFUSED, "BATCH_REFUSED"),
}

_UNKNOWN: Final = _Row(ReplyClass.ATTEMPTED, "ATTEMPT_FAILED")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplyError:
    """An Error of a Reply: its code, and the object it is about as far as it names one."""

    code: str
    level: str = ""
    reason: str = ""
    serial_id: str | None = None
    names: tuple[str, ...] = ()  # ids and names of the object: a meter's, or the mRID we gave a control

    @classmethod
    def of(cls, element: etree._Element) -> ReplyError:
        """Read an Error."""
        about = elements.child(element, "object")
        told = [elements.text(element, "ID"), elements.text(element, "relatedID"), elements.text(about, "mRID")]
        if about is not None:
            told += [elements.text(each, "name") for each in elements.children(about, "Name")]
            told += [elements.text(each, "name") for each in elements.children(about, "Names")]
        words = [elements.text(element, "reason"), elements.text(element, "details")]
        return cls(
            code=_plain(elements.text(element, "code") or ""),
            level=(elements.text(element, "level") or "").upper(),
            reason=": ".join(each for each in words if each),
            serial_id=elements.text(about, "serialNumber"),
            names=tuple(dict.fromkeys(each for each in told if each)),
        )

    @property
    def means(self) -> ReplyClass:
        """Return what happens next."""
        return _row(self.code).means

    @property
    def name(self) -> str:
        """Return our short code of the failure."""
        return _row(self.code).name

    @property
    def is_failure(self) -> bool:
        """Tell whether something was not done: a remark beside what was done is none."""
        return self.means not in HARMLESS and self.level not in _REMARKS

    @property
    def is_of_one(self) -> bool:
        """Tell whether it is about one object, not the whole message."""
        return self.serial_id is not None or bool(self.names)

    @property
    def leaves_doubt(self) -> bool:
        """Tell whether a control may have been carried out all the same."""
        return self.means is ReplyClass.ATTEMPTED or self.code == TIMED_OUT

    @property
    def words(self) -> str:
        """Return code and reason for people."""
        return f"{self.code} {self.reason}".strip()


def _row(code: str) -> _Row:
    return _CODES.get(code) or _GROUPS.get(code.partition(".")[0], _UNKNOWN)


def _plain(code: str) -> str:
    """Return a code as the table has it: some write 02.04, or the code with its name behind it."""
    first = code.split()[0] if code.split() else ""
    parts = first.split(".")
    return ".".join(part.lstrip("0") or "0" for part in parts) if all(map(str.isdigit, parts)) else first
