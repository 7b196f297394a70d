"""Which format a body is in, by its topic or by how it begins."""

from __future__ import annotations

import pytest

from mdus.headends.file_drop.formats import Format, check_header, format_of
from mdus.headends.file_drop.interval_csv import HEADER
from tests.unit.headends.file_drop.cmep_files import file, mepmd01


class TestFormatOf:
    @pytest.mark.parametrize(
        ("topic", "body", "expected"),
        [
            pytest.param("cmep", b"anything", Format.CMEP, id="said to be CMEP"),
            pytest.param("csv", b"anything", Format.CSV, id="said to be CSV"),
            pytest.param("results", b"anything", Format.RESULTS, id="said to be results"),
            pytest.param("intervals", file(mepmd01(["1"])), Format.CMEP, id="a record"),
            pytest.param("intervals", b'\r\n"MEPMD01",', Format.CMEP, id="a quoted record"),
            pytest.param("intervals", b"garbage\nMEPMD01,", Format.CMEP, id="a record behind a bad line"),
            pytest.param("intervals", f"{HEADER}\r\n1".encode(), Format.CSV, id="the header"),
            pytest.param("intervals", f"\ufeff{HEADER.upper()}".encode(), Format.CSV, id="the header in capitals"),
            pytest.param(
                "intervals", b"AccountNumber,MeterSN,Port,ScaledRead,ReadingTime\n", Format.REGISTERS, id="registers"
            ),
            pytest.param("intervals", b'"transaction","device","event","event_at"', Format.EVENTS, id="events"),
            pytest.param("intervals", b"reference,serial,status,code", Format.RESULTS, id="results"),
            pytest.param("intervals", b"<?xml version='1.0'?>\n<a:MeterReadingDocument>", Format.DOCUMENT, id="XML"),
        ],
    )
    def test_is_what_the_topic_says_or_the_beginning_shows(self, topic: str, body: bytes, expected: Format) -> None:
        assert format_of(topic, body) is expected

    @pytest.mark.parametrize(
        ("topic", "body", "reason"),
        [
            pytest.param("intervals", b"<xml/>", "neither a record", id="another document"),
            pytest.param("intervals", b"MeterSN,Port,ReadingTime\n", "neither a record", id="a column lacks"),
            pytest.param("intervals", b"", "the file is empty", id="nothing"),
            pytest.param("intervals", b"\xef\xbb\xbf\r\n", "the file is empty", id="a byte order mark and nothing"),
            pytest.param("readings", b"MEPMD01,", "nothing under the topic 'readings'", id="topic"),
        ],
    )
    def test_of_anything_else_is_not_known(self, topic: str, body: bytes, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            format_of(topic, body)


class TestCheckHeader:
    @pytest.mark.parametrize(
        ("found", "line"),
        [(Format.CSV, HEADER.encode()), (Format.RESULTS, b"serial,reference,status\r\n"), (Format.CMEP, b"MEPMD01")],
    )
    def test_passes_the_header_of_its_format(self, found: Format, line: bytes) -> None:
        check_header(found, line)

    @pytest.mark.parametrize(("found", "line"), [(Format.CSV, b"MEPMD01,"), (Format.RESULTS, b"serial,status")])
    def test_names_the_columns_expected(self, found: Format, line: bytes) -> None:
        with pytest.raises(ValueError, match="header"):
            check_header(found, line)
