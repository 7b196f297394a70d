"""Answers that are larger than one may be, in one piece or in pages."""

from __future__ import annotations

import pytest

from mdus.domain.command import CommandKind
from mdus.domain.end_device import SwitchState
from mdus.messaging.retry import TransientError, UncertainError
from tests.unit.headends.multispeak.messages import SERIAL, batch, command
from tests.unit.headends.multispeak.scripted_soap import ScriptedSoap, at
from tests.unit.headends.multispeak.test_adapter import INTERVALS, SWITCH, submit


class TestAnswers:
    def test_leaves_a_switch_in_doubt_when_the_answer_is_too_large(self, scripted: ScriptedSoap) -> None:
        head_end = at(scripted, max_answer_bytes=5000)
        switch = batch(CommandKind.SWITCH, command(CommandKind.SWITCH, SERIAL, wanted_state=SwitchState.DISCONNECTED))
        scripted.script[SWITCH] = [scripted.result(SWITCH, " " * 4000), scripted.result(SWITCH, " " * 5000)]
        assert head_end.submit(switch).rejections == ()

        with pytest.raises(UncertainError, match=r"city has \d+ bytes, and head_ends.city.max_answer_bytes is 5000"):
            head_end.submit(switch)
        head_end.close()

    @pytest.mark.parametrize(("filling", "is_read"), [(2000, True), (3000, False)])
    def test_of_several_pages_are_no_larger_together_than_one_may_be(
        self, scripted: ScriptedSoap, filling: int, is_read: bool
    ) -> None:
        method = "GetReadingByMeterIDAndFieldNameIntervalData"
        page = INTERVALS.format(serial=SERIAL, start="2026-03-28T00:00:00Z", values="1") + f"<!--{'x' * filling}-->"
        scripted.script[method] = [
            scripted.result(method, page, header='ObjectsRemaining="1" LastSent="b-1"'),
            scripted.result(method, page, header='ObjectsRemaining="0"'),
        ]
        head_end = at(scripted, max_answer_bytes=7000)

        if is_read:
            assert len(submit(head_end, CommandKind.READ_INTERVALS).deliveries) == 1
        else:
            with pytest.raises(TransientError, match=r"the pages of an answer of city have .*max_answer_bytes is 7000"):
                submit(head_end, CommandKind.READ_INTERVALS)
        head_end.close()
