"""Starts the head end: `python -m simulators.headend_cim --help`."""

from simulators.fleet.process import run
from simulators.headend_cim.face import KIND

if __name__ == "__main__":
    run(KIND)
