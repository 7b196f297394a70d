"""Starts the head end: `python -m simulators.headend_token_poll --help`."""

from simulators.fleet.process import run
from simulators.headend_token_poll.face import KIND

if __name__ == "__main__":
    run(KIND)
