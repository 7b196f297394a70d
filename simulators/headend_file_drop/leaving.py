"""How files are left in the folder, and what goes wrong with that."""

import asyncio
import gzip
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_PIECES = 3  # of a file that is written slowly
_POLL = 0.02
_PATIENCE = 5.0  # seconds until a name is given up that nobody takes away
_1970 = datetime(1970, 1, 1, tzinfo=UTC)

#: A line that is no record, and a channel that tells another number of readings than it has.
_BAD_LINE = "this is no record"
_BAD_CHANNEL = (
    '<Channel IsRegister="false" IntervalLength="15"><ChannelID IntervalChannelID="0:0"/><ContiguousIntervalSets>'
    '<ContiguousIntervalSet NumberOfReadings="2"><TimePeriod StartTime="2026-01-01T00:00:00Z"/><Readings>'
    '<Reading Value="1"/></Readings></ContiguousIntervalSet></ContiguousIntervalSets></Channel>'
)

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A file to be left: what is told in it, and how that is written, with a time of creation."""

    name: str
    rows: Rows
    created: datetime
    write: Callable[[Rows, datetime], list[str]]
    before: Rows = ()  # what the file of its kind before it told

    def body(self, rows: Rows | None = None, *, created: datetime | None = None, bad: bool = False) -> bytes:
        """This will write the file."""
        lines = self.write(self.rows if rows is None else rows, created or self.created)
        if bad and "<Channels>" in lines:
            lines.insert(lines.index("<Channels>") + 1, _BAD_CHANNEL)
        elif bad:
            lines.insert(1, _BAD_LINE)
        return "".join(f"{line}\n" for line in lines).encode()


class Leaving:
    """This will leave files in a folder; after `settled` seconds without a change a file is whole."""

    def __init__(self, folder: Path, *, settled: float) -> None:
        self._folder = folder
        self._settled = settled

    async def leave(self, draft: Draft, fault: str | None) -> bool:
        """This will leave a file as the fault says; False where its name is still taken by another."""
        body = draft.body()
        match fault:
            case "half_written":
                return await self._slowly(draft.name, body, unfinished=draft.name)
            case "renamed_while_writing":
                return await self._slowly(draft.name, body, unfinished=f"{draft.name}.part")
            case "truncated_gz":
                whole = gzip.compress(body)
                name = f"{draft.name}.gz"
                return await self._both(name, whole[: len(whole) // 2], whole)
            case "duplicate_name":
                middle = (len(draft.rows) + 1) // 2
                first, second = draft.rows[:middle], draft.rows[middle:]
                return await self._both(draft.name, draft.body(first), draft.body(second))
            case "duplicate_file":
                return self._whole(draft.name, body) and self._whole(f"copy_of_{draft.name}", body)
            case "zero_byte":
                return self._whole(f"empty_{draft.name}", b"") and self._whole(draft.name, body)
            case "bom":
                return self._whole(draft.name, _BYTE_ORDER_MARK + body)
            case "crlf":
                return self._whole(draft.name, body.replace(b"\n", b"\r\n"))
            case "gz":
                return self._whole(draft.name, gzip.compress(body))
            case "bad_record":
                return self._whole(draft.name, draft.body(bad=True))
            case "late_file":
                await asyncio.sleep(3 * self._settled)
            case "catch_up_rows":
                return self._whole(draft.name, draft.body([*draft.before, *draft.rows]))
            case "clock_off_header":
                return self._whole(draft.name, draft.body(created=_1970), changed=0)
        return self._whole(draft.name, body)

    def _whole(self, name: str, body: bytes, *, changed: int | None = None) -> bool:
        """This will leave a file at once, under a name that nobody takes while it is written."""
        target = self._folder / name
        try:
            if target.read_bytes() != body:
                return False
        except FileNotFoundError:
            draft = self._folder / f"{name}.part"
            with draft.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            if changed is not None:
                os.utime(draft, (changed, changed))
            draft.rename(target)
        return True

    async def _slowly(self, name: str, body: bytes, *, unfinished: str) -> bool:
        """This will write a file in pieces, with pauses; it has its name before it is whole."""
        target = self._folder / name
        if target.exists():
            return False
        draft = self._folder / unfinished
        step = len(body) // _PIECES + 1
        with draft.open("wb", buffering=0) as file:
            for first in range(0, len(body), step):
                file.write(body[first : first + step])
                if first == 0 and draft != target:
                    draft.rename(target)
                await asyncio.sleep(0.6 * self._settled)
        return True

    async def _both(self, name: str, first: bytes, second: bytes) -> bool:
        """This will leave two files of one name, the second when the first was taken away."""
        if not self._whole(name, first):
            return False
        target = self._folder / name
        for _ in range(int(_PATIENCE / _POLL)):
            if not target.exists():
                return self._whole(name, second)
            await asyncio.sleep(_POLL)
        if not second.startswith(first):
            return False  # nobody is there, and neither must replace the other
        target.unlink(missing_ok=True)
        return self._whole(name, second)
