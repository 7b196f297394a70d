"""Metrics: what this process counts, and what all processes of an installation count together."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from mdus.telemetry import metrics

COUNT_ONE = """
from mdus.telemetry import metrics
metrics.ITEMS.labels("service", "done").inc()
"""
PRINT = "from mdus.telemetry import metrics; print(metrics.exposition().decode())"


def run(script: str, folder: Path) -> str:
    environ = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


class TestExposition:
    def test_has_the_counts_of_this_process(self) -> None:
        counter = metrics.MESSAGES_REFUSED.labels("AnInterface", "schema")
        counter.inc()
        assert b'mdus_messages_refused_total{interface="AnInterface",reason="schema"} 1.0' in metrics.exposition()

    def test_adds_up_the_counts_of_all_processes(self, tmp_path: Path) -> None:
        run(COUNT_ONE, tmp_path)
        run(COUNT_ONE, tmp_path)
        assert 'mdus_items_total{outcome="done",service="service"} 2.0' in run(PRINT, tmp_path)


class TestDurations:
    def test_note_many_at_once_as_one_by_one(self) -> None:
        registry = CollectorRegistry()
        at_once = metrics.Durations("at_once", "", ["of"], registry=registry, buckets=(1, 5))
        one_by_one = Histogram("one_by_one", "", ["of"], registry=registry, buckets=(1, 5))
        at_once.labels("x").observe_many({0.5: 3, 1: 2, 5.5: 4})
        for seconds in [0.5] * 3 + [1] * 2 + [5.5] * 4:
            one_by_one.labels("x").observe(seconds)
        text = re.sub(r"(?m)^.*_created.*\n", "", generate_latest(registry).decode())
        first, second = text.split("# HELP one_by_one")
        assert first.replace("at_once", "one_by_one") == "# HELP one_by_one" + second
        assert 'at_once_bucket{le="1.0",of="x"} 5.0' in first

    def test_add_up_over_processes(self, tmp_path: Path) -> None:
        script = "from mdus.telemetry import metrics\nmetrics.DECIDED_SECONDS.labels('s').observe_many({0.3: 2})"
        run(script, tmp_path)
        run(script, tmp_path)
        told = run(PRINT, tmp_path)
        assert 'mdus_decided_seconds_count{service="s"} 4.0' in told
        assert 'mdus_decided_seconds_bucket{le="0.1",service="s"} 0.0' in told


class TestFigures:
    def test_are_told_as_they_were_read_and_forgotten(self) -> None:
        told = metrics.exposition({metrics.LEASE: {("leader", "a:1"): 7.0}}).decode()
        assert 'mdus_lease{holder="a:1",name="leader"} 7.0' in told
        assert 'holder="a:1"' not in metrics.exposition({metrics.LEASE: {("leader", "b:2"): 9.0}}).decode()

    def test_have_names_and_labels_like_all_metrics(self) -> None:
        described = {name: labels for name, _, labels in metrics.described()}
        assert described["mdus_lease"] == ("name", "holder")
        assert described["mdus_items"] == ("service", "outcome")
        told = set(re.findall(r"^# TYPE (mdus_\w+) ", metrics.exposition().decode(), flags=re.MULTILINE))
        assert {name.removesuffix("_total").removesuffix("_created") for name in told} == set(described)


class TestTopicLabel:
    def test_is_the_topic_until_there_are_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(metrics, "_topics", {f"t{number}" for number in range(49)})
        assert [metrics.topic_label(topic) for topic in ("one", "two", "one", "t1")] == ["one", "other", "one", "t1"]
