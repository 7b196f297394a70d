"""Messages that are larger than one may be, and so many that they are it together."""

from __future__ import annotations

import pytest

from mdus.headends.mqtt.adapter import connect
from tests.unit.headends.mqtt.scripted_broker import ScriptedBroker
from tests.unit.headends.mqtt.test_adapter import SETTINGS, next_arrival, reading, row, told, until

MAXIMUM_PACKET_SIZE = 0x27


class TestArrivals:
    def test_are_asked_for_no_larger_than_they_may_be_where_the_protocol_can(self, broker: ScriptedBroker) -> None:
        head_end = connect(SETTINGS, row(broker.port, version="5", max_answer_bytes=5000))

        list(head_end.arrivals())

        assert broker.wishes[0][MAXIMUM_PACKET_SIZE] == 5000
        head_end.close()

    def test_that_are_as_large_as_they_may_be_are_taken(self, broker: ScriptedBroker, version: str) -> None:
        topic, body, _ = reading()
        head_end = connect(SETTINGS, row(broker.port, version=version, max_answer_bytes=len(body)))
        broker.outgoing.put((topic, body, b""))

        assert [each.body for each in told(next_arrival(head_end))] == [body]
        head_end.close()

    def test_that_are_too_large_fail_by_themselves_and_hold_nothing_up(
        self, broker: ScriptedBroker, version: str
    ) -> None:
        topic, body, _ = reading()
        head_end = connect(SETTINGS, row(broker.port, version=version, max_answer_bytes=len(body)))
        broker.outgoing.put((topic, body + b" ", b""))
        broker.outgoing.put(reading())

        large = next_arrival(head_end)
        with pytest.raises(ValueError, match=f"{topic} has {len(body) + 1} bytes, and head_ends.city.max_answer_bytes"):
            told(large)
        assert broker.acknowledged == []

        large.failed("too large")
        until(lambda: broker.acknowledged == [1])
        arrival = next_arrival(head_end)
        assert [each.body for each in told(arrival)] == [body]
        arrival.taken()
        until(lambda: broker.acknowledged == [1, 2])
        head_end.close()

    def test_that_are_too_large_come_again_until_that_is_shown(self, broker: ScriptedBroker, version: str) -> None:
        topic, body, _ = reading()
        head_end = connect(SETTINGS, row(broker.port, version=version, max_answer_bytes=len(body)))
        broker.outgoing.put((topic, body + b" ", b""))
        next_arrival(head_end)

        (again,) = head_end.arrivals()

        with pytest.raises(ValueError, match="max_answer_bytes"):
            told(again)
        assert broker.acknowledged == []
        head_end.close()

    def test_are_not_read_on_when_they_have_as_many_bytes_as_one_may_have(
        self, broker: ScriptedBroker, version: str
    ) -> None:
        topic, body, _ = reading()
        head_end = connect(SETTINGS, row(broker.port, version=version, max_answer_bytes=len(body)))
        for _ in range(5):
            broker.outgoing.put((topic, body, b""))
        sizes: list[int] = []

        while sum(sizes) < 5:
            arrival = next_arrival(head_end)
            sizes.append(len(told(arrival)))
            arrival.taken()

        assert max(sizes) < 5
        head_end.close()
