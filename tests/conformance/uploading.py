"""Runs MDUS's job `interval_export` every other second: what its clock does every five minutes, no test waits for.

`python -m tests.conformance.uploading`, with the settings of that MDUS in the environment; ends when told to.
"""

from __future__ import annotations

import os
import time

from mdus.bootstrap.jobs import run_job

_PAUSE_SECONDS = 2.0


def main() -> None:
    """Run it for ever."""
    while True:
        run_job(os.environ, "interval_export")
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    main()
