"""What is wrong with a question is told by where it is, what was expected, what was found, and how to mend it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.intake.installation import Installation

INTERVALS = {"sender_system": "P11", "device_id": "1", "on": "2026-03-29"}


@pytest.mark.parametrize(
    ("path", "parameters", "at", "expected", "found"),
    [
        pytest.param("/devices", {"limit": "0"}, "query.limit", "a number from 1", "0", id="too small"),
        pytest.param("/devices", {"limit": "1001"}, "query.limit", "a number up to 1000", "1001", id="too large"),
        pytest.param("/devices", {"limit": "ten"}, "query.limit", "a whole number", "ten", id="no number"),
        pytest.param("/devices", {"sort": "age"}, "query.sort", "'device_id'", "age", id="no sort"),
        pytest.param("/messages", {"status": "lost"}, "query.status", "'refused'", "lost", id="no status"),
        pytest.param("/messages", {"direction": "up"}, "query.direction", "^(in|out)$", "up", id="no direction"),
        pytest.param("/messages/x", {}, "path.message_id", "a whole number", "x", id="no message number"),
        pytest.param("/exceptions", {"open": "perhaps"}, "query.open", "true or false", "perhaps", id="neither"),
        pytest.param("/readings", {"sender_system": "P11"}, "query.device_id", "may not be left out", None, id="none"),
        pytest.param("/intervals", {**INTERVALS, "on": "tomorrow"}, "query.on", "2026-03-28", "tomorrow", id="no day"),
        pytest.param("/intervals", {**INTERVALS, "on": "0"}, "query.on", "2026-03-28", "0", id="a number is no day"),
        pytest.param("/intervals", {**INTERVALS, "on": "2026-02-30"}, "query.on", "a date", "2026-02-30", id="skipped"),
        pytest.param("/kpis", {"at": "2026-03-28T10:00:00"}, "query.at", "with its zone", None, id="no zone"),
        pytest.param("/kpis", {"at": "5"}, "query.at", "2026-03-28T10:00:00Z", "5", id="a number is no instant"),
        pytest.param("/trace", {"of": ""}, "query.of", "at least 1 character", "", id="too short"),
        pytest.param("/trace", {"of": "x" * 101}, "query.of", "at most 100", "x" * 100, id="too long, told in part"),
        pytest.param("/registers", {"valid_on": "x"}, "query.valid_on", "2026-03-28", "x", id="no date"),
    ],
)
def test_names_what_was_expected_and_found(
    mdus: Installation, path: str, parameters: dict[str, Any], at: str, expected: str, found: str | None
) -> None:
    response = mdus.get(f"/api/v1{path}", params=parameters)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    [error] = told["errors"]
    assert error["at"] == at
    assert expected in error["expected"]
    assert found is None or error["found"] == found
    assert "found" in error or found is None
    assert at in told["detail"]
    assert error["expected"] in told["detail"]
    assert "/api/docs" in told["detail"]


def test_names_all_that_is_wrong_at_once(mdus_on_sqlite: Installation) -> None:
    told = mdus_on_sqlite.get("/api/v1/intervals", params={"on": "x", "days": "0"}).json()
    assert {error["at"] for error in told["errors"]} == {
        "query.sender_system",
        "query.device_id",
        "query.on",
        "query.days",
    }


@pytest.mark.parametrize(
    ("path", "mend"),
    [
        ("/devices/P11/1", "/devices lists them"),
        ("/points-of-delivery/P11/1", "/points-of-delivery lists them"),
        ("/messages/1", "/messages lists"),
        ("/messages/1/items", "/messages lists"),
        ("/messages/1/body", "/messages lists"),
        ("/nothing", "/api/docs"),
    ],
)
def test_that_something_is_not_there_says_where_to_look(mdus_on_sqlite: Installation, path: str, mend: str) -> None:
    response = mdus_on_sqlite.get(f"/api/v1{path}")
    assert response.status_code == 404
    assert mend in response.json()["detail"]


@pytest.mark.parametrize("path", ["/devices", "/messages", "/registers"])
def test_nothing_has_a_name_with_a_nul(mdus: Installation, path: str) -> None:
    response = mdus.get(f"/api/v1{path}", params={"sender_system": "a\0b"})
    assert response.status_code == 404
    [error] = response.json()["errors"]
    assert (error["at"], error["found"]) == ("query.sender_system", "a\0b")
    assert mdus.get("/api/v1/devices/P11/a%00b").json()["errors"][0]["at"] == "path.device_id"


def test_a_method_that_is_not_taken_is_answered_by_those_that_are(mdus_on_sqlite: Installation) -> None:
    response = mdus_on_sqlite.ask("DELETE", "/api/v1/registers")
    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert "takes GET, not DELETE" in response.json()["detail"]
