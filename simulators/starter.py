"""A simulator that was started for a while ends with whoever started it, also where that was killed."""

import os
import signal
import threading
import time
from argparse import ArgumentParser

_LOOK_EVERY = 0.5  # real seconds
_PATIENCE = 5.0  # real seconds to end in good order


def add_option(parser: ArgumentParser) -> None:
    """This will describe the option that names the starter."""
    parser.add_argument(
        "--parent", type=int, metavar="PID", help="end when this process is gone, which has started this one"
    )


def end_with(parent: int | None) -> None:
    """This will watch the process `parent`, if any, and end this one in good order, or at all, once it is gone."""
    if parent is not None:
        # A thread of its own: it looks on, whatever the event loop is doing.
        threading.Thread(target=_watch, args=(parent,), name="starter", daemon=True).start()


def _watch(parent: int) -> None:
    # A child sees the end of its starter at once, and never mistakes another process with the same number for it.
    is_child = os.getppid() == parent
    while os.getppid() == parent if is_child else _is_there(parent):
        time.sleep(_LOOK_EVERY)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(1)


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
