"""Takes one message in and dies in the instant between the commit and the answer: `... URL FILE`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.flows.intake.installation import Installation


async def _die(event: dict[str, Any]) -> None:
    """Take the beginning of the answer, which nobody will see."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(url: str, file: str) -> None:
    """Post the file's bytes to an installation on this database."""
    from mdus.bootstrap.discovery import discover

    mdus = Installation(url, services=discover().services)
    inner = mdus.app

    async def cut(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, _die)

    mdus.app = cut  # type: ignore[assignment]
    mdus.post(Path(file).read_bytes())


main(*sys.argv[1:])
