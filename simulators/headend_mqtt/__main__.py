"""Starts the concentrators: `python -m simulators.headend_mqtt --help`."""

from simulators.fleet.process import run
from simulators.headend_mqtt.face import KIND

if __name__ == "__main__":
    run(KIND)
