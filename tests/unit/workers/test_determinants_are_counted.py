"""What is made, held and corrected of determinants is counted; the oldest that is held has its age."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection

from mdus.domain.channel import MISSING
from mdus.storage import determinant
from mdus.telemetry.metrics import DETERMINANTS
from mdus.workers import determinants
from tests.unit.workers.billing_scene import JULY, JUNE, SUSPECT, BillingScene

TENTH: Final = date(2026, 6, 10)
GAP: Final = [MISSING, *[1] * 95]


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Iterator[BillingScene]:
    made = BillingScene(database_url, tmp_path / "config")
    made.meter()
    made.fill(JUNE, JULY)
    yield made
    made.close()


def made(scene: BillingScene) -> dict[tuple[str, str], float]:
    """Run the job; returns how many more are counted then, by status and cause."""
    before = counted()
    scene.determine()
    return {of: count - before.get(of, 0) for of, count in counted().items() if count != before.get(of, 0)}


def counted() -> dict[tuple[str, str], float]:
    (metric,) = DETERMINANTS.collect()
    return {
        (sample.labels["status"], sample.labels["cause"]): sample.value
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


def held(scene: BillingScene) -> tuple[dict[str, int], timedelta | None]:
    """Return what is held, and since when, counted from now."""
    with scene.database.read() as uow:
        since = determinant.held_since(uow.connection)
        return determinant.held(uow.connection), None if since is None else scene.now - since


class TestVersions:
    def test_are_counted_by_what_they_say_and_why(self, scene: BillingScene) -> None:
        assert made(scene) == {("released", "first"): 4}
        assert made(scene) == {}
        scene.now += timedelta(days=1)
        scene.write(scene.block(TENTH, GAP))
        assert made(scene) == {("held", "corrected"): 4}
        scene.now += timedelta(days=1)
        scene.write(scene.block(TENTH, 1))
        assert made(scene) == {("released", "corrected"): 4}

    def test_are_counted_when_a_later_batch_fails(self, scene: BillingScene, monkeypatch: pytest.MonkeyPatch) -> None:
        scene.meter("43", point="DE2")
        scene.fill(JUNE, JULY, of=scene.channel("43"))
        batches = iter([True, False])

        def alone(_: Connection) -> None:
            if not next(batches):
                raise ConnectionResetError

        before = counted().get(("released", "first"), 0)
        with monkeypatch.context() as patch:
            patch.setattr(determinants, "_AT_ONCE", 1)
            patch.setattr(determinant, "alone", alone)
            with pytest.raises(ConnectionResetError):
                scene.determine()
        assert len(scene.versions()) == 4
        assert counted()["released", "first"] - before == 4
        assert made(scene) == {("released", "first"): 4}  # those of the other only
        assert len(scene.versions()) == 8

    def test_are_not_counted_when_their_batch_fails(self, scene: BillingScene, monkeypatch: pytest.MonkeyPatch) -> None:
        look = determinants._look

        def broken(*args: Any, **options: Any) -> None:
            look(*args, **options)
            raise ConnectionResetError

        before = counted()
        with monkeypatch.context() as patch:
            patch.setattr(determinants, "_look", broken)
            with pytest.raises(ConnectionResetError):
                scene.determine()
        assert scene.versions() == []
        assert counted() == before


class TestWhatIsHeld:
    def test_is_told_by_its_gate(self, scene: BillingScene) -> None:
        scene.meter("43", point="DE2")
        scene.fill(JUNE, JULY, of=scene.channel("43"))
        scene.write(scene.block(TENTH, GAP), scene.block(TENTH, of=scene.channel("43"), marks={0: SUSPECT}))
        scene.determine()
        assert held(scene)[0] == {"missing": 4, "suspect": 4}

    def test_is_nothing_where_all_is_released(self, scene: BillingScene) -> None:
        scene.determine()
        assert held(scene) == ({}, None)

    def test_is_as_old_as_its_first_version_that_was_held(self, scene: BillingScene) -> None:
        scene.determine()
        for days in (1, 2):  # held for two reasons, one after the other
            scene.now += timedelta(days=days)
            scene.write(scene.block(TENTH, [MISSING] * days + [1] * (96 - days)))
            scene.determine()
            assert held(scene) == ({"missing": 4}, timedelta(days=2 * (days - 1)))
        assert max(one.version for one in scene.versions()) == 3

    def test_is_young_again_when_it_was_released_in_between(self, scene: BillingScene) -> None:
        for values in (GAP, [1] * 96, GAP):
            scene.now += timedelta(days=3)
            scene.write(scene.block(TENTH, values))
            scene.determine()
        assert held(scene) == ({"missing": 4}, timedelta(0))
