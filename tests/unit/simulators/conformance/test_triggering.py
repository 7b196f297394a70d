"""The trigger: what the command is given, and what is made of what it says."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from simulators.conformance.headend_rest import main as headend_rest
from simulators.conformance.triggering import Meter, NotTriggered, Trigger


def command(folder: Path, text: str) -> str:
    """Write a command in Python and return how it is called."""
    script = folder / "a trigger.py"
    script.write_text(text)
    return f"{sys.executable} '{script}' fixed"


class TestTrigger:
    def test_gives_stimulus_and_values_as_arguments_and_in_the_environment(self, tmp_path: Path) -> None:
        told = command(tmp_path, "import os, sys; print(sys.argv[1:], os.environ['CONFORMANCE_SERIAL'])")
        printed = asyncio.run(Trigger(told).pull("seen", serial="0042", device="7"))
        assert printed.strip() == "['fixed', 'seen', 'serial=0042', 'device=7'] 0042"

    def test_says_why_nothing_happened(self, tmp_path: Path) -> None:
        told = command(tmp_path, "import sys; sys.exit('no such meter')")
        with pytest.raises(NotTriggered, match="could not do event: no such meter"):
            asyncio.run(Trigger(told).pull("event", serial="1"))

    @pytest.mark.parametrize(
        ("told", "why"),
        [
            pytest.param(None, "--trigger CMD", id="no command"),
            pytest.param("/there/is/no/such/command", "cannot be run", id="a command that is not there"),
        ],
    )
    def test_without_a_command_does_nothing(self, told: str | None, why: str) -> None:
        with pytest.raises(NotTriggered, match=why):
            asyncio.run(Trigger(told).pull("seen"))

    def test_reads_the_meters_there_are(self, tmp_path: Path) -> None:
        text = """print('[{"serial": "1", "material": "M"}, {"serial": "2", "material": "N", "unit": "M3"}]')"""
        trigger = Trigger(command(tmp_path, text))
        assert asyncio.run(trigger.meters(5)) == [
            Meter(serial="1", material="M"),
            Meter(serial="2", material="N", unit="M3"),
        ]
        assert len(asyncio.run(trigger.meters(1))) == 1

    @pytest.mark.parametrize("printed", ["none", '[{"no": "serial"}]', "{}", "[1]"])
    def test_refuses_what_is_no_list_of_meters(self, tmp_path: Path, printed: str) -> None:
        with pytest.raises(NotTriggered, match="no list of meters"):
            asyncio.run(Trigger(command(tmp_path, f"print({printed!r})")).meters(1))


class TestHeadEndRest:
    def test_says_that_it_cannot_reach_the_head_end(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert headend_rest(["--url", "http://127.0.0.1:1", "seen", "serial=1"]) == 3
        assert "hear" in capsys.readouterr().err

    def test_says_what_it_has_no_stimulus_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert headend_rest(["--url", "http://127.0.0.1:1", "storm", "serial=1"]) == 3
        assert "has no storm" in capsys.readouterr().err
