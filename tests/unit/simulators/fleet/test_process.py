"""The common command line: what a profile sets, and what overrules it."""

import argparse

import pytest

from simulators.fleet.core import Behaviour
from simulators.fleet.face import Face, Kind
from simulators.fleet.process import arguments, behaviour


def add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder")


KIND = Kind(name="drop", description="Drops files.", face=Face, faults={}, add_options=add_folder, port=9200)


def read(*options: str) -> Behaviour:
    return behaviour(arguments(KIND).parse_args(list(options)))


class TestArguments:
    def test_take_port_and_options_of_the_kind(self) -> None:
        options = arguments(KIND).parse_args(["--folder", "/x"])
        assert (options.kind, options.port, options.folder) == ("drop", 9200, "/x")


class TestBehaviour:
    def test_is_in_no_network_unless_told(self) -> None:
        network = read().network
        assert (network.median, network.sigma, network.transient, network.incomplete) == (3.0, 0.6, 0.01, 0.01)
        assert (network.batch, read().concentrators, read().concentrator_limit) == (None, 0, None)

    @pytest.mark.parametrize(
        ("profile", "concentrators", "limit"),
        [
            pytest.param("rf_mesh", 1, 15, id="rf_mesh"),
            pytest.param("p2mp", 1, 50, id="p2mp"),
            pytest.param("plc", 1, 3, id="plc"),
            pytest.param("cellular", 0, None, id="cellular"),
        ],
    )
    def test_has_concentrators_where_the_network_does(
        self, profile: str, concentrators: int, limit: int | None
    ) -> None:
        found = read("--profile", profile)
        assert (found.concentrators, found.concentrator_limit) == (concentrators, limit)

    def test_follows_options_rather_than_the_profile(self) -> None:
        found = read(
            *("--profile", "rf_mesh", "--latency", "1", "--failure-rate", "0"),
            *("--concentrators", "4", "--concentrator-limit", "2"),
        )
        assert (found.network.median, found.network.transient, found.network.never) == (1.0, 0.0, 0.0)
        assert (found.concentrators, found.concentrator_limit) == (4, 2)
