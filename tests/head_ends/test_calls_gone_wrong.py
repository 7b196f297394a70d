"""Calls of every kind over HTTP that end otherwise than with an answer: what was done, what MDUS takes it for."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from mdus.bootstrap.connecting import try_head_ends
from mdus.bootstrap.discovery import discover
from mdus.domain.command import Command, CommandKind, CommandStatus
from mdus.domain.end_device import EndDevice, SwitchState
from mdus.domain.exception_case import ExceptionCase
from mdus.storage.command import COMMAND
from mdus.storage.concentrator import probes
from mdus.storage.message import MESSAGE_EVENT
from tests.head_ends.city import City

_ROLLOVER = "tls_certificate_rollover"
_SAYS = "the certificate of city is not trusted: unable to get local issuer certificate (see head_ends.city.ca_file)"


def notes(city: City, command: Command) -> list[str]:
    """Return what was noted of a command, oldest first."""
    table = COMMAND.table
    query = select(MESSAGE_EVENT.c.note).join(table, MESSAGE_EVENT.c.command_id == table.c.id)
    query = query.where(table.c.command_key == command.command_key).order_by(MESSAGE_EVENT.c.id)
    with city.database.read() as uow:
        return [note for note in uow.connection.scalars(query) if note]


def probed_at(city: City) -> datetime | None:
    """Return when the head end said what it can do, None before it did."""
    with city.database.read() as uow:
        said = probes(uow.connection).get("city")
    return None if said is None else said.at


@pytest.mark.takes(CommandKind.SWITCH)
class TestAnswersThatSayNothing:
    @pytest.mark.each_fault(
        pytest.param("html_error_page", 0, id="a page, nothing done"),
        pytest.param("html_error_page_after_acceptance", 1, id="a page, carried out"),
        pytest.param("empty_200", 1, id="nothing, carried out"),
        pytest.param("soap_fault", 0, id="a SOAP fault, nothing done"),
        names=("fault", "executed"),
    )
    def test_let_the_breaker_be_read_and_no_switch_given_again(self, city: City, fault: str, executed: int) -> None:
        device = city.install(city.meter())
        city.simulated.arm(fault)
        switch = city.switch_of(device)

        [status] = city.settle(switch)

        # Who can be asked for the call by its id says what became of it.
        is_known = executed and city.variant.fetches("find")
        assert status is (CommandStatus.DONE if is_known else CommandStatus.UNCERTAIN)
        state = city.order(device, CommandKind.SWITCH_STATE)
        assert city.settle(state) == [CommandStatus.DONE]
        wanted = SwitchState.DISCONNECTED if executed else SwitchState.CONNECTED
        assert (city.stored(state).result_state, city.status(device).switch_state) == (wanted, wanted)
        assert city.simulated.switches() == [(1, 1)] * executed
        assert city.stored(switch).status is status
        assert city.all(ExceptionCase) == []


@pytest.mark.run_with(tls="{folder}/tls")
@pytest.mark.has(_ROLLOVER)
class TestACertificateThatIsNotTrusted:
    def installed(self, city: City) -> EndDevice:
        device = city.install(city.meter())
        assert city.row.url is not None
        assert city.row.url.startswith("https://")
        city.simulated.arm(_ROLLOVER)
        return device

    @pytest.mark.takes(CommandKind.SWITCH)
    def test_keeps_a_switch_until_it_is_again(self, city: City) -> None:
        switch = city.switch_of(self.installed(city))

        for _ in range(2):
            city.worker.turn()
            assert city.stored(switch).status is CommandStatus.READY
            city.real += 60  # the rest after a failed call is over
        assert notes(city, switch)[-2:] == [_SAYS] * 2
        assert city.simulated.switches() == []

        city.clock.advance(minutes=1)
        assert city.settle(switch) == [CommandStatus.DONE]
        assert city.simulated.switches() == [(1, 1)]
        assert city.all(ExceptionCase) == []

    @pytest.mark.fetches("meters")
    def test_is_told_by_the_check_with_the_setting(self, city: City, tmp_path: Path) -> None:
        settings = city.settings.model_copy(update={"head_ends": (city.row,)})
        city.simulated.arm(_ROLLOVER)

        [refused] = try_head_ends(settings, discover())
        city.clock.advance(minutes=1)
        [answered] = try_head_ends(settings, discover())

        assert refused.problem is not None
        assert _SAYS in refused.problem.what
        assert refused.problem.mend == "name a file with its certificate authority in head_ends.city.ca_file"
        assert (answered.problem, answered.note) == (None, "the head end city answers")

    @pytest.mark.fetches("probe")
    def test_fails_the_probe_which_comes_again(self, city: City) -> None:
        city.simulated.arm(_ROLLOVER)

        with capture_logs() as logs:
            city.watch.turn()
            assert probed_at(city) is None
            city.clock.advance(minutes=1)
            city.watch.turn()

        assert [each["reason"] for each in logs if each["event"] == "head_end_not_probed"] == [_SAYS]
        assert probed_at(city) == city.clock.now()
