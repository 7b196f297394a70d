"""Late failures that were stored as due before events were sent become events, each once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from alembic import command as alembic
from alembic.config import Config
from sqlalchemy import Engine, create_engine, text

from mdus.domain.end_device_event import EndDeviceEvent, EventState
from mdus.settings import data_folder
from mdus.storage.column_types import UtcInstant
from mdus.storage.end_device_event import END_DEVICE_EVENT

AT = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
LOCATION = "UtilitiesDeviceERPSmartMeterLocationNotification: The device is not known"
READING = "No reading for document 7, register 1, scheduled for 2026-03-27: nothing there"
UNKNOWN = "The breaker of device 42 is in an unknown position after request 9: silence"
CONTRADICTION = "The order was confirmed as failed, but the meter was disconnected after all"


@pytest.fixture
def old(empty_database_url: str) -> Iterator[tuple[Engine, Config]]:
    """A database of the version before, with the configuration that migrates it."""
    url = empty_database_url.replace("postgresql://", "postgresql+psycopg://")
    config = Config()
    config.set_main_option("script_location", str(data_folder("migrations")))
    config.attributes["url"] = url
    alembic.upgrade(config, "0002")
    engine = create_engine(url)
    yield engine, config
    engine.dispose()


def store(engine: Engine, event_id: str, note: str, *, case: tuple[str, str] | None = None) -> None:
    """Store a late failure as the version before did, and its case."""
    at = UtcInstant().bind_processor(engine.dialect)(AT)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO domain_event (event_id, type, sender_system, aggregate, at, note)"
                " VALUES (:event_id, 'smart_meter_event_due', 'P11', 'device/42', :at, :note)"
            ),
            {"event_id": event_id, "at": at, "note": note},
        )
        if case is not None:
            connection.execute(
                text("INSERT INTO exception_case (kind, case_key, opened_at, note) VALUES (:kind, :key, :at, :note)"),
                {"kind": case[0], "key": case[1], "at": at, "note": note},
            )


def events(engine: Engine) -> dict[str, EndDeviceEvent]:
    """Return the events by their ids."""
    with engine.connect() as connection:
        return {event.event_id: event for event in END_DEVICE_EVENT.fetch(connection, END_DEVICE_EVENT.select())}


class TestTakeOver:
    @pytest.mark.parametrize(
        ("note", "kind", "failure"),
        [
            pytest.param(LOCATION, "message_failed", "location_failed", id="location"),
            pytest.param("Other: no", "message_failed", "message_failed", id="other message"),
            pytest.param(READING, "reading_missing", "reading_missing", id="reading"),
            pytest.param(UNKNOWN, "switch_state_unknown", "switch_state_unknown", id="switch state"),
        ],
    )
    def test_makes_an_event_of_each_kind_with_the_case_it_opened(
        self, old: tuple[Engine, Config], note: str, kind: str, failure: str
    ) -> None:
        engine, config = old
        store(engine, "A" * 22, note, case=(kind, "17"))

        alembic.upgrade(config, "head")

        event = events(engine)["A" * 22]
        assert (event.event_type, event.case_key, event.text) == (failure, "17", note)
        assert (event.sender_system, event.device_id, event.at, event.told_at) == ("P11", "42", AT, AT)
        assert (event.state, event.source, event.properties) == (EventState.TOLD, "mdus", ())
        with engine.connect() as connection:
            assert connection.execute(text("SELECT kind FROM exception_case")).scalars().all() == [failure]

    def test_an_event_may_have_no_case_of_its_note(self, old: tuple[Engine, Config]) -> None:
        engine, config = old
        store(engine, "A" * 22, CONTRADICTION)
        alembic.upgrade(config, "head")
        assert (events(engine)["A" * 22].event_type, events(engine)["A" * 22].case_key) == (
            "switch_contradiction",
            None,
        )

    def test_takes_none_that_was_consumed(self, old: tuple[Engine, Config]) -> None:
        engine, config = old
        store(engine, "A" * 22, READING)
        store(engine, "B" * 22, READING)
        with engine.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO domain_event_consumed (event_id, service, at)"
                    " SELECT event_id, 'UtilitiesSmartMeterEventERPBulkCreateRequest', at FROM domain_event"
                    " WHERE event_id LIKE 'A%'"
                )
            )
        alembic.upgrade(config, "head")
        assert list(events(engine)) == ["B" * 22]

    def test_gives_back_what_was_not_sent(self, old: tuple[Engine, Config]) -> None:
        engine, config = old
        store(engine, "A" * 22, READING)
        store(engine, "B" * 22, READING)
        alembic.upgrade(config, "head")
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE end_device_event SET state = 'sent', sent_at = at WHERE event_id = :id"), {"id": "A" * 22}
            )
        alembic.downgrade(config, "0002")
        alembic.upgrade(config, "head")
        assert list(events(engine)) == ["B" * 22]
