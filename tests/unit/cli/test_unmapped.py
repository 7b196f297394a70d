"""`mdus unmapped`: what head ends tell under codes that no table explains, on a database of the test's."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime

from mdus.domain.head_end import RawDelivery
from mdus.domain.unmapped import UnmappedSource, UnmappedValue
from mdus.storage import delivery, unmapped
from mdus.storage.audit import AUDIT
from mdus.storage.command import HEAD_END_DELIVERY
from mdus.storage.session import Database
from mdus.storage.unmapped import UNMAPPED_VALUE
from tests.unit.cli.conftest import Run
from tests.unit.workers.scripted import rows_of


def unmapped_value(database: Database) -> None:
    told = UnmappedValue(
        head_end="north",
        source=UnmappedSource.CHANNEL,
        code="cmep: commodity=E, unit=PULSE",
        serial_id="0000001234",
        at=None,
        value="12",
        unit="PULSE",
        text=None,
        delivery_id=1,
        received_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    with database.begin() as uow:
        packed = delivery.pack(RawDelivery(topic="cmep", correlation="", body=b"told"))
        delivery.store(uow.connection, [packed], head_end="north", now=told.received_at)
        delivery.finish(uow.connection, [1], read_by="before")
        unmapped.keep(uow.connection, [told], again=())


class TestUnmapped:
    def test_lists_codes_with_the_row_to_add(self, mdus: Run, database: Database) -> None:
        assert "tables explain all that head ends tell" in mdus("unmapped").out
        unmapped_value(database)
        assert "PULSE" in mdus("unmapped").out
        [row] = json.loads(mdus("unmapped", "--json").out)
        assert (row["head_end"], row["source"], row["count"], row["meters"]) == ("north", "channel", 1, 1)
        assert 'cmep = [{ commodity = "E", unit = "PULSE" }]' in row["row"]
        assert json.loads(mdus("unmapped", "--head-end", "south", "--json").out) == []

    def test_reads_again_and_keeps_who_and_why(self, mdus: Run, database: Database) -> None:
        unmapped_value(database)
        assert "1 values of 1 codes" in mdus("unmapped", "retry", "--reason", "x", "--dry-run").out
        assert mdus("unmapped", "retry", "--reason", "row added", "--source", "channel").code == 0
        assert rows_of(database, HEAD_END_DELIVERY)[0].status == "ready"
        [row] = rows_of(database, AUDIT)
        assert (row.who, row.reason, row.count) == (getpass.getuser(), "row added", 1)
        assert mdus("unmapped", "retry", "--reason", "row added").code == 1  # they are under way

    def test_leaves_it(self, mdus: Run, database: Database) -> None:
        unmapped_value(database)
        assert mdus("unmapped", "leave", "--reason", "of no use", "--code", "cmep: commodity=E, unit=PULSE").code == 0
        assert rows_of(database, UNMAPPED_VALUE) == []

    def test_says_which_sources_there_are(self, mdus: Run, database: Database) -> None:
        ran = mdus("unmapped", "--source", "smell")
        assert ran.code == 2
        assert "channel, event, unit, quality" in ran.err
