"""A simulator ends with whoever started it, also where that had no time to say so."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PATIENCE = 30.0

# Starts a simulator, tells its process number, and waits to be killed.
_STARTER = """
import os, subprocess, sys
child = subprocess.Popen([*sys.argv[1:], "--parent", str(os.getpid())], stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline(), flush=True)
sys.stdin.read()
"""

_HEAD_END = ("simulators.headend_rest", "--port", "0", "--meters", "3", "--password", "secret")
_SAP = ("simulators.sap_cis", "--port", "0", "--password", "secret", "--own-password", "secret")


@pytest.mark.parametrize("simulator", [pytest.param(_HEAD_END, id="head-end"), pytest.param(_SAP, id="sap")])
def test_ends_when_its_starter_was_killed(simulator: tuple[str, ...]) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", _STARTER, sys.executable, "-m", *simulator],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdin is not None
    assert starter.stdout is not None
    number, _, first_line = starter.stdout.readline().partition(" ")
    running = psutil.Process(int(number))
    try:
        assert json.loads(first_line)["listening"].startswith("http://127.0.0.1:")
        assert running.is_running()
        starter.kill()
        starter.wait()
        running.wait(PATIENCE)  # raises where it does not end
    finally:
        starter.kill()
        starter.stdin.close()
        starter.stdout.close()
        if running.is_running():
            running.kill()


def test_ends_at_once_when_its_starter_is_gone_already() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    done = subprocess.run(
        [sys.executable, "-m", *_HEAD_END, "--parent", str(gone.pid)],
        cwd=REPOSITORY,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode != 0
