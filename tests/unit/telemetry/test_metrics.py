"""Metrics: what this process counts, and what all processes of an installation count together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
