"""Device initialization through the real intake and inbox: in any order, interleaved, repeated, single or in bulks.

Whatever comes when, the registry ends the same and each request is confirmed once, in one confirmation.
"""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from sqlalchemy import func, select

from mdus.contracts.catalog import catalog
from mdus.domain.command import Command
from mdus.domain.end_device import EndDevice, EndDeviceStatus
from mdus.domain.exception_case import ExceptionCase
from mdus.domain.register import Register
from mdus.domain.usage_point import DeviceLocation, UsagePoint
from mdus.storage.message import ITEM
from mdus.storage.session import TABLES
from tests.flows import registry
from tests.flows.both_sides import BothSides, texts

START = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
KINDS = (EndDevice, EndDeviceStatus, Register, DeviceLocation, UsagePoint, Command)
#: What differs from example to example: numbers of rows, instants, and digests of the device's numbers.
_OF_THE_EXAMPLE = {"create_item_id", "not_before", "expires_at", "command_key", "purpose"}
CODE = "Log/BusinessDocumentProcessingResultCode"


@dataclass(frozen=True)
class Told:
    """What SAP tells of a device in one of its messages: the roots that carry it, and the body."""

    single: str
    bulk: str
    body: Callable[[str], str]
    confirmed: bool


MESSAGES: Mapping[str, Told] = {
    "device": Told(registry.DEVICE, registry.DEVICES, registry.device, confirmed=True),
    "register": Told(registry.REGISTER, registry.REGISTERS, registry.register, confirmed=True),
    "location": Told(registry.LOCATION, registry.LOCATIONS, registry.location, confirmed=False),
    "point of delivery": Told(registry.POINT, registry.POINTS, registry.point_of_delivery, confirmed=False),
}


@dataclass(frozen=True)
class Message:
    """One message: what it tells of which devices (by their place), and which names it goes by.

    Two with the same `name` are the same message, two with the same `item_names` have the same items.
    """

    kind: str
    devices: tuple[int, ...]
    bulk: bool
    name: str
    item_names: tuple[str, ...]


class Installation:
    """One installation for all examples, each with devices of its own."""

    def __init__(self, sides: BothSides) -> None:
        self.sides = sides
        self._examples = itertools.count(1)

    def play(self, messages: Sequence[Message], turns: Sequence[int]) -> tuple[list[str], list[str]]:
        """Tell SAP's messages, turning the inbox so often after each; returns the registry, and what SAP was answered.

        Both speak of `<1>`, `<2>` ... instead of the devices of the example.
        """
        self._example = f"{next(self._examples):08d}"
        self.sides.sap.received.clear()
        asked = Counter[str]()
        seen = set()
        for message, count in zip(messages, turns, strict=True):
            self.sides.clock.move(seconds=30)
            body, occurrences = self._written(message)
            assert self.sides.mdus.post(body).status_code == 202
            if message.name not in seen and MESSAGES[message.kind].confirmed:
                asked.update(occurrences)
            seen.add(message.name)
            for _ in range(count):
                self.sides.inbox.turn()
        self.sides.decide()
        while self.sides.outbox.turn():
            pass
        assert self._answered() == asked
        return self._registry(sum((message.devices for message in messages), ()))

    def _device(self, place: int) -> str:
        return f"{self._example}{place:02d}"

    def _uuid(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._example}/{name}"))

    def _written(self, message: Message) -> tuple[bytes, list[str]]:
        """Return the envelope, and by what names its items are to be confirmed."""
        told, made = MESSAGES[message.kind], self._uuid(message.name)
        bodies = [told.body(self._device(place)) for place in message.devices]
        if not message.bulk:
            return registry.envelope(told.single, f"{registry.head(made)}{bodies[0]}"), [made]
        items = [self._uuid(name) for name in message.item_names]
        written = [f"{registry.head(item)}{body}" for item, body in zip(items, bodies, strict=True)]
        return registry.envelope(told.bulk, *written, header=registry.head(made)), [f"{made}/{item}" for item in items]

    def _answered(self) -> Counter[str]:
        """How often each item was confirmed; a confirmation sent again under its own UUID is the same one."""
        by_uuid = {texts(message, "MessageHeader/UUID")[0]: message for message in self.sides.sap.received}
        return Counter(name for message in by_uuid.values() for name in _confirmed(message))

    def _registry(self, places: Sequence[int]) -> list[str]:
        devices = [self._device(place) for place in sorted(set(places))]
        found = []
        with self.sides.database.read() as uow:
            for kind in KINDS:
                table = TABLES[kind]
                query = table.select().where(table.table.c.device_id.in_(devices))
                found += [self._told(value) for value in table.fetch(uow.connection, query)]
            waiting = select(func.count()).where(ITEM.c.status.in_(["ready", "parked", "awaiting", "dead"]))
            assert uow.connection.execute(waiting).scalar_one() == 0
        assert self.sides.all(ExceptionCase) == []
        return sorted(found)

    def _told(self, value: Any) -> str:
        names = [field.name for field in fields(value) if field.name not in _OF_THE_EXAMPLE]
        facts = ", ".join(f"{name}={getattr(value, name)}" for name in names)
        return f"{type(value).__name__}: {facts}".replace(self._example, "device ")


def _confirmed(message: etree._Element) -> Iterator[str]:
    root = catalog().root(str(etree.QName(message).localname))
    reference = texts(message, "MessageHeader/ReferenceUUID")[0]
    assert texts(message, CODE) == ["3"]
    if root.item_element is None:
        yield reference
        return
    for item in message.iterfind(root.item_element):
        assert texts(item, CODE) == ["3"]
        yield f"{reference}/{texts(item, 'MessageHeader/ReferenceUUID')[0]}"


@pytest.fixture(scope="module")
def installation(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("any_order")
    (folder / "mdus.db").write_bytes(_sqlite_template.read_bytes())
    sides = BothSides(f"sqlite:///{folder / 'mdus.db'}", folder, now=START)
    yield Installation(sides)
    sides.close()


def plain(kind: str, *devices: int, bulk: bool = False) -> Message:
    """A message that is not repeated."""
    name = f"{kind} of {devices}"
    return Message(kind, devices, bulk, name, tuple(f"{kind} of {device}" for device in devices))


@pytest.fixture(scope="module")
def one_device(installation: Installation) -> list[str]:
    """What the registry holds of one device whose messages came in their order."""
    return installation.play([plain(kind, 1) for kind in MESSAGES], [1] * len(MESSAGES))


def expected(one_device: Sequence[str], count: int) -> list[str]:
    return sorted(
        text.replace("device 01", f"device {place:02d}") for text in one_device for place in range(1, count + 1)
    )


def test_a_device_is_all_that_its_messages_say(one_device: list[str]) -> None:
    assert [text.partition(":")[0] for text in one_device] == sorted(kind.__name__ for kind in KINDS)


@pytest.mark.parametrize("bulk", [False, True], ids=["single", "bulk"])
@pytest.mark.parametrize("turns", [0, 1], ids=["decided at the end", "decided one by one"])
def test_every_order_of_the_four_messages_ends_the_same(
    installation: Installation, one_device: list[str], bulk: bool, turns: int
) -> None:
    for order in itertools.permutations(MESSAGES):
        messages = [plain(kind, 1, bulk=bulk) for kind in order]
        assert installation.play(messages, [turns] * len(messages)) == one_device, order


@st.composite
def landscapes(draw: st.DrawFn) -> tuple[int, list[Message], list[int]]:
    """Several devices, each told by all four messages, single or in bulks, some of them repeated, in any order."""
    count = draw(st.integers(1, 3))
    devices = range(1, count + 1)
    messages: list[Message] = []
    for kind in MESSAGES:
        if draw(st.booleans()):
            messages.append(plain(kind, *draw(st.permutations(list(devices))), bulk=True))
        else:
            messages += [plain(kind, device) for device in devices]
    for number, message in enumerate(draw(st.lists(st.sampled_from(messages), max_size=4))):
        match draw(st.sampled_from(["the same message", "the same items in another bulk", "the same content"])):
            case "the same message":
                messages.append(message)
            case "the same items in another bulk" if message.bulk:
                messages.append(Message(message.kind, message.devices, True, f"bulk {number}", message.item_names))
            case _:
                names = tuple(f"item {number} of {device}" for device in message.devices)
                messages.append(Message(message.kind, message.devices, message.bulk, f"again {number}", names))
    messages = draw(st.permutations(messages))
    return count, messages, draw(st.lists(st.integers(0, 2), min_size=len(messages), max_size=len(messages)))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(landscape=landscapes())
def test_any_interleaving_of_several_devices_ends_the_same(
    installation: Installation, one_device: list[str], landscape: tuple[int, list[Message], list[int]]
) -> None:
    count, messages, turns = landscape
    assert installation.play(messages, turns) == expected(one_device, count)
