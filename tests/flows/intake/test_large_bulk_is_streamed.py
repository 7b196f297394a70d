"""A bulk above the small size is spooled and streamed: the same rules as in memory, in memory that does not grow."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mdus.messaging.status import MessageStatus
from mdus.storage.message import BODY, ITEM, MESSAGE
from tests.flows.intake.installation import XML, Installation, fault_of
from tests.flows.intake.messages import (
    CREATE_DEVICE,
    create_device,
    create_devices,
    header,
    item,
    new_uuid,
    reading_orders,
)

#: Small enough that a bulk of a few items counts as large.
SMALL = {"MDUS_HTTP__SMALL_MESSAGE_BYTES": "2000"}


@pytest.fixture
def mdus(database_url: str) -> Installation:
    return Installation(database_url, environ=SMALL)


def bulk_of(count: int, *, bad: tuple[int, ...] = (), header_xml: str | None = None) -> bytes:
    items = [
        item("1" * 19 if number in bad else f"{number:018}", header_xml=header(uuid=new_uuid()))
        for number in range(1, count + 1)
    ]
    return create_devices(*items, header_xml=header_xml)


class TestLargeBulk:
    def test_is_stored_like_a_small_one(self, mdus: Installation, database_url: str) -> None:
        uuid = new_uuid()
        content = bulk_of(20, header_xml=header(uuid=uuid))
        assert len(content) > 2000
        assert mdus.post(content).status_code == 202
        [message] = mdus.rows(MESSAGE)
        assert (message.status, message.key, message.item_count) == (MessageStatus.RECEIVED, uuid.lower(), 20)
        items = mdus.rows(ITEM)
        assert [row.position for row in items] == list(range(1, 21))
        assert json.loads(items[6].content)["device_id"] == f"{7:018}"
        [body] = mdus.rows(BODY.select())
        assert (zlib.decompress(body.data), body.size) == (content, len(content))

    def test_is_stored_in_several_batches(self, mdus: Installation) -> None:
        assert mdus.post(reading_orders(4500)).status_code == 202
        items = mdus.rows(ITEM)
        assert [row.position for row in items] == list(range(1, 4501))
        assert len({row.key for row in items}) == 4500

    def test_is_known_when_it_comes_again(self, mdus: Installation) -> None:
        content = bulk_of(20)
        assert [mdus.post(content).status_code, mdus.post(content).status_code] == [202, 202]
        assert [row.status for row in mdus.rows(MESSAGE)] == [MessageStatus.RECEIVED, MessageStatus.DUPLICATE]
        assert len(mdus.rows(ITEM)) == 20

    def test_points_repeated_items_at_the_first(self, mdus: Installation) -> None:
        items = [item(f"{number:018}", header_xml=header(uuid=new_uuid())) for number in range(20)]
        mdus.post(create_devices(*items[:15]))
        mdus.post(create_devices(*items[10:]))
        assert [row.duplicate_of is not None for row in mdus.rows(ITEM)].count(True) == 5

    def test_comes_compressed(self, mdus: Installation) -> None:
        response = mdus.post(gzip.compress(bulk_of(20)), headers={**XML, "Content-Encoding": "gzip"})
        assert response.status_code == 202
        assert len(mdus.rows(ITEM)) == 20

    def test_sets_aside_what_the_contract_does_not_know(self, mdus: Installation) -> None:
        content = bulk_of(20).replace(b"<UtilitiesDevice>", b"<Surprise/><UtilitiesDevice>")
        assert mdus.post(content).status_code == 202
        assert mdus.rows(MESSAGE)[0].set_aside == 20


class TestLargeBulkAgainstTheContract:
    def test_is_refused_with_every_place(self, mdus: Installation) -> None:
        response = mdus.post(bulk_of(20, bad=(3, 17)))
        assert response.status_code == 500
        places = fault_of(response)[2]
        assert len(places) == 2
        assert "Message[3]" in places[0]
        assert "Message[17]" in places[1]
        [message] = mdus.rows(MESSAGE)
        assert message.status is MessageStatus.REFUSED
        assert message.uuid is not None
        assert mdus.rows(ITEM) == []

    def test_tells_at_most_twenty_places(self, mdus: Installation) -> None:
        assert len(fault_of(mdus.post(bulk_of(30, bad=tuple(range(31)))))[2]) == 20

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            pytest.param(b"</n0:", b"</n1:", "Not well-formed XML", id="cut short"),
            pytest.param(b"<soap:Envelope", b"<!DOCTYPE x []><soap:Envelope", "document type", id="with a DTD"),
            pytest.param(b"Create", b"Evict", "root of no message", id="no root of ours"),
            pytest.param(b"CreationDateTime", b"Created", "CreationDateTime", id="bad header"),
            pytest.param(b"</soap:Body>", b"<x/></soap:Body>", "not one message", id="two messages"),
        ],
    )
    def test_is_refused_when_it_is_no_message(self, mdus: Installation, old: bytes, new: bytes, told: str) -> None:
        response = mdus.post(bulk_of(20).replace(old, new))
        assert response.status_code == 500
        assert told in fault_of(response)[1]
        assert [row.status for row in mdus.rows(MESSAGE)] == [MessageStatus.REFUSED]

    def test_is_refused_without_a_key(self, mdus: Installation) -> None:
        response = mdus.post(bulk_of(20, header_xml=header()))
        assert "neither UUID nor ID" in fault_of(response)[1]

    def test_is_refused_without_a_header(self, mdus: Installation) -> None:
        response = mdus.post(bulk_of(20, header_xml=" "))
        assert response.status_code == 500
        assert "MessageHeader" in fault_of(response)[1]

    def test_leaves_no_file_behind(self, mdus: Installation) -> None:
        before = set(Path(tempfile.gettempdir()).iterdir())
        mdus.post(bulk_of(20))
        mdus.post(bulk_of(20, bad=(3,)))
        new = {path.name for path in set(Path(tempfile.gettempdir()).iterdir()) - before}
        assert not {name for name in new if name.startswith("tmp")}


class TestLargeSingleMessage:
    def test_is_too_large(self, mdus: Installation) -> None:
        padded = create_device().replace(b"<soap:Body>", b" " * 2000 + b"<soap:Body>")
        response = mdus.post(padded)
        assert response.status_code == 413
        assert "single message" in fault_of(response)[1]

    def test_passes_below_the_small_size(self, mdus: Installation) -> None:
        content = create_device()
        assert len(content) < 2000
        assert mdus.post(content, f"/sap/{CREATE_DEVICE}_Out").status_code == 202


class TestFiftyMegabytes:
    """In a process of its own, so that only this message's memory is measured."""

    @pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
    def test_grows_memory_by_less_than_150_megabytes(self, sqlite_url: str, tmp_path: Path, compressed: bool) -> None:
        script = Path(__file__).with_name("memory_of_intake.py")
        file = tmp_path / "bulk.xml"
        items = 52_000
        with file.open("wb") as out:
            out.write(reading_orders(items))
        assert file.stat().st_size > 50_000_000
        command = [sys.executable, str(script), sqlite_url, str(file), "gzip" if compressed else "plain"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=_environment())
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["items"] == items
        assert told["growth_megabytes"] < 150


def _environment() -> dict[str, str]:
    root = Path(__file__).resolve().parents[3]
    return {**os.environ, "PYTHONPATH": str(root)}


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 700):
        yield content[start : start + 700]


def test_pieces_of_any_size_make_the_same_message(mdus: Installation) -> None:
    content = bulk_of(20)
    assert mdus.post(pieces(content)).status_code == 202
    assert mdus.post(content).status_code == 202
    assert [row.status for row in mdus.rows(MESSAGE)] == [MessageStatus.RECEIVED, MessageStatus.DUPLICATE]
