"""Values are told in the form a caller asks for: JSON, CSV, Arrow, Parquet; many devices at once, part by part."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from mdus.endpoints.rest import columnar
from mdus.endpoints.rest.intervals import MOST_DEVICES
from mdus.endpoints.rest.negotiation import ARROW, CSV, JSON, PARQUET, weight
from tests.flows.both_sides import BothSides
from tests.flows.meter_reading.test_reading_is_ordered import START
from tests.flows.profiles.metering import DEVICE, INTERVALS, SENDER, Metering

MIDNIGHT = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)  # the day of 23 hours in Berlin begins
DAY = {"on": "2026-03-29"}
OTHER = "000000000000000043"


@pytest.fixture
def metering(database_url: str, tmp_path: Path) -> Iterator[Metering]:
    made = Metering(database_url, tmp_path, now=MIDNIGHT)
    made.meter()
    made.meter(OTHER, task="000000000000100043")
    yield made
    made.close()


@pytest.fixture
def sides(database_url: str, tmp_path: Path) -> Iterator[BothSides]:
    made = BothSides(database_url, tmp_path, now=START)
    made.meter(DEVICE)
    yield made
    made.close()


def ask(mdus: Any, path: str, accept: str | None, **parameters: Any) -> Any:
    headers = {"Accept": accept} if accept else {"Accept": ""}
    parameters = {"sender_system": SENDER, "device_id": DEVICE, **parameters}
    return mdus.get(f"/api/v1{path}", params=parameters, headers=headers)


def table(response: Any) -> pa.Table:
    assert response.status_code == 200, response.text
    if response.headers["content-type"] == ARROW:
        return pa.ipc.open_stream(response.content).read_all()
    assert response.headers["content-type"] == PARQUET
    return parquet.read_table(io.BytesIO(response.content))


@pytest.mark.parametrize("form", [ARROW, PARQUET])
class TestIntervalsAsColumns:
    def test_have_their_types(self, metering: Metering, form: str) -> None:
        metering.deliver(MIDNIGHT, ["1"])
        schema = table(ask(metering.mdus, "/intervals", form, **DAY)).schema
        assert schema.field("start").type == pa.timestamp("us", tz="UTC")
        assert schema.field("value").type == pa.decimal128(38, 14)
        for name in ("device_id", "reading_type", "unit", "qualities"):
            assert schema.field(name).type == pa.dictionary(pa.int32(), pa.string()), name
        assert schema.metadata[b"sender_system"] == SENDER.encode()

    def test_say_what_json_says(self, metering: Metering, form: str) -> None:
        values = ["0.000001", "-5.5", None, "9000000000.123456", "0.1234567890123456", "7", *["1"] * 86]
        qualities = [None, "2.8.0", *[None] * 90]
        metering.deliver(MIDNIGHT, values, qualities=qualities)
        metering.deliver(MIDNIGHT, ["3"], device=OTHER)
        parameters: dict[str, Any] = {**DAY, "device_id": [OTHER, DEVICE], "days": 2}
        rows = ask(metering.mdus, "/intervals", JSON, **parameters).json()
        columns = table(ask(metering.mdus, "/intervals", form, **parameters)).to_pylist()
        key = ("device_id", "reading_type", "start")
        assert len(rows) == len(columns) == 92
        by_device = sorted(rows, key=lambda row: [row[name] for name in key])
        for row, column in zip(by_device, columns, strict=True):
            assert column["device_id"] == row["device_id"]
            assert column["reading_type"] == row["reading_type"] == INTERVALS
            assert column["start"] == datetime.fromisoformat(row["start"])
            assert column["end"] == datetime.fromisoformat(row["end"])
            assert column["unit"] == row["unit"]
            assert column["qualities"].split() == row["qualities"]
            told = column["value"] if column["value_text"] is None else Decimal(column["value_text"])
            assert told == Decimal(row["value"])
        assert [each["value_text"] for each in columns if each["value_text"]] == ["0.1234567890123456"]
        assert Decimal("9000000000.123456") in [each["value"] for each in columns]

    def test_of_no_device_are_an_empty_table(self, metering: Metering, form: str) -> None:
        found = table(ask(metering.mdus, "/intervals", form, device_id="7", **DAY))
        assert (found.num_rows, found.num_columns) == (0, 8)

    def test_of_many_devices_come_part_by_part(self, metering: Metering, form: str) -> None:
        devices = [f"{number:018}" for number in range(100, 140)]
        for device in devices:
            metering.meter(device, task=device)
            metering.deliver(MIDNIGHT, [str(int(device))] * 92, device=device)
        response = ask(metering.mdus, "/intervals", form, device_id=devices, **DAY)
        found = table(response)
        assert found.num_rows == 40 * 92
        assert found.column("device_id").to_pylist()[::92] == devices
        assert ("etag" in response.headers) == (form == PARQUET)  # a file this small is one part
        rows = ask(metering.mdus, "/intervals", JSON, device_id=devices, **DAY)
        assert "etag" not in rows.headers
        assert [row["device_id"] for row in rows.json()][::92] == devices


class TestIntervals:
    def test_of_several_devices_are_csv_too(self, metering: Metering) -> None:
        for device in (DEVICE, OTHER):
            metering.deliver(MIDNIGHT, ["1", "2"], device=device)
        response = ask(metering.mdus, "/intervals", CSV, device_id=[DEVICE, OTHER, DEVICE], **DAY)
        rows = list(csv.DictReader(io.StringIO(response.text)))
        assert [(row["device_id"], row["value"]) for row in rows] == [
            (device, value) for device in (DEVICE, OTHER) for value in ("1.000000", "2.000000")
        ]

    def test_of_several_devices_without_any_between_are_json(self, metering: Metering) -> None:
        metering.deliver(MIDNIGHT, ["1"], device=DEVICE)
        metering.deliver(MIDNIGHT, ["2"], device=OTHER)
        asked = ["1", DEVICE, "2", OTHER, "3"]
        rows = ask(metering.mdus, "/intervals", None, device_id=asked, **DAY).json()
        assert [row["value"] for row in rows] == ["1.000000", "2.000000"]

    def test_of_one_device_are_not_sent_again_while_they_are_the_same(self, metering: Metering) -> None:
        metering.deliver(MIDNIGHT, ["1"])
        for form in (JSON, CSV, ARROW, PARQUET):
            tag = ask(metering.mdus, "/intervals", form, **DAY).headers["etag"]
            headers = {"Accept": form, "If-None-Match": tag}
            parameters = {"sender_system": SENDER, "device_id": DEVICE, **DAY}
            assert metering.mdus.get("/api/v1/intervals", params=parameters, headers=headers).status_code == 304
        metering.deliver(MIDNIGHT, ["1", "2"])
        assert ask(metering.mdus, "/intervals", PARQUET, **DAY).headers["etag"] != tag

    @pytest.mark.parametrize("count", [0, MOST_DEVICES + 1])
    def test_of_too_many_or_no_devices_are_refused(self, metering: Metering, count: int) -> None:
        response = ask(metering.mdus, "/intervals", JSON, device_id=[f"{one}" for one in range(count)], **DAY)
        assert response.status_code == 422
        assert response.json()["errors"][0]["at"] == "query.device_id"


@pytest.mark.parametrize("form", [ARROW, PARQUET])
class TestReadingsAsColumns:
    def test_say_what_json_says_page_by_page(self, sides: BothSides, form: str) -> None:
        for hour, value in enumerate(("1.55", "123456789012345678901234.12345678901234", "0.000000000000001")):
            sides.snapshot(START + timedelta(hours=hour), (DEVICE, value))
        rows = ask(sides.mdus, "/readings", JSON, sort="measured_at").json()["items"]
        first = ask(sides.mdus, "/readings", form, sort="measured_at", limit=2)
        address = first.headers["link"].partition(">")[0].removeprefix("<")
        second = sides.mdus.get(address, headers={"Accept": form})
        assert "link" not in second.headers
        columns = [*table(first).to_pylist(), *table(second).to_pylist()]
        assert [each["id"] for each in columns] == [row["id"] for row in rows]
        assert [each["measured_at"] for each in columns] == [START + timedelta(hours=hour) for hour in range(3)]
        assert [each["value"] for each in columns] == [Decimal(rows[0]["value"]), Decimal(rows[1]["value"]), None]
        assert columns[2]["value_text"] is not None
        assert Decimal(columns[2]["value_text"]) == Decimal("0.000000000000001")
        assert table(first).schema.field("unit").type == pa.dictionary(pa.int32(), pa.string())

    def test_of_no_device_are_an_empty_table(self, sides: BothSides, form: str) -> None:
        assert table(ask(sides.mdus, "/readings", form, device_id="7")).num_rows == 0


class TestAccept:
    @pytest.mark.parametrize(
        ("accept", "form"),
        [
            (None, JSON),
            ("*/*", JSON),
            ("text/html, */*;q=0.1", JSON),
            ("text/*", CSV),
            ("application/*", JSON),
            ("text/csv;q=0.5, application/json;q=0.4", CSV),
            ("application/json;q=0, */*", CSV),
            (f"{PARQUET}, {ARROW};q=0.9", PARQUET),
            ("TEXT/CSV", CSV),
            ("text/csv;q=nonsense", CSV),
        ],
    )
    def test_is_met_by(self, metering: Metering, accept: str | None, form: str) -> None:
        assert ask(metering.mdus, "/intervals", accept, **DAY).headers["content-type"].startswith(form)

    @pytest.mark.parametrize(("path", "forms"), [("/intervals", (JSON, CSV, ARROW, PARQUET)), ("/readings", (JSON,))])
    @pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "*/*;q=0"])
    def test_that_no_form_meets_is_told_which_there_are(
        self, metering: Metering, path: str, forms: tuple[str, ...], accept: str
    ) -> None:
        response = ask(metering.mdus, path, accept, **DAY)
        assert response.status_code == 406
        [error] = response.json()["errors"]
        assert (error["at"], error["found"]) == ("header.Accept", accept)
        assert all(form in error["expected"] for form in forms)

    def test_weighs_the_most_specific_range(self) -> None:
        assert weight("text/*;q=0.3, text/csv;q=0.7, */*;q=0.1", CSV) == 0.7
        assert weight("text/*;q=0.3, */*;q=0.9", CSV) == 0.3
        assert weight("text/*;q=0.3", JSON) == 0.0


class TestWithoutPyarrow:
    def test_the_answer_says_how_to_install_it(self, metering: Metering, monkeypatch: pytest.MonkeyPatch) -> None:
        metering.deliver(MIDNIGHT, ["1"])
        monkeypatch.setattr(columnar, "find_spec", lambda _: None)
        response = ask(metering.mdus, "/intervals", ARROW, **DAY)
        assert response.status_code == 406
        assert "pip install 'mdus[arrow]'" in response.json()["detail"]
        assert ARROW not in response.json()["errors"][0]["expected"]
        assert ask(metering.mdus, "/intervals", f"{ARROW}, {JSON};q=0.1", **DAY).json()[0]["value"] == "1.000000"

    def test_everything_else_works(self, tmp_path: Path) -> None:
        """A process in which pyarrow cannot be imported serves the other forms."""
        program = (
            "import sys\n"
            "class Absent:\n"
            "    def find_spec(self, name, *_):\n"
            "        if name.partition('.')[0] == 'pyarrow': raise ModuleNotFoundError(name)\n"
            "sys.meta_path.insert(0, Absent())\n"
            "from pathlib import Path\n"
            "import mdus.endpoints.application, mdus.endpoints.rest.router\n"
            "print(sorted(name for name in sys.modules if name.startswith('pyarrow')))\n"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
        assert json.loads(ran.stdout) == []
