"""Starts the head end: `python -m simulators.headend_file_drop --help`."""

from simulators.fleet.process import run
from simulators.headend_file_drop.face import KIND

if __name__ == "__main__":
    run(KIND)
