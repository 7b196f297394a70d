"""Stimulates what only the field can start: runs the command given, and tells apart "done" and "I cannot".

    CMD STIMULUS name=value ...        the same values also as environment variables CONFORMANCE_<NAME>

Exit code 0: it has happened, or is about to. Any other: not triggered, for the reason on the command's standard error.
The stimuli and their parameters are in `STIMULI`.
"""

import asyncio
import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TOGETHER = 4
_SECONDS = 120.0

_METER = "serial, device, task (the logical register number)"

#: Stimulus -> (its parameters, what must happen).
STIMULI: Mapping[str, tuple[str, str]] = {
    "meters": (
        "count",
        (
            "print that many unused meters of the field that have a breaker, or fewer, as a JSON list of objects: "
            "serial, material and, where they differ, division 1, obis 1-0:1.8.0, unit KWH, digits 6, decimals 2, "
            "interval_obis 1-0:1.29.0"
        ),
    ),
    "seen": (_METER, "the meter communicates with its head end for the first time"),
    "reading": (f"{_METER}, document", "the meter answers the reading order `document`"),
    "event": (_METER, "the meter reports an event that SAP is to hear of"),
    "interval_values": (
        f"{_METER}, profile, from, to",
        "the head end delivers the interval values between two instants, and MDUS uploads them",
    ),
    "interval_correction": (
        f"{_METER}, profile, from, to",
        "the head end delivers other values for intervals that were uploaded, and MDUS sends the change",
    ),
}


class NotTriggered(Exception):
    """Nothing has happened in the field; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Meter:
    """A meter of the field, as the command describes it."""

    serial: str
    material: str
    division: str = "1"
    obis: str = "1-0:1.8.0"
    unit: str = "KWH"
    digits: int = 6
    decimals: int = 2
    interval_obis: str = "1-0:1.29.0"


class Trigger:
    """This will run the command, a few at a time; without one nothing is ever triggered."""

    def __init__(self, command: str | None) -> None:
        self._command = shlex.split(command) if command else []
        self._free = asyncio.Semaphore(_TOGETHER)

    @property
    def is_there(self) -> bool:
        """Whether there is a command."""
        return bool(self._command)

    async def pull(self, stimulus: str, **parameters: str) -> str:
        """This will run the command and return what it printed; NotTriggered when it did not do it."""
        if not self._command:
            raise NotTriggered("needs a stimulus from the field: --trigger CMD")
        assert stimulus in STIMULI
        environment = {f"CONFORMANCE_{name.upper()}": value for name, value in parameters.items()}
        async with self._free:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stimulus,
                    *(f"{name}={value}" for name, value in parameters.items()),
                    env={**os.environ, **environment},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
            except OSError as error:
                raise NotTriggered(f"--trigger cannot be run: {error}") from error
            try:
                async with asyncio.timeout(_SECONDS):
                    out, err = await process.communicate()
            except TimeoutError as error:
                raise NotTriggered(f"the trigger did not end {stimulus} within {_SECONDS:.0f} s") from error
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode:
            said = " ".join(err.decode(errors="replace").split())[-300:] or f"exit code {process.returncode}"
            raise NotTriggered(f"the trigger could not do {stimulus}: {said}")
        return out.decode(errors="replace")

    async def meters(self, count: int) -> list[Meter]:
        """This will return up to so many meters of the field; NotTriggered when the command has none to give."""
        printed = await self.pull("meters", count=str(count))
        try:
            rows: list[dict[str, Any]] = json.loads(printed)
            if not isinstance(rows, list):
                raise TypeError("no list")
            return [Meter(**row) for row in rows][:count]
        except (ValueError, TypeError) as error:
            raise NotTriggered(f"the trigger printed no list of meters: {error}: {printed[:200]}") from error
