"""The named ways in which a head end misbehaves, each a bounded number of times, and every time counted.

A fault fires where the table says it can: on a whole job or on one device order of it. It fires at its first
opportunity and then again after a few more, drawn from the seed, so that a short run meets every one of them. What the
head end tells by itself is hit the same way: daily `snapshots`, collections of `intervals`, tellings of `events`, and
what happens about the daily `collection`. A hit names the meters it concerns: `serial`, or `serials`.

`SHARED` are those any kind can have; a kind has a table of its own: of these the ones its protocol can show, and those
only it knows (`table`). Where a fault fires may be a word of the face's own, which it then asks for by itself
(`HeadEnd.misfortune`).
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

ANY_KIND = (
    "provision",
    "read_registers",
    "read_intervals",
    "read_on_demand",
    "switch",
    "switch_state",
    "ping",
    "limit_demand",
    "control_load",
    "set_time",
    "show_text",
)
READS = ("read_registers", "read_intervals", "read_on_demand")

#: Places beside the kinds of jobs: meters provisioned for the first time, meters behind a concentrator, and the
#: beginning of a connection by TLS.
FIRST_PROVISION = "first_provision"
CONCENTRATOR = "concentrator"
HANDSHAKE = "handshake"

MOST_TIMES = 3  # a fault fires 1 to this many times unless told otherwise

_WORDS = {
    "provision": "device initialization",
    "read_registers": "meter reading",
    "read_intervals": "reading of interval values",
    "read_on_demand": "on-demand meter reading",
    "switch": "disconnection and reconnection",
    "connect": "reconnection",
    "disconnect": "disconnection",
    "switch_state": "check of the switch state",
    "ping": "check of the connection",
    "limit_demand": "demand limitation",
    "control_load": "load control",
    "set_time": "setting of clocks",
    "show_text": "texts",
    FIRST_PROVISION: "device initialization",
    CONCENTRATOR: "any",
    HANDSHAKE: "any",
    "snapshots": "daily meter readings",
    "intervals": "profile upload",
    "events": "smart meter events",
    "collection": "smart meter events",
}


class Answer(StrEnum):
    """What a fault makes of the answer to a submit."""

    USUAL = "usual"  # nothing: it hits something else
    LOST = "lost"  # nothing of the submit is done; the face answers as the fault's name says
    DONE = "done"  # the submit is carried out; the face answers as the fault's name says


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One way to misbehave: what it does, which kinds of job it hits, and whether only one device order of it.

    `kinds` may also say `connect` or `disconnect`: switches to that state only. A job of fewer than `orders` device
    orders cannot show it.
    """

    name: str
    description: str
    kinds: tuple[str, ...]
    one_device: bool = False
    answer: Answer = Answer.USUAL
    orders: int = 1

    @property
    def hits_jobs(self) -> bool:
        """Whether it hits jobs of the client, not what the head end tells by itself."""
        return set(self.kinds) <= {*ANY_KIND, "connect", "disconnect"}

    @property
    def process(self) -> str:
        """The business processes hit, in words of the utility."""
        return "any" if self.kinds == ANY_KIND else ", ".join(_WORDS.get(kind, kind) for kind in self.kinds)


SHARED: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault(
            name="never_answers",
            description="The connection of a submit is closed without an answer and nothing was done.",
            kinds=ANY_KIND,
            answer=Answer.LOST,
        ),
        Fault(
            name="ambiguous_submit",
            description="A submit is carried out, but the connection is cut before the answer.",
            kinds=("switch",),
            answer=Answer.DONE,
        ),
        Fault(
            name="callback_before_acknowledgement",
            description="The results of a job are pushed before its submit is answered.",
            kinds=ANY_KIND,
        ),
        Fault(
            name="duplicate_callback",
            description="A push of results that was answered 2xx is sent a second time.",
            kinds=ANY_KIND,
        ),
        Fault(
            name="overloaded",
            description="A submit is answered 503 with Retry-After and nothing was done.",
            kinds=ANY_KIND,
            answer=Answer.LOST,
        ),
        Fault(
            name="accepts_then_silence",
            description="One device order is accepted, nothing is done, and no result ever comes.",
            kinds=("read_registers", "read_intervals", "read_on_demand", "switch"),
            one_device=True,
        ),
        Fault(
            name="stuck_relay",
            description="A breaker is told to move, stays where it is, and the meter says so (RELAY_STUCK).",
            kinds=("switch",),
            one_device=True,
        ),
        Fault(
            name="late_result",
            description="A device order is carried out in time, but its result is told only after expires_at.",
            kinds=("read_on_demand", "switch"),
            one_device=True,
        ),
        Fault(
            name="intervals_late",
            description="The interval values a meter delivers are told with the next collection only.",
            kinds=("intervals",),
            one_device=True,
        ),
        Fault(
            name="interval_gap",
            description="Interval values of a meter are not collected; the meter has them, and can be asked.",
            kinds=("intervals",),
            one_device=True,
        ),
        Fault(
            name="interval_revised",
            description="Interval values of a meter are estimated at first and told again, as measured, later.",
            kinds=("intervals",),
            one_device=True,
        ),
        Fault(
            name="duplicate_block",
            description="The interval values a meter delivers are told again, in another delivery.",
            kinds=("intervals",),
            one_device=True,
        ),
        Fault(
            name="event_storm",
            description="After the daily collection an area loses power: all its meters tell it within a minute.",
            kinds=("collection",),
        ),
        Fault(
            name="duplicate_event",
            description="An event is told again, under its id, in another delivery.",
            kinds=("events",),
        ),
        Fault(
            name="login_refused_once",
            description="A submit is refused as by wrong credentials (401) and nothing was done; the next is not.",
            kinds=ANY_KIND,
            answer=Answer.LOST,
        ),
        Fault(
            name="maintenance_window",
            description="Submits are answered 503 for a minute, and nothing was done.",
            kinds=ANY_KIND,
            answer=Answer.LOST,
        ),
        Fault(
            name="max_pending",
            description="A submit is refused because too many are pending, and nothing was done.",
            kinds=ANY_KIND,
            answer=Answer.LOST,
        ),
        Fault(
            name="html_error_page",
            description="A submit is answered 500 with a page of HTML and nothing was done.",
            kinds=ANY_KIND,
            answer=Answer.LOST,
        ),
        Fault(
            name="html_error_page_after_acceptance",
            description="A submit is carried out, and answered 500 with a page of HTML.",
            kinds=ANY_KIND,
            answer=Answer.DONE,
        ),
        Fault(
            name="empty_200",
            description="A submit is carried out, and answered 200 with nothing.",
            kinds=ANY_KIND,
            answer=Answer.DONE,
        ),
        Fault(
            name="soap_fault",
            description="A submit is answered 500 with a SOAP fault of the server and nothing was done.",
            kinds=ANY_KIND,
            answer=Answer.LOST,
        ),
        Fault(
            name="per_meter_reject",
            description="One device order of a submit is refused at once (BUSY), the others are taken.",
            kinds=(*READS, "switch"),
            one_device=True,
        ),
        Fault(
            name="split_callbacks",
            description="The results of a job are told in two parts.",
            kinds=ANY_KIND,
            orders=2,
        ),
        Fault(
            name="duplicate_callback_other_value",
            description="Results that were told are told again, with other values of the same instants.",
            kinds=("read_registers", "read_on_demand"),
        ),
        Fault(
            name="callback_unknown_token",
            description="Results are told under a token and correlation id nobody gave, and then as they should be.",
            kinds=ANY_KIND,
        ),
        Fault(
            name="callback_empty_correlation",
            description="Results are told with an empty correlation id.",
            kinds=ANY_KIND,
        ),
        Fault(
            name="wrong_meter_in_callback",
            description="A result names another meter than the one it is of.",
            kinds=("read_on_demand", "switch"),
        ),
        Fault(
            name="no_response_is_no_outage",
            description="A meter does not answer whether it is there; it has power all the same.",
            kinds=("ping",),
            one_device=True,
        ),
        Fault(
            name="meter_clock_drift",
            description="The instant of a meter's reading is up to 120 seconds ahead or behind.",
            kinds=("read_on_demand",),
            one_device=True,
        ),
        Fault(
            name="stamp_of_1970",
            description="The instant of a meter's reading is the first of January 1970.",
            kinds=("read_on_demand",),
            one_device=True,
        ),
        Fault(
            name="stamp_of_2000",
            description="The instant of a meter's reading is the first of January 2000.",
            kinds=("read_on_demand",),
            one_device=True,
        ),
        Fault(
            name="meter_clock_jump",
            description="The instant of a meter's reading is an hour behind.",
            kinds=("read_on_demand",),
            one_device=True,
        ),
        Fault(
            name="relay_stuck_but_acknowledged",
            description="A breaker is told to move and stays where it is; the meter says that it moved.",
            kinds=("switch",),
            one_device=True,
        ),
        Fault(
            name="arm_only_meter",
            description="A meter told to connect is only armed (ARMED): its button must be pressed.",
            kinds=("connect",),
            one_device=True,
        ),
        Fault(
            name="load_side_voltage_blocks_close",
            description="A meter told to connect finds voltage on the load side and does not (LOAD_SIDE_VOLTAGE).",
            kinds=("connect",),
            one_device=True,
        ),
        Fault(
            name="disconnect_refused",
            description="A meter told to disconnect refuses: medical equipment (DISCONNECT_REFUSED).",
            kinds=("disconnect",),
            one_device=True,
        ),
        Fault(
            name="relay_moved_but_denied",
            description="A breaker moves as it was told; the meter says that it stuck where it was (RELAY_STUCK).",
            kinds=("switch",),
            one_device=True,
        ),
        Fault(
            name="events_out_of_order",
            description="An event is told minutes to two days late, after others that happened later.",
            kinds=("events",),
            one_device=True,
        ),
        Fault(
            name="event_flood",
            description="After the daily collection up to 10,000 events come in a minute; most last gasps are lost.",
            kinds=("collection",),
        ),
        Fault(
            name="time_sync_storm",
            description="After the daily collection an area's clocks are set: all its meters tell it within a minute.",
            kinds=("collection",),
        ),
        Fault(
            name="restoration_without_outage",
            description="A meter tells that its power is back; it has told of no outage.",
            kinds=("collection",),
            one_device=True,
        ),
        Fault(
            name="late_reads",
            description="What a meter tells of a day, register readings and interval values, comes 1 to 7 days late.",
            kinds=("snapshots",),
            one_device=True,
        ),
        Fault(
            name="register_rollover",
            description="A meter provisioned for the first time passes its last digit within 30 hours, back to zero.",
            kinds=(FIRST_PROVISION,),
            one_device=True,
        ),
        Fault(
            name="meter_exchanged",
            description="In the middle of a day another meter works under a serial number, with registers from zero.",
            kinds=("collection",),
            one_device=True,
        ),
        Fault(
            name="interval_multiplied",
            description="The interval values a meter delivers are ten times too high: the multiplier is not its own.",
            kinds=("intervals",),
            one_device=True,
        ),
        Fault(
            name="concentrator_offline",
            description="A concentrator is away for ten minutes to six hours, then tells all it has in a burst.",
            kinds=(CONCENTRATOR,),
        ),
    )
}

#: Whatever its kind, a head end has it that speaks TLS (--tls).
ROLLOVER = Fault(
    name="tls_certificate_rollover",
    description="For a minute the certificate is of an authority the client does not know: no call is made.",
    kinds=(HANDSHAKE,),
)


class UnknownFault(Exception):
    """A fault was named that does not exist."""


def table(*shared: str, own: Iterable[Fault] = ()) -> dict[str, Fault]:
    """This will make the table of a kind: of the shared faults these, and its own."""
    return {name: SHARED[name] for name in shared} | {fault.name: fault for fault in own}


def parse(text: str, faults: Mapping[str, Fault]) -> dict[str, int | None]:
    """This will read `a,b=2|all` as names with the number of times to fire, None where the seed decides."""
    wanted: dict[str, int | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, times = part.partition("=")
        names = list(faults) if name == "all" else [name]
        for each in names:
            if each not in faults:
                raise UnknownFault(f"no fault {each!r}; there are {', '.join(faults)}")
            wanted[each] = int(times) if times else None
    return wanted


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What goes wrong with one job: a fault of the whole job, and faults of single device orders by their reference."""

    job: str | None = None
    devices: dict[str, str] = field(default_factory=dict)


class FaultPlan:
    """This will decide for each job what goes wrong with it, and keep the account of what did."""

    def __init__(self, wanted: dict[str, int | None], *, table: Mapping[str, Fault], seed: int) -> None:
        self.table = table
        self._random = random.Random(f"faults {seed}")
        drawn = {name: self._random.randint(1, MOST_TIMES) for name in table}
        self.remaining = {name: drawn[name] if times is None else times for name, times in wanted.items()}
        self._wait = dict.fromkeys(self.remaining, 0)
        self.hits: dict[str, list[dict[str, Any]]] = {name: [] for name in self.remaining}

    def arm(self, name: str, times: int) -> None:
        """This will make a fault fire `times` more times, beginning at its next opportunity."""
        if name not in self.table:
            raise UnknownFault(f"no fault {name!r}; there are {', '.join(self.table)}")
        self.remaining[name] = self.remaining.get(name, 0) + times
        self._wait[name] = 0
        self.hits.setdefault(name, [])

    def draw(
        self, kind: str, references: Sequence[str], *, wanted_state: str | None = None, also: Iterable[str] = ()
    ) -> Plan:
        """This will choose what goes wrong with a job of this kind; nothing is counted until `fired`.

        `wanted_state` is that of all its device orders, where it is a switch and they agree; `also` are further places
        it is at.
        """
        places = {kind, *also, {"connected": "connect", "disconnected": "disconnect"}.get(wanted_state or "", kind)}
        candidates = [
            name
            for name, left in self.remaining.items()
            if left > 0 and places & {*self.table[name].kinds} and len(references) >= self.table[name].orders
        ]
        ready = [name for name in candidates if self._wait[name] == 0]
        for name in candidates:
            self._wait[name] = max(0, self._wait[name] - 1)
        # What can happen to few kinds of job goes first, lest the others take all its opportunities.
        whole = self._rarest(name for name in ready if not self.table[name].one_device)
        if whole is not None and self.table[whole].answer is Answer.LOST:
            return Plan(job=whole)
        singles = [name for name in ready if self.table[name].one_device]
        singles.sort(key=lambda name: (len(self.hits[name]), len(self.table[name].kinds)))
        if whole is not None and singles and len(references) == self.table[whole].orders:
            # There is room for one fault only: silence of one device would leave no callback to duplicate or to split.
            if (self._rarest((whole, singles[0]))) == whole:
                singles = []
            else:
                whole = None
        singles = singles[: len(references) - (0 if whole is None else self.table[whole].orders)]
        chosen = self._random.sample(range(len(references)), len(singles)) if singles else []
        return Plan(job=whole, devices={references[at]: name for at, name in zip(chosen, singles, strict=True)})

    def fired(self, name: str, hit: dict[str, Any]) -> None:
        """This will count one firing and what it hit; also used when the journal is replayed."""
        self.remaining[name] = max(0, self.remaining.get(name, 0) - 1)
        self._wait[name] = self._random.randint(1, 4)
        self.hits.setdefault(name, []).append(hit)

    def told(self, name: str, token: str, hit: Mapping[str, Any]) -> None:
        """This will complete the hit of a job by what of it was spoiled."""
        for each in self.hits.get(name, ()):
            if each.get("token") == token:
                each.update(hit)

    def missed(self, name: str, token: str) -> None:
        """This will take back the firing on a job in whose results there was nothing to spoil."""
        left = [hit for hit in self.hits.get(name, ()) if hit.get("token") != token]
        self.remaining[name] += len(self.hits.get(name, ())) - len(left)
        self.hits[name] = left

    def _rarest(self, names: Iterable[str]) -> str | None:
        return min(names, key=lambda name: (len(self.hits[name]), len(self.table[name].kinds)), default=None)
