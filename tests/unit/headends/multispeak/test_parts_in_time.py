"""A batch in parts: what would leave too late is not sent, for its order may be told by then that nobody knows."""

from __future__ import annotations

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device import SwitchState
from mdus.headends.multispeak.adapter import MultiSpeakHeadEnd
from tests.head_ends.field import row
from tests.unit.headends.multispeak.messages import OTHER, batch, command
from tests.unit.headends.multispeak.scripted_soap import ScriptedSoap
from tests.unit.headends.samples import CORRELATION, SERIAL

SWITCH = "InitiateConnectDisconnect"
READ = "GetReadingsByMeterNo"


def slow(scripted: ScriptedSoap, seconds: float) -> MultiSpeakHeadEnd:
    """Return a head end, ten seconds for an answer, of which each answer takes so many seconds."""
    connected = row(f"{scripted.url}/ami", kind="multispeak", options={"version": "3.0"}, timeout_seconds=10.0)
    return MultiSpeakHeadEnd(connected, monotonic=lambda: seconds * len(scripted.asked))


class TestThePartsOfABatch:
    @pytest.mark.parametrize(
        ("seconds", "codes"), [(5.0, []), (5.1, [(f"key-{OTHER}", "BUSY")])], ids=["in time", "too late"]
    )
    def test_move_breakers_in_time_or_not_at_all(
        self, scripted: ScriptedSoap, seconds: float, codes: list[tuple[str, str]]
    ) -> None:
        head_end = slow(scripted, seconds)
        on = command(CommandKind.SWITCH, wanted_state=SwitchState.CONNECTED)
        off = command(CommandKind.SWITCH, OTHER, wanted_state=SwitchState.DISCONNECTED)

        taken = head_end.submit(batch(CommandKind.SWITCH, on, off))

        assert (taken.token, [(each.command_key, each.code) for each in taken.rejections]) == (CORRELATION, codes)
        assert scripted.methods() == [SWITCH] * (2 - len(codes))
        head_end.close()

    def test_are_read_however_late(self, scripted: ScriptedSoap) -> None:
        head_end = slow(scripted, 60.0)

        taken = head_end.submit(
            batch(
                CommandKind.READ_REGISTERS,
                *[command(CommandKind.READ_REGISTERS, serial) for serial in (SERIAL, OTHER)],
            )
        )

        assert (taken.rejections, scripted.methods()) == ((), [READ, READ])
        head_end.close()
