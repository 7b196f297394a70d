"""How results are told, as a fault says."""

from typing import Any

import pytest

from simulators.clock import instant
from simulators.fleet.callbacks import Completion, tellings
from simulators.fleet.deliveries import Push
from simulators.fleet.jobs import Job

READING = {"obis": "1-0:1.8.0*255", "at": "2026-03-27T10:00:00Z", "value": "12.60", "unit": "kWh"}


def told(
    fault: str | None, *, completion: Completion = Completion.CALLBACK, results: int = 3, read: int = 3
) -> list[Push]:
    job = Job(
        token="j-1",
        correlation_id="c-1",
        kind="read_on_demand",
        callback_url="http://client",
        submitted_at=instant("2026-03-27T10:00:00Z"),
        expires_at=None,
        orders={},
        callback_fault=fault,
    )
    rows: list[dict[str, Any]] = [
        {"serial": str(number), "reference": f"r{number}", "readings": [READING] if number < read else []}
        for number in range(results)
    ]
    return tellings(job, rows, delivery_id="d-1", completion=completion, stranger="99", has_more=False)


def references(push: Push) -> list[str]:
    return [result["reference"] for result in push.body["results"]]


class TestTellings:
    def test_tell_all_that_ended_together(self) -> None:
        [push] = told(None)
        assert (push.topic, push.to, push.copies) == ("results", "http://client", 1)
        assert references(push) == ["r0", "r1", "r2"]
        assert (push.body["token"], push.body["correlation_id"], push.body["more"]) == ("j-1", "c-1", False)

    @pytest.mark.parametrize("completion", [Completion.POLL, Completion.SYNCHRONOUS])
    def test_are_none_where_the_client_asks(self, completion: Completion) -> None:
        assert told("duplicate_callback", completion=completion) == []

    def test_come_twice_as_they_are(self) -> None:
        [push] = told("duplicate_callback")
        assert push.copies == 2

    def test_come_twice_with_other_values(self) -> None:
        first, second = told("duplicate_callback_other_value")
        assert first.delivery_id != second.delivery_id
        assert first.body["results"][0]["readings"][0]["value"] == "12.60"
        assert second.body["results"][0]["readings"][0] == READING | {"value": "12.61"}

    @pytest.mark.parametrize(("read", "pushes"), [(0, 1), (1, 2)])
    def test_come_with_other_values_where_there_are_any(self, read: int, pushes: int) -> None:
        assert len(told("duplicate_callback_other_value", read=read)) == pushes

    def test_come_in_two_parts_of_which_the_last_says_so(self) -> None:
        first, second = told("split_callbacks")
        assert references(first) + references(second) == ["r0", "r1", "r2"]
        assert (first.body["more"], second.body["more"]) == (True, False)

    def test_are_not_split_where_there_is_one(self) -> None:
        assert len(told("split_callbacks", results=1)) == 1

    def test_come_under_a_token_nobody_knows_and_then_rightly(self) -> None:
        wrong, right = told("callback_unknown_token")
        assert wrong.body["token"] != right.body["token"] == "j-1"
        assert wrong.body["correlation_id"] != right.body["correlation_id"] == "c-1"
        assert references(wrong) == references(right)

    def test_come_without_correlation(self) -> None:
        [push] = told("callback_empty_correlation")
        assert (push.body["correlation_id"], push.body["token"]) == ("", "j-1")

    def test_name_another_meter(self) -> None:
        [push] = told("wrong_meter_in_callback")
        assert [result["serial"] for result in push.body["results"]] == ["99", "1", "2"]

    def test_only_say_that_there_are_results(self) -> None:
        [push] = told(None, completion=Completion.READY)
        assert (push.topic, push.body["references"]) == ("ready", ["r0", "r1", "r2"])
        assert "results" not in push.body
