"""Metrics of this process, and of all processes together, in Prometheus' form.

Where several processes serve one installation, set `PROMETHEUS_MULTIPROC_DIR` to an empty folder before Python starts:
counts are then kept there and `exposition` adds them up. Gauges of the queues are set from the database just before.
What only the database knows (`FIGURES`) is kept nowhere: it is told as it was read, so no process leaves an old value.

Labels are names of services, interfaces, head ends, kinds and states, never ids: docs/operations/metrics.md.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
REGISTRY: Final = CollectorRegistry(auto_describe=True)

#: Buckets of what a call takes, and of what waits for people, head ends and retries: a second to a week.
_CALL_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_WAIT_BUCKETS: Final = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 1800, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600)


class Durations(Histogram):
    """A histogram that notes many equal durations at once: a batch has a few different ones among hundreds."""

    def observe_many(self, durations: Mapping[float, int]) -> None:
        """Note each duration (seconds) so often, as that many calls of `observe` would."""
        for seconds, times in durations.items():
            self._sum.inc(seconds * times)
            self._buckets[bisect_left(self._upper_bounds, seconds)].inc(times)


# Messages, by SAP's name of the interface.
MESSAGES_RECEIVED: Final = Counter(
    "mdus_messages_received", "Messages stored and answered", ["interface"], registry=REGISTRY
)
MESSAGES_REPEATED: Final = Counter(
    "mdus_messages_repeated", "Messages received again with the same key and content", ["interface"], registry=REGISTRY
)
MESSAGES_REFUSED: Final = Counter(
    "mdus_messages_refused", "Messages refused, by reason", ["interface", "reason"], registry=REGISTRY
)
CHILDREN_SET_ASIDE: Final = Counter(
    "mdus_children_set_aside", "Elements outside the contract that were set aside", ["interface"], registry=REGISTRY
)
MESSAGES_SENT: Final = Counter(
    "mdus_messages_sent",
    "Deliveries to SAP, by result (delivered, retried, dead)",
    ["interface", "result"],
    registry=REGISTRY,
)

# A call to SAP, whatever came of it (delivered, refused: SAP answered otherwise, unreachable: no answer).
SAP_CALL_SECONDS: Final = Histogram(
    "mdus_sap_call_seconds",
    "Seconds of a call to SAP, by interface and how it ended",
    ["interface", "result"],
    registry=REGISTRY,
    buckets=_CALL_BUCKETS,
)
DELIVERED_SECONDS: Final = Durations(
    "mdus_delivered_seconds",
    "Seconds from a message to SAP being stored to SAP having it (business time)",
    ["interface"],
    registry=REGISTRY,
    buckets=_WAIT_BUCKETS,
)

ANSWERED_SECONDS: Final = Durations(
    "mdus_answered_seconds",
    "Seconds from SAP having a message of ours to its confirmation being taken in (business time)",
    ["service"],
    registry=REGISTRY,
    buckets=_WAIT_BUCKETS,
)

# Items of messages, by service, and what became of them (done, failed, awaiting, parked; error: a defect of ours).
ITEMS: Final = Counter("mdus_items", "Items decided, by outcome", ["service", "outcome"], registry=REGISTRY)

DECIDED_SECONDS: Final = Durations(
    "mdus_decided_seconds",
    "Seconds from an item being stored to it being decided for good (business time)",
    ["service"],
    registry=REGISTRY,
    buckets=_WAIT_BUCKETS,
)
CONFIRMED_SECONDS: Final = Durations(
    "mdus_confirmed_seconds",
    "Seconds from an item of SAP's being stored to SAP having its confirmation (business time)",
    ["service"],
    registry=REGISTRY,
    buckets=_WAIT_BUCKETS,
)

# Commands to head ends, by kind of command (read, switch ...) and how they ended (ok, failed, refused, uncertain,
# timed_out).
COMMANDS: Final = Counter(
    "mdus_commands", "Commands ended, by head end, kind and outcome", ["head_end", "kind", "outcome"], registry=REGISTRY
)

# What head ends tell under codes that no table explains, by what the code is of (channel, event, unit, quality).
UNMAPPED: Final = Counter(
    "mdus_unmapped", "Values told under codes that no table explains", ["head_end", "source"], registry=REGISTRY
)

# A call to a head end: what for (submit, find, results, snapshots, intervals, events, meters), and how it ended (ok,
# transient: it certainly did nothing, uncertain: it may have, error: a defect of ours). Of lists each page is a call.
HEAD_END_CALL_SECONDS: Final = Histogram(
    "mdus_head_end_call_seconds",
    "Seconds of a call to a head end, by what for and how it ended",
    ["head_end", "call", "result"],
    registry=REGISTRY,
    buckets=_CALL_BUCKETS,
)
HEAD_END_ANSWER_SECONDS: Final = Durations(
    "mdus_head_end_answer_seconds",
    "Seconds from a command leaving to its result being taken in, by kind of command (business time)",
    ["head_end", "kind"],
    registry=REGISTRY,
    buckets=_WAIT_BUCKETS,
)

# Deliveries of head ends, and what became of them (stored, repeated, done, unmatched, dead).
DELIVERIES: Final = Counter(
    "mdus_deliveries",
    "Bodies from head ends, by topic and outcome",
    ["head_end", "topic", "outcome"],
    registry=REGISTRY,
)

#: Topics a head end may name before the rest are one: they come with its calls, and labels must not grow with them.
_MOST_TOPICS: Final = 50
_topics: Final[set[str]] = set()


def topic_label(topic: str) -> str:
    """Return a topic as a label: itself, or `other` when too many different ones were told already."""
    if topic not in _topics:
        if len(_topics) >= _MOST_TOPICS:
            return "other"
        _topics.add(topic)
    return topic


# Events of meters and of MDUS itself, and what was decided of them (held, due, withheld, suppressed) and why.
EVENTS: Final = Counter("mdus_events", "Events sorted, by state and reason", ["state", "reason"], registry=REGISTRY)

# Scheduled jobs, by how a run ended (done, failed, ready: tried again).
JOB_SECONDS: Final = Histogram(
    "mdus_job_seconds",
    "Seconds of a run of a scheduled job, by how it ended",
    ["job", "result"],
    registry=REGISTRY,
    buckets=(0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600),
)

# Turns of the workers' loops that ended in an error: the database was away, or a defect of ours.
TURNS_FAILED: Final = Counter("mdus_turns_failed", "Turns of loops that failed", ["loop"], registry=REGISTRY)

# Queues, read from the database: what waits, and how long the oldest has waited.
QUEUE_DEPTH: Final = Gauge(
    "mdus_queue_depth", "Rows waiting, by queue", ["queue"], registry=REGISTRY, multiprocess_mode="mostrecent"
)
QUEUE_AGE_SECONDS: Final = Gauge(
    "mdus_queue_age_seconds",
    "Age of the oldest row waiting",
    ["queue"],
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)

# What waits for an answer longer than it should, by the job confirmation_watch: whose turn it is (sap_silent,
# delivery_stuck, request_unconfirmed) and the service.
UNANSWERED: Final = Gauge(
    "mdus_unanswered",
    "Messages or items unanswered for too long",
    ["kind", "service"],
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)
UNANSWERED_AGE_SECONDS: Final = Gauge(
    "mdus_unanswered_age_seconds",
    "Age of the oldest of them, in business time",
    ["kind", "service"],
    registry=REGISTRY,
    multiprocess_mode="mostrecent",
)

# Determinants, by what a version says and why there is one.
DETERMINANTS: Final = Counter(
    "mdus_determinants",
    "Versions of determinants made, by status (released, held, withdrawn) and cause",
    ["status", "cause"],
    registry=REGISTRY,
)

# HTTP, by route (never by address: an address has ids in it).
HTTP_SECONDS: Final = Histogram(
    "mdus_http_seconds",
    "Seconds from the request's first byte to the answer's last",
    ["method", "route", "status"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A gauge that is read from the database when it is asked for: its name, meaning and labels."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()


#: By the labels' values, in their order.
Values = Mapping[tuple[str, ...], float]

LEASE: Final = Figure(
    name="mdus_lease",
    meaning="Seconds a lease is still held; negative: for how long it has run out",
    labels=("name", "holder"),
)
DEVICES: Final = Figure(
    name="mdus_devices",
    meaning="Devices, by state: registered, unregistered, never_heard, silent (for more than a day)",
    labels=("state",),
)
READING_DOCUMENTS: Final = Figure(
    name="mdus_reading_documents",
    meaning="Meter reading documents that came within 24 hours, by status",
    labels=("status",),
)
SWITCH_ORDERS: Final = Figure(
    name="mdus_switch_orders",
    meaning="Devices of connection orders that came within 24 hours, by category and status",
    labels=("category", "status"),
)
DEAD: Final = Figure(
    name="mdus_dead",
    meaning="What was given up and nobody has mended, by kind (message, item, delivery)",
    labels=("kind",),
)
OPEN_CASES: Final = Figure(name="mdus_open_cases", meaning="Open exception cases, by kind", labels=("kind",))
CASES: Final = Figure(
    name="mdus_cases",
    meaning="Lines of the work list of exception cases, by team and age in working days",
    labels=("team", "age_class"),
)
CASES_OVERDUE: Final = Figure(
    name="mdus_cases_overdue", meaning="Lines of it that should be done by now", labels=("team", "severity")
)
OLDEST_CASE_SECONDS: Final = Figure(
    name="mdus_oldest_case_seconds", meaning="Seconds since the oldest of it was opened", labels=("team",)
)
STORMS: Final = Figure(name="mdus_storms", meaning="Storms of missing data, by head end", labels=("head_end",))
COMPLETENESS: Final = Figure(
    name="mdus_completeness",
    meaning="Share of the intervals of the newest day that have a value, by head end",
    labels=("head_end",),
)
ESTIMATED_SHARE: Final = Figure(
    name="mdus_estimated_share",
    meaning="Share of the values fit to bill of the newest day that are estimated",
    labels=("sender_system",),
)
ESTIMATED_READS: Final = Figure(
    name="mdus_estimated_reads",
    meaning="Share of the readings that answered orders of SAP's of the last seven days that are estimated",
    labels=("sender_system", "head_end"),
)
DETERMINANTS_HELD: Final = Figure(
    name="mdus_determinants_held",
    meaning="Determinants that are held now, by the gate that holds them",
    labels=("gate",),
)
OLDEST_HELD_SECONDS: Final = Figure(
    name="mdus_oldest_held_determinant_seconds", meaning="Seconds for which the oldest of them has been held"
)
READING_DELAY_SECONDS: Final = Figure(
    name="mdus_reading_delay_seconds",
    meaning="Seconds from readings being measured to being stored, of the newest day",
    labels=("quantile",),
)
BILLING_READY_SECONDS: Final = Figure(
    name="mdus_billing_ready_seconds",
    meaning="Seconds from the end of a day to its values being fit to bill, of the newest day",
    labels=("quantile",),
)
JOB_AGE_SECONDS: Final = Figure(
    name="mdus_job_age_seconds", meaning="Seconds since a job was carried out last (business time)", labels=("job",)
)
SWITCHING_STOPPED: Final = Figure(name="mdus_switching_stopped", meaning="1 while disconnections are stopped, else 0")
DISK_FREE_BYTES: Final = Figure(name="mdus_disk_free_bytes", meaning="Bytes free where the SQLite file is")

FIGURES: Final[tuple[Figure, ...]] = (
    LEASE,
    DEVICES,
    READING_DOCUMENTS,
    SWITCH_ORDERS,
    DEAD,
    OPEN_CASES,
    CASES,
    CASES_OVERDUE,
    OLDEST_CASE_SECONDS,
    STORMS,
    COMPLETENESS,
    ESTIMATED_SHARE,
    ESTIMATED_READS,
    DETERMINANTS_HELD,
    OLDEST_HELD_SECONDS,
    READING_DELAY_SECONDS,
    BILLING_READY_SECONDS,
    JOB_AGE_SECONDS,
    SWITCHING_STOPPED,
    DISK_FREE_BYTES,
)


class _Told(Collector):
    """Hands on figures as they were read; one that was not has no value, but is still described."""

    def __init__(self, told: Mapping[Figure, Values]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        for figure in FIGURES:
            family = GaugeMetricFamily(figure.name, figure.meaning, labels=figure.labels)
            for labels, value in self._told.get(figure, {}).items():
                family.add_metric(labels, value)
            yield family


def exposition(told: Mapping[Figure, Values] | None = None) -> bytes:
    """Return all metrics as the text a Prometheus server scrapes (`CONTENT_TYPE`), with the figures just read."""
    figures = CollectorRegistry()
    figures.register(_Told(told or {}))
    return _counted() + generate_latest(figures)


def described() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield of every metric its name, without the suffixes of its samples, its type and its labels."""
    for metric in (value for value in globals().values() if isinstance(value, Counter | Gauge | Histogram)):
        told = next(iter(metric.describe()))
        yield told.name, told.type, tuple(metric._labelnames)
    for figure in FIGURES:
        yield figure.name, "gauge", figure.labels


def _counted() -> bytes:
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return generate_latest(REGISTRY)
    everywhere = CollectorRegistry()
    MultiProcessCollector(everywhere)  # type: ignore[no-untyped-call]  # the library leaves it unannotated
    return generate_latest(everywhere)
