"""The table of events: which row counts, and what is wrong with rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mdus.domain.end_device_event import LateFailure
from mdus.domain.event_types import EventType, EventTypes
from mdus.settings import SettingsError, load_settings

Write = Callable[[str], dict[str, str]]


def row(name: str, event: str, **facts: Any) -> EventType:
    """Return a row with all that a sent event needs."""
    return EventType(name=name, event=event, **{"type": "0100", "severity": "1", **facts})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file of settings; returns the environment that names its folder."""

    def write(text: str) -> dict[str, str]:
        (tmp_path / "events.toml").write_text(text)
        return {"MDUS_CONFIG": str(tmp_path)}

    return write


def loaded(environ: dict[str, str]) -> EventTypes:
    return EventTypes.of(load_settings(environ, tables={"event_types": EventType}))


def told(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as error:
        loaded(environ)
    return str(error.value)


class TestFind:
    @pytest.mark.parametrize(
        ("event_type", "name"),
        [
            pytest.param("3.26.0.85", "exact", id="all parts named"),
            pytest.param("4.26.0.85", "any device", id="any type of device"),
            pytest.param("3.26.9.85", "any subdomain", id="any subdomain"),
            pytest.param("3.26.0.216", "domain", id="any of a domain"),
            pytest.param("3.27.0.85", "all", id="any"),
        ],
    )
    def test_prefers_the_row_that_names_more(self, event_type: str, name: str) -> None:
        rows = [
            row("all", "*.*.*.*"),
            row("domain", "3.26.*.*"),
            row("any subdomain", "3.26.*.85"),
            row("any device", "*.26.0.85"),
            row("exact", "3.26.0.85"),
        ]
        for some in (rows, rows[::-1]):
            found = EventTypes(some).find("P11", event_type)
            assert found is not None
            assert found.name == name

    def test_of_two_that_name_as_many_the_one_that_names_later_parts_counts(self) -> None:
        first, later = row("first", "3.26.*.85"), row("later", "*.26.0.85")
        for rows in ([first, later], [later, first]):
            assert EventTypes(rows).find("P11", "3.26.0.85") == later

    @pytest.mark.parametrize(
        "event_type", [pytest.param("3.26.0.86", id="other event"), pytest.param("3.26.0", id="three parts")]
    )
    def test_knows_nothing_of_what_no_row_is_for(self, event_type: str) -> None:
        assert EventTypes([row("power", "*.26.0.85")]).find("P11", event_type) is None

    def test_a_row_of_the_system_goes_before_a_more_specific_one_of_all(self) -> None:
        types = EventTypes([row("all", "3.26.0.85"), row("its", "*.26.*.*", systems=("P11",))])
        names = [found.name for system in ("P11", "P12") if (found := types.find(system, "3.26.0.85"))]
        assert names == ["its", "all"]

    def test_a_row_that_does_not_send_hides_the_more_general_one(self) -> None:
        types = EventTypes([row("all", "*.26.*.*"), EventType(name="sag", event="*.26.79.223", send=False)])
        assert types.find("P11", "3.26.79.223") is not None
        assert types.sent("P11", "3.26.79.223") is None
        assert types.sent("P11", "3.26.79.224") is not None


class TestRow:
    @pytest.mark.parametrize("event", ["3.26.0.85", "*.*.*.*", "location_failed"])
    def test_accepts_codes_and_own_events(self, event: str) -> None:
        assert row("a", event).event == event

    @pytest.mark.parametrize(
        "facts",
        [
            pytest.param({"event": "3.26.0"}, id="three parts"),
            pytest.param({"event": "3.26.0.x"}, id="no number"),
            pytest.param({"event": "3.26.0.85.1"}, id="five parts"),
            pytest.param({"event": "nothing_failed"}, id="no event of ours"),
            pytest.param({"type": "00100"}, id="type too long"),
            pytest.param({"type": ""}, id="type empty"),
            pytest.param({"type": "0 1"}, id="type with a blank"),
            pytest.param({"severity": "123"}, id="severity too long"),
            pytest.param({"category": "12345"}, id="category too long"),
            pytest.param({"origin": "12345"}, id="origin too long"),
            pytest.param({"properties": {"text": "TEXTS"}}, id="property too long"),
            pytest.param({"type": None}, id="sent without type"),
            pytest.param({"severity": None}, id="sent without severity"),
            pytest.param({"colour": "red"}, id="unknown column"),
        ],
    )
    def test_refuses_what_sap_could_not_read(self, facts: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            row("a", **{"event": "3.26.0.85", **facts})

    def test_needs_no_codes_for_what_is_not_sent(self) -> None:
        assert EventType(name="a", event="3.26.0.85", send=False).type is None


class TestTable:
    @pytest.mark.parametrize("failure", list(LateFailure))
    def test_shipped_rows_send_every_late_failure(self, failure: LateFailure) -> None:
        assert loaded({}).sent("P11", failure.value) is not None

    def test_location_failures_are_of_type_1000(self) -> None:
        found = loaded({}).sent("P11", LateFailure.LOCATION_FAILED.value)
        assert found is not None
        assert found.type == "1000"

    def test_cases_stay_open_where_somebody_has_to_look_at_the_meter(self) -> None:
        types = loaded({})
        kept = {failure for failure in LateFailure if not _closes(types, failure)}
        assert kept == {
            LateFailure.READING_CONTRADICTION,
            LateFailure.SWITCH_STATE_UNKNOWN,
            LateFailure.SWITCH_CONTRADICTION,
            LateFailure.SWITCHED_OUTSIDE_SAP,
            LateFailure.CONFIRMATION_UNTOLD,
            LateFailure.EVENT_STORM,
        }

    def test_a_setting_of_a_row_is_replaced_alone(self) -> None:
        found = loaded({"MDUS_EVENT_TYPES__POWER_FAILED__TYPE": "0777"}).sent("P11", "3.26.0.85")
        assert found is not None
        assert (found.type, found.properties) == ("0777", {"text": "TEXT"})

    def test_two_rows_for_one_event_are_refused_at_start(self, write: Write) -> None:
        text = '[[event_types]]\nname = "again"\nevent = "*.26.0.85"\ntype = "1"\nseverity = "1"\n'
        assert "*.26.0.85 stands in the rows power_failed and again" in told(write(text))
        assert loaded(write(text + 'systems = ["P12"]\n')).sent("P11", "3.26.0.85") is not None

    def test_a_wrong_row_is_refused_at_start(self, write: Write) -> None:
        text = '[[event_types]]\nname = "a"\nevent = "power"\ntype = "1"\nseverity = "1"\n'
        assert "neither a code such as 3.26.*.85" in told(write(text))


def _closes(types: EventTypes, failure: LateFailure) -> bool:
    found = types.sent("P11", failure.value)
    return found is not None and found.closes_case
