"""Entries of lists in messages."""

from __future__ import annotations

import pytest

from mdus.headends.token_poll.messages import Entry


class TestEntry:
    @pytest.mark.parametrize("text", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
    def test_has_no_instant_beyond_the_calendar(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"Timestamp is .* beyond the calendar"):
            Entry(line=1, texts={"Timestamp": text}).instant("Timestamp")
