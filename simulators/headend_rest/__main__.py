"""Starts the head end: `python -m simulators.headend_rest --help`."""

from simulators.fleet.process import run
from simulators.headend_rest.face import KIND

if __name__ == "__main__":
    run(KIND)
