"""Bulks through SOAP: each item by itself, all answered once, large answers in parts; on both databases."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from mdus.contracts.catalog import catalog
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.end_device_event import EndDeviceEvent
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from mdus.storage.message import ITEM, MESSAGE
from tests.flows import orders, registry
from tests.flows.both_sides import SENDER, BothSides, texts
from tests.flows.intake.installation import fault_of

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
KNOWN = [f"{number:018d}" for number in range(1, 4)]


def reading(device: str, *, reason: str = "01", document: str | None = None) -> str:
    return orders.reading(document or device, device, reason=reason, on="2026-03-28")


def fed_in(device: str) -> str:
    """A second register of a known meter."""
    return registry.register(device, task=f"2{device[1:]}", obis="1-0:2.8.0")


def told(message: etree._Element) -> list[str]:
    """The codes of a bulk confirmation's items."""
    item = catalog().root(str(etree.QName(message).localname)).item_element
    return texts(message, f"{item}/{orders.CODE}")


def uuid_of(message: etree._Element) -> str:
    return texts(message, "MessageHeader/UUID")[0]


Make = Callable[..., BothSides]


def maker(url: str, folder: Path) -> Iterator[Make]:
    """Makes both sides with settings of a test, and three known meters."""
    made: list[BothSides] = []

    def make(**cis: int) -> BothSides:
        (folder / "cis.toml").write_text("[cis]\n" + "".join(f"{name} = {value}\n" for name, value in cis.items()))
        made.append(BothSides(url, folder, now=START))
        for device in KNOWN:
            made[0].meter(device)
        return made[0]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def make(database_url: str, tmp_path: Path) -> Iterator[Make]:
    yield from maker(database_url, tmp_path)


@pytest.fixture
def make_on_sqlite(sqlite_url: str, tmp_path: Path) -> Iterator[Make]:
    """The same for what does not depend on the database."""
    yield from maker(sqlite_url, tmp_path)


class TestAnItemThatIsWrong:
    """In business terms: it is answered by itself, its neighbours are carried out."""

    @pytest.mark.parametrize(
        ("root", "confirmation", "good", "bad"),
        [
            pytest.param(
                registry.DEVICES,
                registry.DEVICES_CREATED,
                registry.device,
                registry.device("9", serial_id=f"S{KNOWN[0]}"),
                id="device with a serial number of another",
            ),
            pytest.param(
                registry.REGISTERS,
                registry.REGISTERS_CREATED,
                fed_in,
                registry.register(KNOWN[2], task="9", obis="POTATOES"),
                id="register of an unknown code",
            ),
            pytest.param(
                orders.READINGS,
                orders.READINGS_ACCEPTED,
                reading,
                reading(KNOWN[2], reason="99"),
                id="reading for no reason",
            ),
        ],
    )
    @pytest.mark.parametrize(
        ("which", "code"),
        [("gg", "3"), ("gbg", "4"), ("bgg", "4"), ("ggb", "4"), ("bg", "4"), ("b", "5")],
    )
    def test_is_told_apart(
        self,
        make_on_sqlite: Make,
        root: str,
        confirmation: str,
        good: Callable[[str], str],
        bad: str,
        which: str,
        code: str,
    ) -> None:
        sides = make_on_sqlite()
        devices = iter(KNOWN)
        sent = sides.tell(root, *(good(next(devices)) if one == "g" else bad for one in which))
        sides.rest()

        (answer,) = sides.sap.messages(confirmation)
        assert told(answer) == ["3" if one == "g" else "5" for one in which]
        assert texts(answer, orders.CODE) == [code]
        assert texts(answer, "MessageHeader/ReferenceUUID") == [sent]

    def test_of_a_cancellation_waits_for_its_document_and_its_neighbours_do_not(self, make: Make) -> None:
        sides = make()
        sides.tell(orders.READINGS, *map(reading, KNOWN))
        sides.rest()
        sides.tell(orders.CANCEL_READINGS, *map(orders.reading_cancelled, (KNOWN[0], "unknown", KNOWN[1])))
        sides.rest()
        sides.clock.move(minutes=30)
        sides.rest()

        first, late = sides.sap.messages(orders.READINGS_CANCELLED)
        assert (told(first), texts(first, orders.CODE)) == (["3", "3"], ["3"])
        assert (told(late), texts(late, orders.CODE)) == (["5"], ["5"])

    def test_of_a_connection_order_does_not_hold_up_another_order(self, make: Make) -> None:
        sides = make()
        sides.tell(
            orders.SWITCHES,
            orders.switch("1", KNOWN[0], at=START),
            orders.switch("2", KNOWN[1], at=START - timedelta(hours=2)),
        )
        sides.rest()
        (refused,) = sides.sap.messages(orders.ALL_SWITCHED)
        assert (told(refused), texts(refused, orders.CODE)) == (["5"], ["5"])
        assert len(sides.switches()) == 1

    def test_of_a_notification_is_an_event_and_a_case_and_its_neighbours_are_stored(self, make: Make) -> None:
        sides = make()
        backwards = registry.location(KNOWN[1]).replace("<EndDate>9999-12-31", "<EndDate>2025-01-01")
        sides.tell(registry.LOCATIONS, registry.location(KNOWN[0]), backwards, registry.location(KNOWN[2]))
        foreign = registry.point_of_delivery(KNOWN[0]).replace("AM01", "AM66")
        sides.tell(registry.POINTS, foreign, registry.point_of_delivery(KNOWN[1]))
        sides.rest()

        assert [one.device_id for one in sides.all(DeviceLocation)] == [KNOWN[0], KNOWN[2]]
        assert [one.device_id for one in sides.all(UsagePoint)] == [KNOWN[1]]
        assert [case.kind for case in sides.all(ExceptionCase)] == ["location_failed", "message_failed"]
        assert len(sides.all(EndDeviceEvent)) == 2

    def test_is_followed_by_an_item_for_the_same_device(self, make: Make) -> None:
        """Items are decided in their order, each seeing those before it."""
        sides = make()
        sides.tell(registry.DEVICES, registry.device("9", serial_id=f"S{KNOWN[0]}"), registry.device("9"))
        sides.rest()
        (answer,) = sides.sap.messages(registry.DEVICES_CREATED)
        assert told(answer) == ["5", "3"]
        assert [one.serial_id for one in sides.all(EndDevice) if one.device_id == "9"] == ["S9"]


class TestABulkAgainstTheContract:
    """Is refused as a whole, whatever else is in it."""

    def test_without_items(self, make_on_sqlite: Make) -> None:
        sides = make_on_sqlite()
        answer = sides.mdus.post(registry.envelope(registry.DEVICES))
        assert answer.status_code == 500
        code, text, places = fault_of(answer)
        assert code == "soap:Client"
        assert "does not hold to the contract" in text
        assert "UtilitiesDeviceERPSmartMeterCreateRequestMessage" in places[0]
        assert [row.status.value for row in sides.mdus.rows(MESSAGE)] == ["refused"]

    @pytest.mark.parametrize("place", [1, 2, 3])
    def test_in_one_item(self, make_on_sqlite: Make, place: int) -> None:
        sides = make_on_sqlite()
        items = [f"{registry.head(uuid.uuid4())}{registry.device(str(number))}" for number in range(90, 93)]
        items[place - 1] = items[place - 1].replace("<StartDate>2026-01-01", "<StartDate>soon")
        answer = sides.mdus.post(registry.envelope(registry.DEVICES, *items))
        sides.rest()

        assert answer.status_code == 500
        (found,) = fault_of(answer)[2]
        assert found.startswith(f"UtilitiesDeviceERPSmartMeterCreateRequestMessage[{place}]/UtilitiesDevice/StartDate")
        assert len(sides.all(EndDevice)) == len(KNOWN)
        assert sides.sap.received == []

    def test_may_come_again_corrected_under_the_same_uuid(self, make_on_sqlite: Make) -> None:
        sides = make_on_sqlite()
        header, item = registry.head(uuid.uuid4()), f"{registry.head(uuid.uuid4())}{registry.device('9')}"
        refused = registry.envelope(registry.DEVICES, item.replace("2026-01-01", "soon"), header=header)
        assert sides.mdus.post(refused).status_code == 500
        assert sides.mdus.post(registry.envelope(registry.DEVICES, item, header=header)).status_code == 202
        sides.rest()
        assert [told(answer) for answer in sides.sap.messages(registry.DEVICES_CREATED)] == [["3"]]


class TestItemsWithoutAName:
    """Items whose headers have neither UUID nor ID are told apart by their place in their bulk."""

    def test_are_all_carried_out_and_answered(self, make: Make) -> None:
        sides = make()
        sides.mdus.post(
            registry.envelope(
                registry.DEVICES, *(f"{registry.head()}{registry.device(one)}" for one in ("90", "91", "92"))
            )
        )
        sides.rest()
        (answer,) = sides.sap.messages(registry.DEVICES_CREATED)
        assert told(answer) == ["3", "3", "3"]
        item = f"{registry.DEVICE_CREATED}Message"
        assert texts(answer, f"{item}/UtilitiesDevice/ID") == ["90", "91", "92"]
        assert texts(answer, f"{item}/MessageHeader/ReferenceUUID") == []

    def test_of_two_bulks_are_not_taken_for_each_other(self, make: Make) -> None:
        sides = make()
        for device in ("90", "91"):
            sides.mdus.post(registry.envelope(registry.DEVICES, f"{registry.head()}{registry.device(device)}"))
        sides.rest()
        assert [told(answer) for answer in sides.sap.messages(registry.DEVICES_CREATED)] == [["3"], ["3"]]

    def test_of_a_bulk_that_comes_again_are_answered_again_and_have_no_second_effect(self, make: Make) -> None:
        sides = make()
        again = registry.envelope(
            registry.DEVICES, f"{registry.head()}{registry.device('90')}", f"{registry.head()}{registry.device('91')}"
        )
        for _ in range(2):
            assert sides.mdus.post(again).status_code == 202
            sides.rest()
        first, second = sides.sap.messages(registry.DEVICES_CREATED)
        assert etree.tostring(first) == etree.tostring(second)
        assert len(sides.mdus.rows(ITEM)) == 2


class TestPartsOfAnAnswer:
    def test_of_a_confirmation_hold_as_many_items_as_the_setting_says(self, make: Make) -> None:
        sides = make(bulk_size=4)
        bad = registry.device("999", serial_id=f"S{KNOWN[0]}")
        sent = sides.tell(registry.DEVICES, *(registry.device(str(number)) for number in range(100, 108)), bad)
        sides.rest()

        parts = sides.sap.messages(registry.DEVICES_CREATED)
        assert [told(part) for part in parts] == [["3"] * 4, ["3"] * 4, ["5"]]
        assert [texts(part, orders.CODE) for part in parts] == [["3"], ["3"], ["5"]]
        assert len({uuid_of(part) for part in parts}) == 3
        assert {texts(part, "MessageHeader/ReferenceUUID")[0] for part in parts} == {sent}

    def test_of_results_hold_as_many_items_as_the_setting_says(self, make: Make) -> None:
        sides = make(bulk_size=4)
        meters = [f"{number:018d}" for number in range(100, 110)]
        for device in meters:
            sides.meter(device)
        sides.tell(orders.READINGS, *map(reading, meters))
        sides.rest()
        sides.clock.instant = MIDNIGHT + timedelta(hours=1)
        sides.snapshot(MIDNIGHT, *((device, "1.00") for device in meters))
        sides.rest()

        parts = sides.sap.messages(orders.RESULTS)
        path = "MeterReadingDocumentERPResultCreateRequestMessage/MeterReadingDocument/ID"
        # They leave side by side.
        assert sorted(texts(part, path) for part in parts) == [meters[:4], meters[4:8], meters[8:]]
        assert len({uuid_of(part) for part in parts}) == 3

    def test_of_notifications_hold_as_many_items_as_the_setting_says(self, make: Make) -> None:
        sides = make(bulk_size=2)
        sides.save(*(EndDeviceStatus(sender_system=SENDER, device_id=device, first_heard_at=START) for device in KNOWN))
        sides.rest()

        parts = sides.sap.messages(registry.ALL_REGISTERED)
        path = f"{registry.REGISTERED}Message/UtilitiesDevice/ID"
        assert sorted(texts(part, path) for part in parts) == [KNOWN[:2], KNOWN[2:]]
        assert len({uuid_of(part) for part in parts}) == 2

    @pytest.mark.parametrize("most", [10_000, 20_000])
    def test_have_no_more_bytes_than_the_setting_says(self, make: Make, most: int) -> None:
        sides = make(bulk_bytes=most)
        meters = [f"{number:018d}" for number in range(100, 160)]
        for device in meters:
            sides.meter(device)
        sides.tell(registry.DEVICES, *(registry.device(device) for device in meters))
        sides.tell(orders.READINGS, *map(reading, meters))
        sides.tell(
            orders.SWITCHES,
            *(
                orders.switch(f"{start}", *meters[start : start + 3], at=START - timedelta(hours=2))
                for start in range(0, 30, 3)
            ),
        )
        sides.tell(registry.REGISTERS, *(registry.register(device, obis="POTATOES") for device in meters))
        sides.tell(orders.READINGS, *(reading(device, reason="99", document=f"B{device}") for device in meters))
        sides.rest()
        sides.clock.instant = MIDNIGHT + timedelta(hours=1)
        sides.snapshot(MIDNIGHT, *((device, "1.00") for device in meters))
        sides.save(
            *(EndDeviceStatus(sender_system=SENDER, device_id=device, first_heard_at=START) for device in meters)
        )
        sides.rest()

        sizes: dict[str, list[int]] = {}
        for message in sides.sap.received:
            sizes.setdefault(str(etree.QName(message).localname), []).append(len(etree.tostring(message)))
        bulks = (
            registry.DEVICES_CREATED,
            registry.REGISTERS_CREATED,
            orders.READINGS_ACCEPTED,
            orders.ALL_SWITCHED,
            orders.RESULTS,
            registry.ALL_REGISTERED,
        )
        for root in bulks:
            assert len(sizes[root]) >= (2 if most == 10_000 else 1), root
            assert max(sizes[root]) <= most, root
        # Not far below either: an estimate of twice the truth would double the messages.
        assert max(sizes[orders.RESULTS]) > most // 2
        assert max(sizes[registry.DEVICES_CREATED]) > most // 3

    def test_of_thousands_are_one_until_the_setting_says_otherwise(self, make: Make) -> None:
        sides = make(bulk_size=2500)
        meters = [f"{number:018d}" for number in range(1000, 4000)]
        meters[2000] = "B"
        bodies = [registry.device(device, serial_id=f"S{KNOWN[0]}" if device == "B" else None) for device in meters]
        sides.tell(registry.DEVICES, *bodies)
        sides.rest()

        first, second = sides.sap.messages(registry.DEVICES_CREATED)
        assert (len(told(first)), texts(first, orders.CODE)) == (2500, ["4"])
        assert (len(told(second)), texts(second, orders.CODE)) == (500, ["3"])
        path = f"{registry.DEVICE_CREATED}Message/UtilitiesDevice/ID"
        assert texts(first, path) + texts(second, path) == meters
        assert told(first).count("5") == 1
