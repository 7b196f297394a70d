"""Judges two files in this process and prints by how much the larger one made its peak memory grow: `FOLDER`."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from mdus.bootstrap.importing import import_file

FEW, MANY = 15_000, 45_000


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load(folder: Path, count: int, *, first: int) -> int:
    file = folder / f"{count}.csv"
    with file.open("w") as out:
        out.write("device_id,serial_id,material_id,valid_from\n")
        out.writelines(
            f"{number:018d},S{number:029d},{'M' * 40},2026-01-01\n" for number in range(first, first + count)
        )
    environ = {"MDUS_CONFIG": str(folder)}
    imported = import_file(
        environ,
        file,
        system="P11",
        kind="device",
        dry_run=True,
        report=folder / "report.csv",
        progress=lambda *_: None,
    )
    return imported.rows - imported.wrong


def main(folder: str) -> None:
    # What any file needs (schemas, plans, the pages of the spool) is not the large one's. What is loaded is also kept
    # in the database's own pages, up to their limit: a dry run has none.
    assert load(Path(folder), FEW, first=0) == FEW
    before = peak_megabytes()
    taken = load(Path(folder), MANY, first=FEW)
    print(json.dumps({"rows": taken, "growth_megabytes": round(peak_megabytes() - before, 1)}))


main(*sys.argv[1:])
