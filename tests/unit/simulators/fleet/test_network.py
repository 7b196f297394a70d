"""The networks between head end and meters keep to their figures."""

from datetime import UTC, datetime, timedelta
from statistics import median

import pytest

from simulators.fleet.meters import population
from simulators.fleet.network import NETWORKS, Network

NOON = datetime(2026, 3, 27, 11, tzinfo=UTC)
METERS = population(seed=1, size=2000)


def latencies(network: Network, kind: str = "read_on_demand") -> list[float]:
    return [network.seconds(meter, seed=1, attempt=number, kind=kind) for meter in METERS for number in range(3)]


class TestSeconds:
    @pytest.mark.parametrize(
        ("name", "middle"),
        [
            pytest.param("rf_mesh", 15.0, id="rf_mesh"),  # 12 s and on the mean a hop and a half
            pytest.param("p2mp", 8.0, id="p2mp"),
            pytest.param("plc", 90.0, id="plc"),
            pytest.param("cellular", 3.0, id="cellular"),
        ],
    )
    def test_lie_around_the_median(self, name: str, middle: float) -> None:
        assert median(latencies(NETWORKS[name])) == pytest.approx(middle, rel=0.08)

    def test_are_more_for_a_breaker(self) -> None:
        mesh = NETWORKS["rf_mesh"]
        assert latencies(mesh, "switch") == [1.5 * seconds for seconds in latencies(mesh)]

    def test_follow_from_the_seed(self) -> None:
        mesh = NETWORKS["rf_mesh"]
        assert latencies(mesh) == latencies(mesh)
        assert mesh.seconds(METERS[0], seed=1, attempt=0, kind="ping") != mesh.seconds(
            METERS[0], seed=2, attempt=0, kind="ping"
        )


class TestAnswers:
    @pytest.mark.parametrize("name", list(NETWORKS))
    def test_fail_to_come_as_often_as_the_network_says(self, name: str) -> None:
        network = NETWORKS[name]
        moments = [NOON + timedelta(minutes=15 * number) for number in range(200)]
        asked = [(meter, number, at) for meter in METERS[:200] for number, at in enumerate(moments)]
        for meter, _, _ in asked:
            meter.concentrator = "DC-001"
        silent = sum(not network.answers(meter, seed=1, attempt=number, at=at) for meter, number, at in asked)
        assert silent / len(asked) == pytest.approx(network.never + network.transient, rel=0.4)

    def test_never_come_from_some_meters(self) -> None:
        network = Network(name="none", median=1.0, never=0.005)
        silent = [meter for meter in METERS if not network.answers(meter, seed=1, attempt=0, at=NOON)]
        assert 2 <= len(silent) <= 25
        assert all(not network.answers(silent[0], seed=1, attempt=number, at=NOON) for number in range(50))

    def test_fail_together_behind_a_concentrator(self) -> None:
        network = NETWORKS["rf_mesh"]
        for meter in METERS:
            meter.concentrator = "DC-001"
        failed = [
            sum(
                not network.answers(meter, seed=1, attempt=number, at=NOON + timedelta(minutes=15 * number))
                for meter in METERS
            )
            for number in range(40)
        ]
        assert max(failed) > 4 * (median(failed) or 1)

    def test_always_come_where_nothing_fails(self) -> None:
        network = Network(name="none", median=1.0)
        assert all(network.answers(meter, seed=1, attempt=0, at=NOON) for meter in METERS)
