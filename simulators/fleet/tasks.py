"""Tasks that must not end by themselves."""

import asyncio
import signal
import traceback


def ends_all(task: asyncio.Task[None]) -> None:
    """This will end the process when a task of it broke: a head end that answers but does nothing would mislead."""
    if task.cancelled() or task.exception() is None:
        return
    traceback.print_exception(task.exception())
    signal.raise_signal(signal.SIGTERM)
