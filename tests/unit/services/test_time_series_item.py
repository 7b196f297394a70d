"""The two messages of interval values: packed in rows, unpacked as SAP reads them, parted by their values."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from mdus.contracts.binding import check, from_json, to_json
from mdus.contracts.catalog import catalog
from mdus.contracts.envelope import Item, parse, render
from mdus.contracts.header import MessageHeader
from mdus.domain.time_series_upload import Operation, TimeSeriesUpload, UploadStatus
from mdus.messaging.patterns import RequestSent, inbound_roots, outbound_roots
from mdus.services import time_series_item_change, time_series_item_create
from mdus.services._time_series_item import Packed, build, unpack
from mdus.settings import Settings, load_settings
from tests.flows.profiles.metering import CHANGE, CREATE, items_of

NOW = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
SERVICES = [time_series_item_create.SERVICE, time_series_item_change.SERVICE]
RUNS = "2026-03-28T23:00Z 15 ACTL 1000 -5\n2026-03-28T23:45Z 15 INVL 0"


def upload(profile: str = "815", *, count: int = 96, sender_system: str = "P11", number: int = 1) -> TimeSeriesUpload:
    return TimeSeriesUpload(
        sender_system=sender_system,
        time_series_id=profile,
        number=number,
        day=date(2026, 3, 29),
        operation=Operation.CREATE,
        unit="KWH",
        decimals=3,
        count=count,
        content=RUNS,
        made_at=NOW,
    )


class Uow:
    """A unit of work whose claim is given."""

    def __init__(self, *uploads: TimeSeriesUpload) -> None:
        self.settings: Settings = load_settings({"MDUS_INTERVALS__VALUES_PER_MESSAGE": "200"})
        self.uploads = uploads
        self.asked: list[tuple[Operation, int]] = []

    def time_series_due(self, operation: Operation, limit: int) -> list[TimeSeriesUpload]:
        self.asked.append((operation, limit))
        return list(self.uploads)


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_shape_fits_its_messages(service: RequestSent) -> None:
    received = [check(service.shape, catalog().root(name)) for name, _ in inbound_roots(service)]
    sent = [check(service.content_shape, catalog().root(name)) for name, _ in outbound_roots(service)]
    assert [*received, *sent] == [(), ()]


class TestContent:
    def rendered(self, packed: Packed, root: str) -> Any:
        header = MessageHeader(uuid="0e3f5a52-7c4e-4d0a-9f56-0a4a1d7f9a01", created_at=NOW)
        return parse(render(root, header=header, items=[Item(header, unpack(packed))]))

    @pytest.mark.parametrize("root", [CREATE, CHANGE])
    def test_is_what_sap_reads(self, root: str) -> None:
        assert list(items_of(self.rendered(build(upload()), root), "815")) == [
            ("2026-03-28T23:00:00Z", "2026-03-28T23:15:00Z 1.000 KWH ACTL"),
            ("2026-03-28T23:15:00Z", "2026-03-28T23:30:00Z -0.005 KWH ACTL"),
            ("2026-03-28T23:45:00Z", "2026-03-29T00:00:00Z 0.000 KWH INVL"),
        ]

    def test_is_stored_packed(self) -> None:
        text = to_json(build(upload()))
        assert len(text) < 200
        assert unpack(from_json(Packed, text)) == unpack(build(upload()))

    def test_stays_what_was_stored_whatever_becomes_of_the_code(self) -> None:
        """The text as rows have it since this form is in use: messages not delivered yet are read by newer code."""
        text = '{"time_series_id":"815","unit":"KWH","decimals":1,"runs":"2026-10-24T22:00Z 1500 ACTL 125"}'
        [item] = unpack(from_json(Packed, text)).items
        assert (item.quantity, item.start_at, item.end_at) == (
            Decimal("12.5"),
            datetime(2026, 10, 24, 22, tzinfo=UTC),
            datetime(2026, 10, 25, 23, tzinfo=UTC),
        )


class TestSelect:
    def parts(self, *uploads: TimeSeriesUpload) -> list[tuple[str, str, int]]:
        due = time_series_item_create.SERVICE.select(Uow(*uploads), now=NOW, limit=9)
        return [(one.sender_system, one.key, one.part) for one in due]

    @pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
    def test_claims_what_goes_its_way(self, service: RequestSent) -> None:
        uow = Uow()
        service.select(uow, now=NOW, limit=9)
        operation = Operation.CREATE if service.name == CREATE else Operation.CHANGE
        assert uow.asked == [(operation, 9)]

    def test_fills_messages_up_to_their_values(self) -> None:
        some = [upload("1", count=104), upload("2"), upload("3", count=1), upload("4", count=199), upload("5", count=1)]
        assert [part for _, _, part in self.parts(*some)] == [0, 0, 1, 1, 2]

    def test_counts_each_system_by_itself(self) -> None:
        some = [upload("1", count=150), upload("1", count=150, sender_system="P12"), upload("2", count=50)]
        assert self.parts(*some) == [("P11", "1", 0), ("P12", "1", 0), ("P11", "2", 0)]

    def test_gives_what_is_too_much_a_message_of_its_own(self) -> None:
        assert [part for _, _, part in self.parts(upload("1", count=300), upload("2", count=1))] == [0, 1]

    def test_notes_what_is_sent(self) -> None:
        [due] = time_series_item_create.SERVICE.select(Uow(upload(number=7)), now=NOW, limit=9)
        [sent] = due.changes
        assert (due.attempt, sent.status) == (7, UploadStatus.SENT)
