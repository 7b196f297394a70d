"""Ten thousand devices, loaded by `mdus import` and by bulks of SAP: the same registry."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from mdus.storage.message import ITEM, MESSAGE
from mdus.storage.session import Database
from tests.flows import registry
from tests.flows.both_sides import SENDER, BothSides

COUNT = 10_000
METERS = [f"{number:018d}" for number in range(1, COUNT + 1)]
COLUMNS = (
    "kind device_id ams_id valid_from serial_id material_id measurement_task_id obis_text unit total_digits"
    " fraction_digits installation_point_id parent_installation_point_id point_of_delivery_id"
)


def write_file(file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as out:
        rows = csv.DictWriter(out, COLUMNS.split())
        rows.writeheader()
        for meter in METERS:
            same = {"device_id": meter, "ams_id": "AM01", "valid_from": "2026-01-01"}
            task = {**same, "measurement_task_id": meter}
            digits = {"unit": "KWH", "total_digits": "8", "fraction_digits": "2"}
            place = {"installation_point_id": f"IP{meter}", "parent_installation_point_id": "CO1"}
            rows.writerows(
                [
                    {**same, "kind": "device", "serial_id": f"S{meter}", "material_id": "LX100"},
                    {**task, "kind": "register", "obis_text": "1-0:1.8.0", **digits},
                    {**same, "kind": "location", **place},
                    {**task, "kind": "point_of_delivery", "point_of_delivery_id": f"DE{meter}"},
                ]
            )


def test_ten_thousand_devices_are_the_same_by_file_and_by_bulk(sqlite_url: str, tmp_path: Path) -> None:
    by_file = f"sqlite:///{tmp_path / 'file.db'}"
    shutil.copy(sqlite_url.removeprefix("sqlite:///"), tmp_path / "file.db")
    sides = BothSides(sqlite_url, tmp_path, now=datetime(2026, 3, 28, 10, 0, tzinfo=UTC))

    file = tmp_path / "meters.csv"
    write_file(file)
    environ = {**os.environ, "MDUS_CONFIG": str(tmp_path), "MDUS_DATABASE__URL": by_file}
    command = [sys.executable, "-m", "mdus", "import", str(file), "--system", SENDER]
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr

    for root, body in (
        (registry.DEVICES, registry.device),
        (registry.REGISTERS, registry.register),
        (registry.LOCATIONS, registry.location),
        (registry.POINTS, registry.point_of_delivery),
    ):
        sides.tell(root, *map(body, METERS))
    sides.decide()

    imported = Database(by_file)
    told, loaded = registry.registry(sides.database), registry.registry(imported)
    assert {name: len(found) for name, found in loaded.items()} == {
        "EndDevice": COUNT,
        "Register": COUNT,
        "DeviceLocation": COUNT,
        "LogicalLocation": 0,
        "UsagePoint": COUNT,
        "provisioned": COUNT,
    }
    assert loaded == told
    # SAP awaits confirmations of its bulks, of the file it awaits nothing.
    for database, waiting in ((sides.database, 2 * COUNT), (imported, 0)):
        with database.read() as uow:
            decided = select(func.count()).where(ITEM.c.status == "decided", ITEM.c.message_id == MESSAGE.c.id)
            assert uow.connection.execute(decided).scalar_one() == waiting
    imported.close()
    sides.close()


def test_a_larger_file_needs_no_more_memory(tmp_path: Path) -> None:
    """In a process of its own; 30,000 rows more, and none of them stays in memory."""
    (tmp_path / "head_ends.toml").write_text(
        '[[head_ends]]\nname = "city"\nkind = "rest"\nurl = "http://127.0.0.1:9"\nams_ids = ["AM01"]\n'
    )
    script = Path(__file__).with_name("memory_of_import.py")
    command = [sys.executable, str(script), str(tmp_path)]
    root = Path(__file__).resolve().parents[3]
    environ = {**os.environ, "PYTHONPATH": str(root)}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["rows"] == 45_000
    assert told["growth_megabytes"] < 20
