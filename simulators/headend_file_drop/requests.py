"""What the client asks for: files of its own, each a call, which are taken away once they are in the journal."""

import csv
import io
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from simulators.clock import instant, stamp
from simulators.fleet.faults import READS
from simulators.fleet.jobs import Order, Submission

_COLUMNS = ["reference", "serial", "what", "from", "to", "expires"]


class NotARequest(Exception):
    """The file is none of ours."""


@dataclass(kw_only=True, slots=True)
class Asked:
    """The orders of a request, by what is asked."""

    name: str
    orders: dict[str, list[Order]] = field(default_factory=lambda: defaultdict(list))
    expires: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))

    def submissions(self) -> list[Submission]:
        """This will make a submission of each kind, under one correlation id."""
        return [
            Submission(
                correlation_id=self.name, kind=what, orders=orders, expires_at=max(self.expires[what], default=None)
            )
            for what, orders in self.orders.items()
        ]


def read(name: str, body: bytes) -> Asked:
    """This will read a request file; NotARequest with the first mistake."""
    try:
        rows = list(csv.reader(io.StringIO(body.decode())))
    except UnicodeDecodeError as error:
        raise NotARequest(str(error)) from error
    if not rows or rows[0] != _COLUMNS:
        raise NotARequest(f"the header is not {','.join(_COLUMNS)}")
    asked = Asked(name=name)
    seen: set[str] = set()
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(_COLUMNS):
            raise NotARequest(f"line {line} has {len(row)} columns")
        reference, serial, what, begin, end, expires = row
        if not reference or not serial or reference in seen:
            raise NotARequest(f"line {line}: reference and serial must be there, and the reference only once")
        if what not in READS:
            raise NotARequest(f"line {line}: {what} is none of {', '.join(READS)}")
        seen.add(reference)
        try:
            wish = (
                {}
                if what == "read_on_demand"
                else {"period": {"from": stamp(instant(begin)), "to": stamp(instant(end))}}
            )
            if expires:
                asked.expires[what].append(instant(expires))
        except ValueError as error:
            raise NotARequest(f"line {line}: {error}") from error
        asked.orders[what].append(Order(serial=serial, reference=reference, wish=wish))
    return asked
