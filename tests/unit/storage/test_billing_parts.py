"""Parts of days are stored with the final values they are of, in few statements, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, select

from mdus.billing.determinant_set import BillingPolicy
from mdus.domain.interval_block import Layer
from mdus.storage.billing_part import BILLING_PART, final_days, stored_parts
from mdus.storage.billing_parts import store_parts
from mdus.storage.interval_block import ensure_channels, write_blocks
from tests.unit.workers.billing_scene import ESTIMATED, JULY, JUNE, SUSPECT, BillingScene

DAY = date(2026, 6, 10)


@pytest.fixture
def scene(database_url: str, tmp_path: Path) -> Iterator[BillingScene]:
    made = BillingScene(database_url, tmp_path / "config")
    yield made
    made.close()


def test_are_read_as_they_were_stored(scene: BillingScene) -> None:
    other = scene.channel("43")
    marks = {0: ESTIMATED, 1: ESTIMATED, 2: SUSPECT}
    scene.write(scene.block(DAY, 7, marks=marks), scene.block(date(2026, 6, 14), 2), scene.block(DAY, 3, of=other))
    with scene.database.read() as uow:
        found = stored_parts(uow.connection, [scene.channel(), other], JUNE, JULY)
        assert stored_parts(uow.connection, [], JUNE, JULY).days.tolist() == []
        nobody = stored_parts(uow.connection, [scene.channel("44")], JUNE, JULY)
    rows = found.between(scene.channel(), JUNE, JULY)
    assert found.days[rows].tolist() == [DAY.toordinal(), date(2026, 6, 14).toordinal()]
    assert found.numbers[rows, :2].tolist() == [[448, 224], [0, 192]]
    assert (found.estimated[rows].tolist(), found.suspect[rows].tolist()) == ([2, 0], [1, 0])
    recipe = scene.settings.made(BillingPolicy).recipe(scene.channel(), DAY)
    assert recipe is not None
    assert found.recipes[rows][0] == recipe.number
    later = found.between(scene.channel(), date(2026, 6, 11), date(2026, 6, 14))
    assert later.start == later.stop
    assert found.numbers[found.between(other, DAY, date(2026, 6, 11)), :2].tolist() == [[192, 96]]
    assert nobody.between(scene.channel("44"), JUNE, JULY) == slice(0, 0)


def test_of_a_new_version_take_the_place_of_the_old(scene: BillingScene) -> None:
    scene.write(scene.block(DAY))
    scene.write(scene.block(DAY, 2))
    with scene.database.read() as uow:
        [row] = uow.connection.execute(select(BILLING_PART))
        found = stored_parts(uow.connection, [scene.channel()], DAY, JULY)
    assert row.version == 2
    assert found.numbers[0, :2].sum() == 192


def test_are_none_of_raw_values_and_of_what_no_set_asks_for(scene: BillingScene) -> None:
    raw = replace(scene.block(DAY), layer=Layer.RAW)
    water = scene.block(DAY, of=scene.channel(reading_type="8-0:1.0.0*255"))
    with scene.database.begin() as uow:
        ensure_channels(uow.connection, {raw.channel, water.channel})
        store_parts(uow, [raw, water])
        store_parts(uow, [])
        assert uow.connection.execute(select(BILLING_PART)).all() == []


def test_take_as_many_statements_however_many_they_are(scene: BillingScene) -> None:
    statements: list[str] = []
    days = (DAY, date(2026, 3, 29), date(2026, 10, 25), date(2026, 6, 14))
    marks = {5: ESTIMATED}
    few = [scene.block(DAY, marks=marks)]
    many = [
        scene.block(day, of=scene.channel(f"{number}"), marks=marks if number == 1 else None)
        for number in range(60)
        for day in days
    ]
    counts = []
    for blocks in (few, many):
        with scene.database.begin() as uow:
            ensure_channels(uow.connection, {block.channel for block in blocks})
            write_blocks(uow.connection, blocks)
            note = lambda *given: statements.append(given[2])  # noqa: E731
            event.listen(uow.connection, "before_cursor_execute", note)
            store_parts(uow, blocks)
            event.remove(uow.connection, "before_cursor_execute", note)
        counts.append(len(statements))
        statements.clear()
    assert counts[0] == 3
    # SQLite inserts what is left over of its handfuls by one more.
    assert counts[1] in (3, 4)


def test_of_what_is_no_longer_the_final_version_are_not_read(scene: BillingScene) -> None:
    days = [date(2026, 6, number) for number in (8, 9, 10, 11)]
    scene.write(*(scene.block(day) for day in days))
    scene.parted = False
    scene.write(scene.block(days[0], 2))  # a new version, by whoever stores no parts
    scene.now += timedelta(hours=1)
    with scene.database.begin() as uow:
        extended = scene.block_in(uow, days[1])
        write_blocks(uow.connection, [extended])  # the same version, written again
        found = stored_parts(uow.connection, [scene.channel()], JUNE, JULY)
    assert found.days.tolist() == [day.toordinal() for day in days[2:]]


def test_final_days_are_read_page_by_page(scene: BillingScene) -> None:
    scene.fill(JUNE, date(2026, 6, 6))
    scene.fill(JUNE, date(2026, 6, 6), of=scene.channel("43"))
    raw = replace(scene.block(date(2026, 6, 20)), layer=Layer.RAW)
    found, after = [], None
    with scene.database.begin() as uow:
        write_blocks(uow.connection, [raw])
        while page := final_days(uow.connection, since=scene.now, after=after, limit=3):
            found += [(row.device_id, row.day.day) for row in page]
            after = (page[-1].written_at, page[-1].id)
        assert final_days(uow.connection, since=scene.now.replace(year=2027), limit=3) == []
    assert len(found) == len(set(found)) == 10
    assert (scene.channel().device_id, 20) not in found
