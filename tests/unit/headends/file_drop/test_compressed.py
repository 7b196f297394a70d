"""Bodies expanded in memory: by what they are and not what they are called, within bounds."""

from __future__ import annotations

import gzip

import pytest

from mdus.headends.file_drop.compressed import expanded


class TestExpanded:
    def test_leaves_what_was_never_compressed(self) -> None:
        assert expanded(b"MEPMD01,") == b"MEPMD01,"

    @pytest.mark.parametrize("size", [0, 99, 100])
    def test_is_what_was_compressed(self, size: int) -> None:
        assert expanded(gzip.compress(b"x" * size), most=100) == b"x" * size

    def test_is_refused_beyond_the_most(self) -> None:
        with pytest.raises(ValueError, match="more than 100 bytes"):
            expanded(gzip.compress(b"x" * 101), most=100)

    def test_is_refused_where_it_is_damaged(self) -> None:
        with pytest.raises(ValueError, match="damaged"):
            expanded(gzip.compress(b"x" * 1000)[:-5])
