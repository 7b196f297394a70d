"""Commands are found by what is asked of them, whatever else their devices were asked: few rows, on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.provisioning import registry_owner
from mdus.storage.command import asked_about
from mdus.storage.session import Database, UnitOfWork
from tests.unit.storage.test_listing_plans import noting, too_much

SYSTEM, ONE, OTHER = "P11", "0042", "0043"
AT = datetime(2026, 3, 27, 11, tzinfo=UTC)

#: Gaps that were read from each device.
GAPS = 200


def command(device_id: str, kind: CommandKind, purpose: str, **changes: Any) -> Command:
    """Return a command that the registry owns."""
    values: dict[str, Any] = {
        "command_key": f"{device_id}/{purpose}",
        "owner_kind": OwnerKind.REGISTRY,
        "owner_key": registry_owner(SYSTEM, device_id),
        "sender_system": SYSTEM,
        "device_id": device_id,
        "serial_id": f"S{device_id}",
        "head_end": "city",
        "kind": kind,
        "purpose": purpose,
        "not_before": AT,
        "expires_at": AT + timedelta(days=1),
    }
    return Command(**values | changes)


@pytest.fixture
def uow(database_url: str) -> Iterator[UnitOfWork]:
    """A transaction on a database in which gaps were read from two devices, and head ends told of them."""
    database = Database(database_url)
    gaps = [command(each, CommandKind.READ_INTERVALS, f"{n}") for n in range(GAPS) for each in (ONE, OTHER)]
    with database.begin() as uow:
        uow.save([command(ONE, CommandKind.PROVISION, "first", head_end="village")])
        uow.save(gaps)
        uow.save([command(OTHER, CommandKind.PROVISION, "other's"), command(ONE, CommandKind.PROVISION, "last")])
    with database.begin() as uow:
        if not database.is_sqlite:
            uow.connection.exec_driver_sql("ANALYZE command")
            # The table is small enough to be read whole: what counts is what the indexes allow.
            for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
                uow.connection.exec_driver_sql(f"SET LOCAL {setting} = off")
        yield uow
    database.close()


def indexes(connection: Connection, ask: Callable[[], object]) -> list[str]:
    """Return the steps by which SQLite finds what is asked."""
    with noting(connection) as asked:
        ask()
    return [
        str(row.detail)
        for statement, given in asked
        for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
    ]


class TestProvisioningsOf:
    def test_finds_what_head_ends_were_told_of_these_devices_oldest_first(self, uow: UnitOfWork) -> None:
        def told(*devices: str) -> list[str]:
            return [each.purpose for each in uow.load_provisionings([(SYSTEM, each) for each in devices])]

        assert told(ONE) == ["first", "last"]
        assert told(OTHER, ONE) == ["first", "other's", "last"]
        assert told("0044") == told() == []

    def test_reads_nothing_of_the_gaps_that_were_read(self, uow: UnitOfWork) -> None:
        def ask() -> list[Command]:
            return uow.load_provisionings([(SYSTEM, ONE)])

        assert too_much(uow.connection, ask, most=2) == []
        if uow.is_alone:
            assert any("INDEX command_provisioned (" in step for step in indexes(uow.connection, ask))


class TestAskedAbout:
    @pytest.mark.parametrize(
        ("head_end", "meter", "was_asked"),
        [
            pytest.param("city", (SYSTEM, ONE, f"S{ONE}"), True, id="a command of many"),
            pytest.param("village", (SYSTEM, ONE, f"S{ONE}"), True, id="told of it once"),
            pytest.param("village", (SYSTEM, OTHER, f"S{OTHER}"), False, id="another head end was"),
            pytest.param("city", (SYSTEM, ONE, "S0041"), False, id="about the meter before"),
            pytest.param("city", ("P12", ONE, f"S{ONE}"), False, id="a device of another system"),
            pytest.param("city", (SYSTEM, "0044", f"S{ONE}"), False, id="another device"),
        ],
    )
    def test_names_meters_a_head_end_was_given_a_command_about(
        self, uow: UnitOfWork, head_end: str, meter: tuple[str, str, str], was_asked: bool
    ) -> None:
        stranger = (SYSTEM, "0099", "S0099")
        assert asked_about(uow.connection, head_end, {meter, stranger}) == ({meter} if was_asked else set())
        assert asked_about(uow.connection, head_end, ()) == set()

    def test_looks_at_one_command_of_a_meter(self, uow: UnitOfWork) -> None:
        meters = {(SYSTEM, each, f"S{each}") for each in (ONE, OTHER)}

        def ask() -> set[tuple[str, str, str]]:
            return asked_about(uow.connection, "city", meters)

        assert ask() == meters
        assert too_much(uow.connection, ask, most=2 * len(meters)) == []
        if uow.is_alone:
            assert any("INDEX command_device (" in step for step in indexes(uow.connection, ask))
