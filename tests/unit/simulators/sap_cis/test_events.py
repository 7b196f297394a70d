"""The simulated SAP and the MDUS beside it have agreed on the types of events."""

from __future__ import annotations

import pytest

from mdus.domain.event_types import EventType as Row
from mdus.settings import load_settings
from simulators.sap_cis.events import EVENT_TYPES, chosen_types

ROWS = load_settings({}, tables={"event_types": Row}).rows("event_types", Row)


class TestEventTypes:
    @pytest.mark.parametrize("row", [row for row in ROWS if row.type], ids=lambda row: row.name)
    def test_are_those_that_mdus_sends_as_shipped(self, row: Row) -> None:
        kind = EVENT_TYPES[row.type or ""]
        assert (kind.category, set(row.properties.values())) == (row.category, set(kind.properties))
        assert kind.of_meter is ("." in row.event)

    def test_are_all_sent_by_some_row(self) -> None:
        assert {row.type for row in ROWS} == EVENT_TYPES.keys()


class TestChosenTypes:
    @pytest.mark.parametrize(
        ("names", "chosen"),
        [
            pytest.param("", set(), id="none"),
            pytest.param("0100, 1002", {"0100", "1002"}, id="some"),
            pytest.param("0100,all", set(EVENT_TYPES), id="all"),
        ],
    )
    def test_reads_a_list(self, names: str, chosen: set[str]) -> None:
        assert chosen_types(names) == chosen

    def test_names_what_is_unknown(self) -> None:
        with pytest.raises(ValueError, match=r"unknown event types 0999, x"):
            chosen_types("x,0100,0999")
