"""Metrics of this process, and of all processes together, in Prometheus' form.

Where several processes serve one installation, set `PROMETHEUS_MULTIPROC_DIR` to an empty folder before Python starts:
counts are then kept there and `exposition` adds them up. Gauges of the queues are set from the database just before.
"""

from __future__ import annotations

import os
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
REGISTRY: Final = CollectorRegistry(auto_describe=True)

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

# Items of messages, by service, and what became of them (done, failed, awaiting, parked, expired).
ITEMS: Final = Counter("mdus_items", "Items decided, by outcome", ["service", "outcome"], registry=REGISTRY)

# Commands to head ends, by kind of command (read, switch ...) and how they ended (ok, failed, refused, timed_out).
COMMANDS: Final = Counter(
    "mdus_commands", "Commands ended, by head end, kind and outcome", ["head_end", "kind", "outcome"], registry=REGISTRY
)

# Deliveries of head ends, and what became of them (stored, repeated, done, unmatched, dead).
DELIVERIES: Final = Counter(
    "mdus_deliveries",
    "Bodies from head ends, by topic and outcome",
    ["head_end", "topic", "outcome"],
    registry=REGISTRY,
)

# Events of meters and of MDUS itself, and what was decided of them (held, due, withheld, suppressed) and why.
EVENTS: Final = Counter("mdus_events", "Events sorted, by state and reason", ["state", "reason"], registry=REGISTRY)

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

# HTTP, by route (never by address: an address has ids in it).
HTTP_SECONDS: Final = Histogram(
    "mdus_http_seconds",
    "Seconds from the request's first byte to the answer's last",
    ["method", "route", "status"],
    registry=REGISTRY,
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


def exposition() -> bytes:
    """Return all metrics as the text a Prometheus server scrapes (`CONTENT_TYPE`)."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return generate_latest(REGISTRY)
    everywhere = CollectorRegistry()
    MultiProcessCollector(everywhere)  # type: ignore[no-untyped-call]  # the library leaves it unannotated
    return generate_latest(everywhere)
