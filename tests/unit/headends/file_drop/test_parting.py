"""How files fall into deliveries: always the same way, compressed or not, and never with more in memory than one."""

from __future__ import annotations

import gzip
from io import BytesIO

import pytest

from mdus.headends.file_drop import compressed, document_parts, parting
from mdus.headends.file_drop.compressed import TooLarge
from mdus.headends.file_drop.formats import Format
from mdus.headends.file_drop.interval_csv import HEADER
from mdus.headends.file_drop.parting import part_file
from tests.unit.headends.file_drop.cmep_files import file, mepmd01
from tests.unit.headends.file_drop.feeds import csv

FIVE = file(*(mepmd01(["1"], meter=str(number)) for number in range(5)))


class TestPartFile:
    def test_parts_by_whole_lines_and_says_where_they_stand(self) -> None:
        parts = list(part_file(BytesIO(FIVE), None, lines=2))
        assert b"".join(part.body for part in parts) == FIVE
        assert [(part.topic, part.lines_before) for part in parts] == [("cmep", 0), ("cmep", 2), ("cmep", 4)]
        assert sum(part.size for part in parts) == len(FIVE)

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

    def test_takes_a_header_and_nothing_else(self) -> None:
        (part,) = part_file(BytesIO(f"{HEADER}\r\n".encode()), None)
        assert (part.topic, part.body) == ("csv", f"{HEADER}\r\n".encode())

    @pytest.mark.parametrize("told", ["csv", "events", "results", "registers"])
    def test_takes_nothing_in_a_format_the_file_is_not_in(self, told: str) -> None:
        with pytest.raises(ValueError, match="header"):
            list(part_file(BytesIO(file(mepmd01(["1"]))), told))

    def test_keeps_the_rows_of_a_result_together(self) -> None:
        rows = ["a,1,ok", "b,2,ok", "b,2,ok", "b,2,ok", "c,3,ok"]
        parts = list(part_file(BytesIO(csv("reference,serial,status", *rows)), None, lines=2))
        assert [part.body.decode().splitlines()[1:] for part in parts] == [rows[:4], rows[4:]]

    def test_cuts_a_line_that_has_no_end_in_sight(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parting, "_LONGEST_LINE", 200)
        good = mepmd01(["1"])
        body = file(good, "MEPMD01," + "x" * 1000, good)
        (part,) = part_file(BytesIO(body), None)
        first, cut, last = part.body.splitlines()
        assert (first.decode(), len(cut), last.decode()) == (good, 200, good)


class TestCompressed:
    def test_falls_into_the_parts_of_the_file_it_was_made_of(self) -> None:
        body = gzip.compress(FIVE)
        parts = list(part_file(BytesIO(body), None, lines=2))
        plain = list(part_file(BytesIO(FIVE), None, lines=2))
        assert [(part.topic, part.body, part.lines_before) for part in parts] == [
            (part.topic, part.body, part.lines_before) for part in plain
        ]
        assert sum(part.size for part in parts) == len(body)  # of the file that is read

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda body: body[: len(body) // 2], id="cut off"),
            pytest.param(lambda body: body[:-4], id="without its end"),
            pytest.param(lambda body: body[:-8] + bytes(4) + body[-4:], id="another check sum"),
            pytest.param(lambda body: body[:20] + bytes([body[20] ^ 1]) + body[21:], id="a bit turned"),
        ],
    )
    def test_gives_nothing_where_it_is_damaged(self, damage: object) -> None:
        body = damage(gzip.compress(file(*(mepmd01([str(number)]) for number in range(3000)))))  # type: ignore[operator]
        with pytest.raises(ValueError, match=r"damaged|neither a record"):
            next(part_file(BytesIO(body), None))

    def test_gives_nothing_where_it_grows_beyond_measure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compressed, "_LARGEST", 100_000)
        monkeypatch.setattr(compressed, "_MOST_TIMES", 40)
        body = gzip.compress(file(mepmd01(["1"])) + b"0" * 10_000_000)
        with pytest.raises(ValueError, match="40 times as large"):
            next(part_file(BytesIO(body), None))

    def test_gives_nothing_where_it_grows_larger_than_it_may(self) -> None:
        body = gzip.compress(FIVE)
        assert list(part_file(BytesIO(body), None, most=len(FIVE)))

        with pytest.raises(TooLarge, match=f"{len(body)} bytes, and more than {len(FIVE) - 1} bytes"):
            next(part_file(BytesIO(body), None, most=len(FIVE) - 1))

    def test_of_nothing_is_empty(self) -> None:
        with pytest.raises(ValueError, match="the file is empty"):
            next(part_file(BytesIO(gzip.compress(b"")), None))

    def test_of_several_pieces_is_one_file(self) -> None:
        (part,) = part_file(BytesIO(gzip.compress(FIVE) + gzip.compress(FIVE)), None)
        assert part.body == FIVE + FIVE


class TestDocument:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(document_parts, "_LONGEST", 200_000)
        monkeypatch.setattr(parting, "_BYTES", 50_000)

    def document(self, size: int) -> BytesIO:
        channel = f'<Channel Note="{"x" * size}"/>'
        return BytesIO(f"<MeterReadingDocument><Channels>{channel * 5}</Channels></MeterReadingDocument>".encode())

    def test_may_be_as_large_as_it_likes(self) -> None:
        assert len(list(part_file(self.document(100_000), None))) == 5

    def test_is_given_up_where_a_channel_does_not_end(self) -> None:
        with pytest.raises(ValueError, match="more than 200000 bytes of it are one channel, or none"):
            list(part_file(self.document(250_000), None))


def test_formats_have_limits() -> None:
    assert set(parting._LINES) == set(Format) - {Format.DOCUMENT}
