"""Which format a body is in, and how a file falls into parts."""

from __future__ import annotations

from io import BytesIO

import pytest

from mdus.headends.file_drop.codec import Format, format_of, part_file
from mdus.headends.file_drop.interval_csv import HEADER
from tests.unit.headends.file_drop.cmep_files import file, mepmd01


class TestFormatOf:
    @pytest.mark.parametrize(
        ("topic", "body", "expected"),
        [
            pytest.param("cmep", b"anything", Format.CMEP, id="said to be CMEP"),
            pytest.param("csv", b"anything", Format.CSV, id="said to be CSV"),
            pytest.param("intervals", file(mepmd01(["1"])), Format.CMEP, id="a record"),
            pytest.param("intervals", b'\r\n"MEPMD01",', Format.CMEP, id="a quoted record"),
            pytest.param("intervals", f"{HEADER}\r\n1".encode(), Format.CSV, id="the header"),
            pytest.param("intervals", f"\ufeff{HEADER.upper()}".encode(), Format.CSV, id="the header in capitals"),
        ],
    )
    def test_is_what_the_topic_says_or_the_first_line_shows(self, topic: str, body: bytes, expected: Format) -> None:
        assert format_of(topic, body) is expected

    @pytest.mark.parametrize(
        ("topic", "body"), [("intervals", b"<xml/>"), ("intervals", b""), ("readings", b"MEPMD01,")]
    )
    def test_of_anything_else_is_not_known(self, topic: str, body: bytes) -> None:
        with pytest.raises(ValueError, match=r"neither a record|nothing under the topic"):
            format_of(topic, body)


class TestPartFile:
    def test_parts_by_whole_lines_and_says_where_they_stand(self) -> None:
        body = file(*(mepmd01(["1"], meter=str(number)) for number in range(5)))
        parts = list(part_file(BytesIO(body), None, lines=2))
        assert b"".join(part.body for part in parts) == body
        assert [(part.topic, part.lines_before) for part in parts] == [("cmep", 0), ("cmep", 2), ("cmep", 4)]
        assert sum(part.size for part in parts) == len(body)

    def test_gives_each_part_of_a_csv_its_header(self) -> None:
        rows = [f"{number},O,kWh,15,2026-03-28T23:00:00Z,1,\n" for number in range(3)]
        parts = list(part_file(BytesIO("".join([HEADER + "\n", *rows]).encode()), "csv", lines=2))
        assert [part.body.decode().splitlines() for part in parts] == [
            [HEADER, rows[0].strip(), rows[1].strip()],
            [HEADER, rows[2].strip()],
        ]
        # Line 2 of the second part is line 4 of the file.
        assert [part.lines_before for part in parts] == [0, 2]

    def test_takes_a_last_line_without_an_end(self) -> None:
        (part,) = part_file(BytesIO(file(mepmd01(["1"])).rstrip()), None)
        assert part.body.endswith(b",1")

    def test_takes_nothing_in_a_format_the_file_is_not_in(self) -> None:
        with pytest.raises(ValueError, match="header"):
            list(part_file(BytesIO(file(mepmd01(["1"]))), "csv"))
