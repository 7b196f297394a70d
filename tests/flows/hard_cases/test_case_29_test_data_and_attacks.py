"""Case 29. Messages marked as test data or reconciliation, and XML that attacks its reader.

Test data moves no breaker, and neither orders, takes back nor enters a reading. No DTD is read, no entity resolved, no
file or network opened for a message.
"""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdus.domain.end_device import EndDevice
from mdus.domain.meter_reading_document import DocumentStatus, MeterReadingDocument
from mdus.domain.reading import MeterReading
from mdus.storage.message import MESSAGE
from tests.flows.both_sides import BothSides, texts
from tests.flows.hard_cases.sap_messages import (
    CANCEL_READING,
    CANCEL_SWITCH,
    CODE,
    CREATE,
    CREATED,
    MANUAL,
    MANUAL_TAKEN,
    METER,
    ORDER_ID,
    OTHER,
    READ,
    READ_ACCEPTED,
    READING_CANCELLED,
    RESULT,
    SWITCH,
    SWITCH_BULK,
    SWITCH_CANCELLED,
    SWITCHED,
    SWITCHED_BULK,
    VALUE,
    cancel_reading,
    cancel_switch,
    device,
    manual_reading,
    reading,
    switch,
)
from tests.flows.hard_cases.steps import MIDNIGHT, START, answers, carry_out, document, message, switches, take
from tests.flows.intake.installation import XML, fault_of
from tests.flows.intake.messages import header, new_uuid

INDICATOR = "MessageHeader/TestDataIndicator"


def reconciliation(head: str, value: str = "true") -> str:
    return head.replace(
        "<SenderBusinessSystemID>",
        f"<ReconciliationIndicator>{value}</ReconciliationIndicator><SenderBusinessSystemID>",
    )


class TestTestData:
    @pytest.mark.parametrize("category", ["1", "2"], ids=["disconnect", "reconnect"])
    def test_moves_no_breaker_and_is_answered_as_test_data(self, sides: BothSides, category: str) -> None:
        sides.tell(SWITCH, switch(planned_at=START, category=category), test_data=True)
        carry_out(sides)

        assert switches(sides) == []
        assert answers(sides, SWITCHED) == [("5", ["310(MDUS)"])]
        [confirmation] = sides.sap.messages(SWITCHED)
        assert texts(confirmation, INDICATOR) == ["true"]

    def test_in_the_header_of_a_bulk_holds_for_all_its_items(self, sides: BothSides) -> None:
        sides.tell(
            SWITCH_BULK,
            switch(METER, planned_at=START, number="1"),
            switch(OTHER, planned_at=START, number="2"),
            test_data=True,
        )
        carry_out(sides)

        assert switches(sides) == []

    def test_in_the_header_of_one_item_holds_for_it_alone(self, sides: BothSides) -> None:
        bodies = (switch(METER, planned_at=START, number="1"), switch(OTHER, planned_at=START, number="2"))
        heads = (header(uuid=new_uuid(), test_data=True), header(uuid=new_uuid()))
        take(sides, message(SWITCH_BULK, *bodies, item_headers=heads))
        carry_out(sides)

        assert switches(sides) == ["disconnected"]
        assert [one["serial"] for one in sides.head_end.submitted[0]["devices"]] == [f"S{OTHER}"]
        items = [item for part in sides.sap.messages(SWITCHED_BULK) for item in part.iterfind(f"{SWITCHED}Message")]
        told = {texts(item, ORDER_ID)[0]: (texts(item, CODE), texts(item, INDICATOR)) for item in items}
        assert told == {"1": (["5"], ["true"]), "2": (["3"], [])}

    def test_cancels_nothing_either(self, sides: BothSides) -> None:
        sides.tell(SWITCH, switch(planned_at=START.replace(hour=20)))
        sides.rest()
        sides.tell(CANCEL_SWITCH, cancel_switch(), test_data=True)
        sides.clock.instant = START.replace(hour=20)
        carry_out(sides)

        assert answers(sides, SWITCH_CANCELLED) == [("5", ["310(MDUS)"])]
        assert answers(sides, SWITCHED) == [("3", [])]

    def test_orders_no_reading(self, sides: BothSides) -> None:
        sides.tell(READ, reading(), test_data=True)
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (METER, "1.25"))
        sides.clock.move(hours=1)
        sides.rest()

        assert answers(sides, READ_ACCEPTED) == [("5", ["310(MDUS)"])]
        [confirmation] = sides.sap.messages(READ_ACCEPTED)
        assert texts(confirmation, INDICATOR) == ["true"]
        assert sides.all(MeterReadingDocument) == []
        assert sides.sap.messages(RESULT) == []

    def test_takes_no_reading_order_back(self, sides: BothSides) -> None:
        sides.tell(READ, reading())
        sides.rest()
        sides.tell(CANCEL_READING, cancel_reading(), test_data=True)
        sides.clock.instant = MIDNIGHT
        sides.snapshot(MIDNIGHT, (METER, "1.25"))
        sides.clock.move(hours=1)
        sides.rest()

        assert answers(sides, READING_CANCELLED) == [("5", ["310(MDUS)"])]
        assert [texts(found, VALUE) for found in sides.sap.messages(RESULT)] == [["1.25"]]

    def test_enters_no_reading(self, sides: BothSides) -> None:
        sides.tell(READ, reading(on="2026-03-28", reason="21"))
        sides.rest()
        sides.tell(MANUAL, manual_reading(on="2026-03-28", at="10:00:00"), test_data=True)
        sides.rest()

        assert answers(sides, MANUAL_TAKEN) == [("5", ["310(MDUS)"])]
        assert sides.all(MeterReading) == []
        assert document(sides).status is DocumentStatus.ORDERED

    @pytest.mark.parametrize("value", ["false", "0"])
    def test_that_says_it_is_none_is_carried_out(self, sides_on_sqlite: BothSides, value: str) -> None:
        head = header(uuid=new_uuid(), test_data=True).replace(">true<", f">{value}<")
        take(sides_on_sqlite, message(SWITCH, switch(planned_at=START), header_xml=head))
        carry_out(sides_on_sqlite)

        assert switches(sides_on_sqlite) == ["disconnected"]


class TestReconciliation:
    def test_is_a_message_like_any_other(self, sides: BothSides) -> None:
        """It repairs what the other side has lost: the same content has no second effect, a switch is a switch."""
        sides.tell(SWITCH, switch(planned_at=START))
        carry_out(sides)
        head = reconciliation(header(uuid=new_uuid()))
        take(sides, message(SWITCH, switch(planned_at=START), header_xml=head))
        carry_out(sides)

        assert switches(sides) == ["disconnected"]
        assert answers(sides, SWITCHED) == [("3", [])] * 2

    def test_creates_what_was_lost(self, empty_sides_on_sqlite: BothSides) -> None:
        head = reconciliation(header(uuid=new_uuid()))
        take(empty_sides_on_sqlite, message(CREATE, device(), header_xml=head))
        empty_sides_on_sqlite.rest()

        assert answers(empty_sides_on_sqlite, CREATED) == [("3", [])]


@pytest.fixture
def listener() -> Iterator[tuple[str, list[object]]]:
    """An address that notes who calls it."""
    called: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        ended = threading.Event()

        def listen() -> None:
            while not ended.is_set():
                try:
                    called.append(server.accept()[1])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x", called
        ended.set()
        thread.join()


class TestAnAttack:
    def attacked(self, sides: BothSides, dtd: str, *, use: str = "LX100") -> str:
        """Post a message with a document type declaration; return why it was refused."""
        content = message(CREATE, device().replace("LX100", use)).decode()
        declared = content.replace("?>", f"?>{dtd}", 1)
        answer = sides.mdus.post(declared.encode())
        sides.rest()
        assert answer.status_code == 500
        assert sides.all(EndDevice) == []
        return fault_of(answer)[1]

    def test_by_a_file_on_this_machine_reads_none(self, empty_sides_on_sqlite: BothSides, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text("the secret")
        dtd = f'<!DOCTYPE x [<!ENTITY secret SYSTEM "{secret.as_uri()}">]>'

        assert "document type" in self.attacked(empty_sides_on_sqlite, dtd, use="&secret;")
        kept = [row.refusal for row in empty_sides_on_sqlite.mdus.rows(MESSAGE)]
        assert all("the secret" not in (text or "") for text in kept)

    def test_by_an_address_calls_nobody(
        self, empty_sides_on_sqlite: BothSides, listener: tuple[str, list[object]]
    ) -> None:
        url, called = listener
        for dtd in (f'<!DOCTYPE x SYSTEM "{url}">', f'<!DOCTYPE x [<!ENTITY % all SYSTEM "{url}"> %all;]>'):
            self.attacked(empty_sides_on_sqlite, dtd)

        assert called == []

    def test_by_entities_that_grow_is_refused_small(self, empty_sides_on_sqlite: BothSides) -> None:
        laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "lol"}">' for n in range(10))
        self.attacked(empty_sides_on_sqlite, f"<!DOCTYPE x [{laughs}]>", use="&l9;")

    def test_by_a_schema_location_calls_nobody(
        self, empty_sides_on_sqlite: BothSides, listener: tuple[str, list[object]]
    ) -> None:
        url, called = listener
        xsi = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        content = message(CREATE, device()).decode()
        located = content.replace(" xmlns:n0", f' {xsi} xsi:noNamespaceSchemaLocation="{url}" xmlns:n0')
        empty_sides_on_sqlite.mdus.post(located.encode())

        assert called == []

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"<a>" * 100_000 + b"</a>" * 100_000, id="a hundred thousand deep"),
            pytest.param(b"<a " + b" ".join(b"a%d='x'" % n for n in range(50_000)) + b"/>", id="attributes"),
            pytest.param(b"\x00" * 1000, id="no XML at all"),
            pytest.param(b"", id="nothing"),
        ],
    )
    def test_by_what_is_no_message_is_refused(self, empty_sides_on_sqlite: BothSides, content: bytes) -> None:
        assert empty_sides_on_sqlite.mdus.post(content).status_code == 500

    def test_by_a_body_that_unpacks_to_more_than_allowed_is_refused(self, empty_sides_on_sqlite: BothSides) -> None:
        bomb = gzip.compress(b" " * (70 << 20))
        answer = empty_sides_on_sqlite.mdus.post(bomb, headers={**XML, "Content-Encoding": "gzip"})

        assert len(bomb) < 100_000
        assert answer.status_code == 413
