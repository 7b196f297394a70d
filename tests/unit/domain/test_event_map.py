"""Events by what head ends call them: the delivered table, its precedence, and what no row explains."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mdus.bootstrap.tables import SHARED_TABLES
from mdus.domain.event_map import EventMap, FieldEventRow, event_code
from mdus.domain.event_types import EventTypes
from mdus.settings import HeadEnd, SettingsError, load_settings

SETTINGS = load_settings({}, tables=SHARED_TABLES)
ROWS = SETTINGS.rows("field_events", FieldEventRow)
DELIVERED = EventMap.of(SETTINGS)
NORTH = HeadEnd(name="north", kind="rest", time_zone="UTC", vendor="northern")
SOUTH = HeadEnd(name="south", kind="rest", time_zone="UTC")
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def row(name: str, event: str, **facts: Any) -> FieldEventRow:
    return FieldEventRow.model_validate({"name": name, "event": event, **facts})


class TestCodes:
    @pytest.mark.parametrize(
        ("told", "event"),
        [
            pytest.param("3.26.0.85", "3.26.0.85", id="power failed"),
            pytest.param("0.26.0.85", "3.26.0.85", id="power failed, of no type of device"),
            pytest.param("0.26.38.85", "3.26.0.85", id="power failed, of a phase"),
            pytest.param("3.26.0.216", "3.26.0.216", id="power restored"),
            pytest.param("0.26.38.49", "3.26.0.216", id="power restored, by a number of no dictionary"),
            pytest.param("3.31.0.42", "3.31.0.42", id="connected"),
            pytest.param("0.31.26.42", "3.31.0.42", id="connected, as peers write it"),
            pytest.param("3.31.0.68", "3.31.0.68", id="disconnected"),
            pytest.param("0.31.26.68", "3.31.0.68", id="disconnected, as peers write it"),
            pytest.param("0.31.0.67", "3.31.0.67", id="connect failed"),
            pytest.param("0.31.0.84", "3.31.0.84", id="disconnect failed"),
            pytest.param("0.12.29.39", "3.12.29.39", id="cover opened"),
            pytest.param("0.12.141.212", "3.12.29.39", id="enclosure removed"),
            pytest.param("0.12.66.257", "3.12.66.257", id="magnetic tampering"),
            pytest.param("0.12.93.219", "3.12.93.219", id="reverse rotation"),
            pytest.param("0.12.0.257", "3.12.0.257", id="tampering"),
            pytest.param("0.2.22.150", "3.2.22.150", id="battery low"),
            pytest.param("0.26.79.223", "3.26.79.223", id="sag"),
            pytest.param("0.26.79.248", "3.26.79.248", id="swell"),
            pytest.param("0.8.0.215", "3.8.0.215", id="demand reset"),
            pytest.param("0.15.261.139", "3.15.261.139", id="limiter exceeded"),
            pytest.param("0.12.24.85", "3.12.24.85", id="bad password"),
            pytest.param("4.26.38.85", "4.26.0.85", id="another type of device stays"),
            pytest.param("3.99.1.2", "3.99.1.2", id="one without a row stays"),
            pytest.param("0.99.1.2", "0.99.1.2", id="one without a row, of no type of device"),
            pytest.param(" 3.26.0.85 ", "3.26.0.85", id="with spaces"),
        ],
    )
    def test_are_one_however_peers_write_them(self, told: str, event: str) -> None:
        assert DELIVERED.by_iec(told) == event

    @pytest.mark.parametrize("told", ["", "3.26.0", "3.26.0.85.1", "3.26.x.85", "3.26.*.85", "power", "3.26.0.-85"])
    def test_are_four_numbers(self, told: str) -> None:
        assert DELIVERED.by_iec(told) is None

    @pytest.mark.parametrize(
        ("scheme", "code", "event"),
        [
            ("edition_1", "3.26.0.185", "3.26.0.85"),
            ("edition_1", "3.26.17.185", "3.26.0.85"),
            ("edition_1", "3.26.17.216", "3.26.0.216"),
            ("history_log", "Primary power down", "3.26.0.85"),
            ("history_log", "primary  POWER up", "3.26.0.216"),
            ("history_log", "Tamper attempt detected", "3.12.0.257"),
            ("history_log", "Reverse flow detected", "3.12.93.219"),
            ("history_log", "Low battery detected", "3.2.22.150"),
            ("history_log", "Demand reset occurred", "3.8.0.215"),
            ("outage", "Outage", "3.26.0.85"),
            ("outage", "PowerOff", "3.26.0.85"),
            ("outage", "Restoration", "3.26.0.216"),
            ("outage", "PowerOn", "3.26.0.216"),
            ("c1219", "1", "3.26.0.85"),
            ("c1219", "2", "3.26.0.216"),
            ("c1219", "20", "3.8.0.215"),
            ("c1219", "44", "3.2.22.150"),
            ("c1219", "47", "3.12.0.257"),
            ("c1219", "48", "3.12.93.219"),
            ("exception", "18001", "3.26.0.85"),
            ("exception", "18002", "3.26.0.216"),
            ("name", "Primary Power Down", "3.26.0.85"),
        ],
    )
    def test_of_other_schemes_are_events(self, scheme: str, code: str, event: str) -> None:
        assert DELIVERED.find(scheme, code) == event

    @pytest.mark.parametrize(
        ("scheme", "code"),
        [
            pytest.param("outage", "NoResponse", id="no answer is no outage"),
            pytest.param("outage", "Inferred", id="nothing the meter tells"),
            pytest.param("history_log", "Momentary interruption", id="no code agreed on"),
            pytest.param("edition_1", "3.26.185", id="three numbers"),
            pytest.param("edition_1", "4.26.0.185", id="another type of device"),
            pytest.param("c1219", "m1", id="of the manufacturer"),
            pytest.param("exception", "18003", id="exception"),
            pytest.param("name", "18001", id="a code of another scheme"),
            pytest.param("unheard_of", "1", id="scheme"),
        ],
    )
    def test_without_a_row_are_not_guessed(self, scheme: str, code: str) -> None:
        assert DELIVERED.find(scheme, code) is None
        assert event_code(scheme, code) == f"{scheme}: {code}"

    @pytest.mark.parametrize(
        ("scheme", "code"),
        [
            pytest.param("state_change", "No response from meter", id="told by no meter"),
            pytest.param("history_log", "relay opened", id="of the breaker, or of a relay for loads"),
            pytest.param("history_log", "relay closed", id="the same, closed"),
        ],
    )
    def test_that_are_no_event_or_may_be_another_have_none_until_a_row_says(self, scheme: str, code: str) -> None:
        assert DELIVERED.find(scheme, code) is None
        own = row("own", "3.31.0.68", head_end="north", codes={scheme: [code]})
        assert EventMap([*ROWS, own], head_end=NORTH).find(scheme, code) == "3.31.0.68"
        assert EventMap([*ROWS, own], head_end=SOUTH).find(scheme, code) is None


class TestThereAndBack:
    @pytest.mark.parametrize("each", ROWS, ids=lambda each: each.name)
    def test_every_code_of_a_row_is_its_event(self, each: FieldEventRow) -> None:
        for scheme, codes in each.schemes.items():
            for code in codes:
                told = code.replace("*", "7")
                found = DELIVERED.by_iec(f"0.{told}") if scheme == "iec" else DELIVERED.find(scheme, told)
                assert found == each.event, (scheme, code)

    @pytest.mark.parametrize("each", ROWS, ids=lambda each: each.name)
    def test_the_code_of_an_event_is_told_as_it(self, each: FieldEventRow) -> None:
        assert DELIVERED.to("iec", each.event) == each.event
        for scheme in each.codes:
            code = DELIVERED.to(scheme, each.event)
            assert code is not None
            assert DELIVERED.find(scheme, code) == each.event

    def test_an_event_without_a_code_of_a_scheme_has_none(self) -> None:
        assert DELIVERED.to("history_log", "3.26.79.223") is None

    def test_what_sap_is_told_of_is_told_of_events_of_rows(self) -> None:
        types = EventTypes.of(SETTINGS)
        sent = {each.event for each in ROWS if types.sent("P11", each.event) is not None}
        assert {"3.26.0.85", "3.26.0.216", "3.31.0.42", "3.31.0.68", "3.12.29.39", "3.2.22.150"} <= sent


class TestPrecedence:
    ROWS = (
        row("all", "3.1.0.1", codes={"exception": ["7"]}),
        row("vendor", "3.1.0.2", codes={"exception": ["7"]}, vendor="northern"),
        row("own", "3.1.0.3", codes={"exception": ["7"]}, head_end="north"),
    )

    @pytest.mark.parametrize(
        ("rows", "head_end", "event"),
        [
            pytest.param(ROWS, NORTH, "3.1.0.3", id="the head end's own"),
            pytest.param(ROWS[:2], NORTH, "3.1.0.2", id="its vendor's"),
            pytest.param(ROWS[:1], NORTH, "3.1.0.1", id="that for all"),
            pytest.param(ROWS, SOUTH, "3.1.0.1", id="not another's"),
        ],
    )
    def test_is_of_the_nearest_row(self, rows: tuple[FieldEventRow, ...], head_end: HeadEnd, event: str) -> None:
        assert EventMap(rows, head_end=head_end).find("exception", "7") == event

    def test_is_of_the_code_that_names_more(self) -> None:
        events = EventMap([row("any", "3.1.0.1", iec=["9.*.9"]), row("one", "3.1.0.2", iec=["9.8.9"])])
        assert events.by_iec("0.9.8.9") == "3.1.0.2"
        assert events.by_iec("0.9.7.9") == "3.1.0.1"

    def test_is_of_the_row_that_was_valid_when_it_happened(self) -> None:
        rows = (
            row("before", "3.1.0.1", codes={"exception": ["7"]}),
            row("since", "3.1.0.2", codes={"exception": ["7"]}, valid_from=NEW_YEAR),
        )
        events = EventMap(rows)
        assert events.find("exception", "7", at=NEW_YEAR - timedelta(microseconds=1)) == "3.1.0.1"
        assert events.find("exception", "7", at=NEW_YEAR) == "3.1.0.2"
        assert events.find("exception", "7") == "3.1.0.2"


class TestRows:
    @pytest.mark.parametrize(
        ("facts", "reason"),
        [
            pytest.param({"event": "3.26.0"}, "no EndDeviceEventType", id="three numbers"),
            pytest.param({"event": "3.26.*.85"}, "no EndDeviceEventType", id="a pattern"),
            pytest.param({"iec": ["85"]}, "last three parts", id="an alias of one number"),
            pytest.param({"iec": ["26.x.85"]}, "last three parts", id="an alias with a letter"),
            pytest.param({"codes": {"c1219": [1]}}, "string", id="a number"),
        ],
    )
    def test_are_refused(self, facts: dict[str, Any], reason: str) -> None:
        with pytest.raises(ValidationError, match=reason):
            row("a", **{"event": "3.26.0.85", **facts})

    def test_must_not_explain_one_code_twice(self) -> None:
        rows = [row("one", "3.1.0.1", codes={"name": ["Up"]}), row("other", "3.1.0.2", codes={"name": ["UP"]})]
        assert list(FieldEventRow.contradictions(rows)) == ["name: UP stands in one and in other"]
        apart = [rows[0], row("other", "3.1.0.2", codes={"name": ["UP"]}, head_end="north")]
        assert list(FieldEventRow.contradictions(apart)) == []

    def test_that_contradict_are_a_problem_of_the_settings(self, tmp_path: Path) -> None:
        (tmp_path / "field_events.toml").write_text(
            '[[field_events]]\nname = "mine"\nevent = "3.1.0.1"\ncodes = { exception = ["18001"] }\n'
        )
        with pytest.raises(SettingsError, match="stands in power_failed and in mine"):
            load_settings({"MDUS_CONFIG": str(tmp_path)}, tables=SHARED_TABLES)
