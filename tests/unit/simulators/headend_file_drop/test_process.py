"""The simulated head end as a process: it says where its folders are, takes requests, and survives being killed."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

PATIENCE = 20.0
HEADER = "reference,serial,what,from,to,expires"


class Process:
    """A head end in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        usual = ["--port", "0", "--meters", "3", "--latency", "0", "--failure-rate", "0", "--event-rate", "0"]
        self._command = [sys.executable, "-m", "simulators.headend_file_drop", *usual, *options]
        self._state = ["--state", str(folder / "state")]
        self.start()

    def start(self) -> None:
        """Start it, again with what it remembered."""
        self._process = subprocess.Popen([*self._command, *self._state], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        first = json.loads(self._process.stdout.readline())
        self.row: dict[str, Any] = first["head_end"]
        self.control = httpx.Client(base_url=first["listening"], timeout=20, trust_env=False)

    def kill(self) -> None:
        """End it without warning."""
        self.control.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def drop(self) -> Path:
        """The folder in which files are left."""
        return Path(self.row["options"]["folder"])

    @property
    def asked(self) -> Path:
        """The folder in which requests lie."""
        return Path(self.row["options"]["request_folder"])

    def serials(self) -> list[str]:
        """Return the serial numbers of its meters."""
        return [meter["serial"] for meter in self.control.get("/control/meters").json()["meters"]]

    def ask(self, name: str, *rows: str) -> None:
        """Leave a request."""
        draft = self.asked / f"{name}.part"
        draft.write_text("\n".join([HEADER, *rows, ""]))
        draft.rename(self.asked / name)

    def results(self) -> list[dict[str, str]]:
        """Return the rows of all result files."""
        return [
            row
            for path in sorted(self.drop.glob("SIM_Results_*.csv"))
            for row in csv.DictReader(path.read_text().splitlines())
        ]


class Clock:
    """Simulated time that stands until it is set, from noon of a day on."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set("2026-03-27T11:00:00Z")

    def set(self, at: str) -> None:
        """Let it be an instant."""
        draft = self.file.with_suffix(".draft")
        draft.write_text(json.dumps({"anchor": "2026-03-27T11:00:00Z", "epoch": at, "speed": 0.0}))
        draft.replace(self.file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock.json")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    yield process
    process.kill()


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


class TestProcess:
    def test_says_where_its_folders_are(self, process: Process, tmp_path: Path) -> None:
        assert process.row == {
            "kind": "file_drop",
            "options": {
                "folder": str(tmp_path / "state.files" / "drop"),
                "settled_seconds": 0.2,
                "request_folder": str(tmp_path / "state.files" / "requests"),
            },
        }
        assert process.drop.is_dir()
        assert process.asked.is_dir()

    def test_takes_a_request_and_leaves_a_result_file(self, process: Process) -> None:
        serial = process.serials()[0]
        process.control.post("/control/hear", json={"serials": [serial]}).raise_for_status()
        until(lambda: process.control.get("/control/activity").json()["in_flight"] == 0)
        process.ask("c-1.csv", f"r-1,{serial},read_on_demand,,,", "r-2,9999999999,read_on_demand,,,")

        until(lambda: (process.asked / "taken" / "c-1.csv").exists())
        rows = until(lambda: (rows := process.results()) and len({row["reference"] for row in rows}) == 2 and rows)

        by_reference = {row["reference"]: row for row in rows}
        assert (by_reference["r-1"]["status"], by_reference["r-1"]["serial"]) == ("ok", serial)
        assert by_reference["r-1"]["value"]
        assert (by_reference["r-2"]["status"], by_reference["r-2"]["code"]) == ("failed", "UNKNOWN_METER")
        assert {row["request"] for row in rows} == {"c-1"}
        assert list(process.asked.glob("*.csv")) == []

    def test_sets_aside_what_is_no_request(self, process: Process) -> None:
        process.ask("c-2.csv", "r-1,1,switch,,,")
        until(lambda: (process.asked / "taken" / "c-2.csv").exists())
        assert "switch is none of" in (process.asked / "c-2.csv.refused").read_text()
        assert process.results() == []

    def test_killed_takes_a_request_once(self, process: Process) -> None:
        serial = process.serials()[0]
        process.ask("c-3.csv", f"r-3,{serial},read_on_demand,,,")
        until(lambda: (process.asked / "taken" / "c-3.csv").exists())
        process.kill()
        # As if it had been killed after it noted the request, and before it took it away.
        (process.asked / "taken" / "c-3.csv").rename(process.asked / "c-3.csv")
        process.start()

        until(lambda: (process.asked / "taken" / "c-3.csv").exists())
        orders = process.control.get("/control/commands", params={"reference": "r-3"}).json()["commands"]
        assert len(orders) == 1

    @pytest.mark.parametrize(
        ("faults", "is_early"),
        [
            pytest.param((), False, id="before it"),
            pytest.param(("callback_before_acknowledgement",), True, id="after it, by a fault"),
        ],
    )
    def test_takes_a_request_before_it_leaves_the_result_but_for_a_fault(
        self, tmp_path: Path, clock: Clock, faults: tuple[str, ...], is_early: bool
    ) -> None:
        process = Process(tmp_path, "--clock", str(clock.file), "--latency", "60")
        try:
            serial = process.serials()[0]
            process.control.post("/control/hear", json={"serials": [serial]}).raise_for_status()
            for fault in faults:
                process.control.post("/control/faults", json={"name": fault, "times": 1}).raise_for_status()
            process.ask("c-6.csv", f"r-6,{serial},read_on_demand,,,")

            until((process.asked / "taken" / "c-6.csv").exists)
            # Time stands: the meter has not answered yet, unless the fault lets it.
            assert bool(process.results()) is is_early
            clock.set("2026-03-27T12:00:00Z")
            until(process.results)
        finally:
            process.kill()

    def test_lets_a_request_lie_during_maintenance_and_takes_it_then(self, tmp_path: Path, clock: Clock) -> None:
        process = Process(tmp_path, "--clock", str(clock.file))
        try:
            serial = process.serials()[0]
            process.control.post("/control/hear", json={"serials": [serial]}).raise_for_status()
            process.control.post("/control/faults", json={"name": "maintenance_window", "times": 1}).raise_for_status()
            process.ask("c-5.csv", f"r-5,{serial},read_on_demand,,,")
            until(lambda: process.control.get("/control/faults").json()["fired"]["maintenance_window"]["hits"])
            # Only time helps: nothing is going on.
            until(lambda: process.control.get("/control/activity").json()["in_flight"] == 0)
            assert (process.asked / "c-5.csv").exists()
            clock.set("2026-03-27T11:01:00Z")
            until(lambda: (process.asked / "taken" / "c-5.csv").exists())
        finally:
            process.kill()

    def test_counts_what_lies_there_as_under_way(self, process: Process) -> None:
        serial = process.serials()[0]
        process.control.post("/control/event", json={"serial": serial, "code": "3.12.29.39"}).raise_for_status()
        (path,) = until(lambda: list(process.drop.glob("SIM_Events_*.csv")))
        until(lambda: process.control.get("/control/activity").json()["open_deliveries"] == 0)
        before = process.control.get("/control/activity").json()["in_flight"]
        path.unlink()
        assert process.control.get("/control/activity").json()["in_flight"] == before - 1


class TestFaultsOfRecords:
    """They befall only files that can show them."""

    @pytest.fixture
    def process(self, tmp_path: Path, clock: Clock) -> Iterator[Process]:
        """One in which time stands, so that nothing is told by itself."""
        process = Process(tmp_path, "--clock", str(clock.file), "--meters", "12")
        yield process
        process.kill()

    def heard(self, process: Process) -> dict[int, str]:
        """Let all meters be heard; returns one with each number of registers."""
        meters = process.control.get("/control/meters").json()["meters"]
        process.control.post("/control/hear", json={"serials": [each["serial"] for each in meters]}).raise_for_status()
        return {len(each["registers"]): each["serial"] for each in meters}

    def tell(self, process: Process, serial: str) -> None:
        """Let a file be left with the registers of a meter."""
        process.control.post("/control/snapshot", json={"serials": [serial]}).raise_for_status()

    def left(self, process: Process) -> bool:
        return bool(process.control.get("/control/activity").json()["open_deliveries"] == 0)

    def hits(self, process: Process, fault: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = process.control.get("/control/faults").json()["fired"][fault]["hits"]
        return found

    def test_repeat_rows_where_a_file_was_left_before(self, process: Process) -> None:
        first, second, *_ = self.heard(process).values()
        process.control.post("/control/faults", json={"name": "catch_up_rows", "times": 1}).raise_for_status()
        self.tell(process, first)
        until(lambda: self.left(process))
        assert self.hits(process, "catch_up_rows") == []

        self.tell(process, second)
        until(lambda: self.left(process))

        (hit,) = self.hits(process, "catch_up_rows")
        told = (process.drop / hit["file"]).read_text()
        assert first in told
        assert second in told

    def test_part_the_rows_of_a_file_that_has_several(self, process: Process) -> None:
        by_registers = self.heard(process)
        process.control.post("/control/faults", json={"name": "duplicate_name", "times": 1}).raise_for_status()
        self.tell(process, by_registers[1])
        until(lambda: self.left(process))
        assert self.hits(process, "duplicate_name") == []

        self.tell(process, by_registers[max(by_registers)])
        (hit,) = until(lambda: self.hits(process, "duplicate_name"))

        file = process.drop / hit["file"]
        told = [until(lambda: file.exists() and file.read_text())]
        file.unlink()
        told.append(until(lambda: file.exists() and file.read_text()))
        assert told[0]
        assert told[1]
        assert set(told[0].splitlines()).isdisjoint(told[1].splitlines())


def test_takes_no_requests_where_it_is_told_so(tmp_path: Path) -> None:
    process = Process(tmp_path, "--no-requests", "--format", "document")
    try:
        assert "request_folder" not in process.row["options"]
        assert process.row["options"]["document_qualities"]["EST"] == "2.8.0"
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--times", "local", "--labels", "start"), {"cmep_time_zone": "Europe/Berlin", "cmep_times": "start"}),
        (("--times", "standard", "--format", "document"), {"document_time_zone": "Etc/GMT-1"}),
    ],
    ids=["cmep", "document"],
)
def test_says_what_its_files_do_not(tmp_path: Path, options: tuple[str, ...], told: dict[str, str]) -> None:
    process = Process(tmp_path, *options)
    try:
        assert {name: text for name, text in process.row["options"].items() if "time" in name} == told
    finally:
        process.kill()


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "csv", "--times", "local"),
        ("--format", "csv", "--pulses"),
        ("--format", "document", "--labels", "start"),
    ],
    ids=["times of csv", "pulses of csv", "labels of documents"],
)
def test_writes_nothing_that_a_format_cannot_say(options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "simulators.headend_file_drop", "--port", "0", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ended.returncode != 0
    assert f"--{'labels' if '--labels' in options else 'format csv'}: " in ended.stderr
