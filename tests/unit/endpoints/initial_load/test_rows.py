"""Rows of files as programs write them: tolerated where their meaning is plain, named where it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mdus.endpoints.initial_load.findings import UnusableFile
from mdus.endpoints.initial_load.rows import LONGEST, Number, Row, open_rows

COLUMNS = ("kind", "device_id", "serial_id", "factor")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows"


def rows_of(file: Path, content: bytes | str) -> list[Row]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with open_rows(file, columns=COLUMNS) as rows:
        return list(rows)


def refused(file: Path, content: bytes | str) -> tuple[str, str]:
    with pytest.raises(UnusableFile) as raised:
        rows_of(file, content)
    return str(raised.value), raised.value.mend


class TestATable:
    @pytest.mark.parametrize(
        "content",
        [
            pytest.param("device_id,serial_id\n007,Zähler\n", id="plain"),
            pytest.param("device_id,serial_id\n007,Zähler", id="without a last line end"),
            pytest.param("\ufeffdevice_id,serial_id\n007,Zähler\n", id="with a byte order mark"),
            pytest.param("device_id;serial_id\r\n007;Zähler\r\n", id="semicolons and CRLF"),
            pytest.param("device_id\tserial_id\n007\tZähler\n", id="tabs"),
            pytest.param("device_id,serial_id\r007,Zähler\r", id="CR"),
            pytest.param('"device_id","serial_id"\n"007","Zähler"\n', id="quotation marks"),
            pytest.param(" Device_ID , SERIAL_ID \n007,Zähler\n", id="a header in capitals and blanks"),
            pytest.param("sep=;\ndevice_id;serial_id\n007;Zähler\n", id="a line that names the delimiter"),
            pytest.param("device_id,serial_id,\n007,Zähler,\n", id="a column without name and content"),
            pytest.param("device_id,serial_id,factor\n007,Zähler,\n", id="an empty cell"),
            pytest.param("device_id,serial_id\n007,Zähler,,\n", id="empty cells beyond the header"),
        ],
    )
    def test_is_read_whatever_program_wrote_it(self, file: Path, content: str) -> None:
        (row,) = rows_of(file, content)
        assert row.cells == {"device_id": "007", "serial_id": "Zähler"}
        assert row.faults == ()

    def test_is_read_in_utf_16(self, file: Path) -> None:
        (row,) = rows_of(file, "device_id\tserial_id\r\n007\tZähler\r\n".encode("utf-16"))
        assert row.cells == {"device_id": "007", "serial_id": "Zähler"}

    def test_counts_its_lines_as_an_editor_does(self, file: Path) -> None:
        rows = rows_of(file, "device_id,serial_id\n\n1,a\n,\n  \n2,b\n")
        assert [row.number for row in rows] == [3, 6]

    def test_has_cells_with_the_delimiter_and_quotation_marks(self, file: Path) -> None:
        (row,) = rows_of(file, 'device_id,serial_id\n1,"a, ""b"""\n')
        assert row.cells["serial_id"] == 'a, "b"'

    @pytest.mark.parametrize(
        ("line", "found"),
        [
            pytest.param('1,"a', "unexpected end of data", id="a quotation mark alone"),
            pytest.param('1,"a"b', "expected after", id="text behind a quotation mark"),
            pytest.param("1", "1", id="a cell too few"),
            pytest.param("1,a,b", "3", id="a cell too many"),
        ],
    )
    def test_has_a_broken_line_that_spoils_no_other(self, file: Path, line: str, found: str) -> None:
        first, broken, last = rows_of(file, f"device_id,serial_id\n0,x\n{line}\n2,y\n")
        assert (first.cells["device_id"], last.cells["device_id"]) == ("0", "2")
        (fault,) = broken.faults
        assert broken.number == 3
        assert found in fault.found

    def test_keeps_bytes_that_are_no_utf_8_apart(self, file: Path) -> None:
        first, second = rows_of(file, b"device_id,serial_id\n1,Z\xe4hler\n2,y\n")
        assert first.cells["serial_id"] == "Z\udce4hler"
        assert second.cells["serial_id"] == "y"

    @pytest.mark.parametrize(
        ("content", "what", "mend"),
        [
            pytest.param("", "no header", "name the columns", id="nothing"),
            pytest.param("PK\x03\x04", "a workbook", "save its table as CSV", id="a workbook"),
            pytest.param("\n\n", "no header", "name the columns", id="empty lines"),
            pytest.param("device_id,serial\n", "no column 'serial'", "name it serial_id", id="a name nearly right"),
            pytest.param(
                "device_id,colour\n", "no column 'colour'", "name one of device_id, factor", id="a strange name"
            ),
            pytest.param("device_id,device_id\n", "stands there twice", "leave one", id="a column twice"),
            pytest.param('"device_id\n', "header cannot be read", "names of columns", id="a broken header"),
            pytest.param(
                f"device_id\n{'x' * LONGEST}\n", "line 2 has more than", "a line of its own", id="a huge line"
            ),
        ],
    )
    def test_is_refused_as_a_whole_when_it_is_no_table_of_ours(
        self, file: Path, content: str, what: str, mend: str
    ) -> None:
        said = refused(file, content)
        assert what in said[0]
        assert mend in said[1]

    def test_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableFile, match="cannot be read"), open_rows(tmp_path / "none", columns=COLUMNS):
            pass


class TestJson:
    @pytest.mark.parametrize(
        "content",
        [
            pytest.param('[{"device_id":"007","serial_id":"Zähler"}]', id="an array"),
            pytest.param('\ufeff\n [ {"device_id" : "007",\n"serial_id" : "Zähler"} ] \n', id="an array with blanks"),
            pytest.param('{"device_id":"007","serial_id":"Zähler"}\n', id="lines"),
            pytest.param('[{"device_id":"007","serial_id":"Zähler","factor":null,"kind":""}]', id="empty values"),
        ],
    )
    def test_is_read_as_an_array_or_in_lines(self, file: Path, content: str) -> None:
        (row,) = rows_of(file, content)
        assert row.cells == {"device_id": "007", "serial_id": "Zähler"}
        assert row.faults == ()

    def test_of_more_than_fits_into_memory_at_once_is_read_object_by_object(self, file: Path) -> None:
        objects = [{"device_id": f"{number:018d}", "serial_id": "s" * 500} for number in range(1000)]
        rows = rows_of(file, json.dumps(objects, indent=2))
        assert [row.cells["device_id"] for row in rows] == [one["device_id"] for one in objects]
        assert [row.number for row in rows] == list(range(1, 1001))

    def test_has_lines_up_to_a_length(self, file: Path) -> None:
        around = len('{"device_id":""}\n')
        (row,) = rows_of(file, '{"device_id":"' + "x" * (LONGEST - around) + '"}\n')
        assert len(row.cells["device_id"]) == LONGEST - around
        with pytest.raises(UnusableFile, match="line 1 has more"):
            rows_of(file, '{"device_id":"' + "x" * (LONGEST - around + 1) + '"}\n')

    def test_of_an_empty_array_has_no_rows(self, file: Path) -> None:
        assert rows_of(file, "[]") == []

    def test_tells_numbers_from_text_and_keeps_their_digits(self, file: Path) -> None:
        (row,) = rows_of(file, '[{"device_id":"7","factor":1.10}]')
        assert (row.cells["factor"], type(row.cells["factor"])) == ("1.10", Number)
        assert type(row.cells["device_id"]) is str

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            pytest.param('{"serial":"x"}', "the name of a column", id="an unknown name"),
            pytest.param('{"serial_id":["x"]}', "a text or a number", id="a list"),
            pytest.param("7", "a JSON object", id="no object"),
        ],
    )
    def test_has_a_wrong_object_that_spoils_no_other(self, file: Path, value: str, expected: str) -> None:
        first, wrong, last = rows_of(file, f'[{{"device_id":"1"}},{value},{{"device_id":"2"}}]')
        assert (first.cells["device_id"], last.cells["device_id"]) == ("1", "2")
        assert [fault.expected for fault in wrong.faults] == [expected]

    def test_has_a_broken_line_that_spoils_no_other(self, file: Path) -> None:
        first, broken, last = rows_of(file, '{"device_id":"1"}\n{"device_id":\n{"device_id":"2"}\n')
        assert (first.cells["device_id"], last.cells["device_id"]) == ("1", "2")
        assert (broken.number, len(broken.faults)) == (2, 1)

    @pytest.mark.parametrize(
        "rest",
        [
            pytest.param('{"device_id":', id="cut off"),
            pytest.param("", id="without its end"),
            pytest.param('{"device_id" "2"}]', id="a colon missing"),
        ],
    )
    def test_that_breaks_in_an_array_is_read_up_to_there(self, file: Path, rest: str) -> None:
        first, broken = rows_of(file, f'[{{"device_id":"1"}},{rest}')
        assert first.cells == {"device_id": "1"}
        assert "nothing behind this place" in broken.faults[0].mend
