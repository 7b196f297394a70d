"""Starts the head end: `python -m simulators.headend_multispeak --help`."""

from simulators.fleet.process import run
from simulators.headend_multispeak.face import KIND

if __name__ == "__main__":
    run(KIND)
