"""The journal keeps whole records and nothing else."""

import asyncio
from pathlib import Path

import pytest

from simulators.fleet.journal import Journal, JournalDamaged, Record


def written(path: Path, *records: Record) -> None:
    async def write() -> None:
        journal = Journal(path)
        list(journal.replay())
        await asyncio.gather(*(journal.commit(record) for record in records))
        # No close: what was committed is in the file already, as after a kill.

    asyncio.run(write())


class TestJournal:
    def test_gives_back_what_was_committed_in_order(self, tmp_path: Path) -> None:
        records = [{"t": "x", "n": number} for number in range(100)]
        written(tmp_path / "state", *records)
        assert list(Journal(tmp_path / "state").replay()) == records

    def test_cuts_off_a_torn_last_line_and_goes_on_after_it(self, tmp_path: Path) -> None:
        path = tmp_path / "state"
        written(path, {"n": 1}, {"n": 2})
        path.write_bytes(path.read_bytes() + b'{"n": 3, "torn')
        written(path, {"n": 4})
        assert list(Journal(path).replay()) == [{"n": 1}, {"n": 2}, {"n": 4}]

    def test_refuses_a_damaged_line_before_the_last(self, tmp_path: Path) -> None:
        path = tmp_path / "state"
        path.write_bytes(b'{"n": 1}\n{"n": \n{"n": 3}\n')
        with pytest.raises(JournalDamaged, match="line 2"):
            list(Journal(path).replay())

    def test_writes_what_was_only_noted_when_closed(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "state")
        assert list(journal.replay()) == []
        journal.note({"n": 1})
        journal.close()
        assert list(Journal(tmp_path / "state").replay()) == [{"n": 1}]

    def test_keeps_nothing_without_a_path(self) -> None:
        journal = Journal(None)
        assert list(journal.replay()) == []
        asyncio.run(journal.commit({"n": 1}))
