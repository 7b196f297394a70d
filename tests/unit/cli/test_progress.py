"""Long work shows how far it is, on terminals only, and never on standard output."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "mdus", "migrate", "--json"]


def environ(folder: Path) -> dict[str, str]:
    return {**os.environ, "MDUS_DATABASE__URL": f"sqlite:///{folder / 'mdus.db'}", "TERM": "xterm", "COLUMNS": "100"}


def test_is_shown_on_a_terminal(tmp_path: Path) -> None:
    terminal, side = pty.openpty()
    done = subprocess.run(COMMAND, env=environ(tmp_path), stdout=subprocess.PIPE, stderr=side, check=True, timeout=60)
    os.close(side)
    shown = b""
    while True:
        try:
            some = os.read(terminal, 4096)
        except OSError:  # how Linux says that the other side is closed
            break
        if not some:
            break
        shown += some
    os.close(terminal)
    assert b"migrations" in shown
    assert b"migrations" not in done.stdout


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_is_not_shown_elsewhere(tmp_path: Path, term: str) -> None:
    settings = {**environ(tmp_path), "TERM": term}
    done = subprocess.run(COMMAND, env=settings, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
