"""What is wrong with a row of a file, told so that it can be mended, and the report that lists it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing wrong with one row; `field` is the column, empty where it is none of them."""

    field: str
    expected: str
    found: str
    mend: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """A line of the report: which row of the file it is about, counted as the file counts, and what is wrong."""

    row: int
    kind: str
    field: str
    expected: str
    found: str
    mend: str


class UnusableFile(Exception):
    """Nothing of the file can be used: `mend` says what to do about it."""

    def __init__(self, what: str, *, mend: str) -> None:
        super().__init__(what)
        self.mend = mend


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is behind an error of a service: the column to look at, what it should hold, and what to do."""

    field: str
    expected: str
    mend: str


_LATER: Final = "then import this file again"
#: By the TypeID under which services refuse.
REFUSALS: Final[Mapping[str, Refusal]] = {
    "101(MDUS)": Refusal("serial_id", "a serial number of its own", "correct it here, or in the device that has it"),
    "102(MDUS)": Refusal("serial_id", "the serial number it is known with", "correct it; another meter has another id"),
    "103(MDUS)": Refusal("material_id", "the material it is known with", "correct it; another meter has another id"),
    "104(MDUS)": Refusal("ams_id", "a metering system that is configured", "correct it, or add it to head_ends"),
    "105(MDUS)": Refusal("ams_id", "a metering system, for there is not just one", "name it"),
    "106(MDUS)": Refusal("valid_to", "the first day, or instant, after", "correct it, or leave it empty if it is open"),
    "107(MDUS)": Refusal("valid_from", "no day after its registers begin", "let the device begin earlier"),
    "110(MDUS)": Refusal("device_id", "a device that is known", f"import it, or mend its row, {_LATER}"),
    "111(MDUS)": Refusal("ams_id", "the metering system of the device", "correct it"),
    "112(MDUS)": Refusal("valid_from", "a day on which the device is valid", "correct it, or the device"),
    "113(MDUS)": Refusal(
        "obis_text", "an OBIS code, or a text or division of reading_types", "correct it, or add a row"
    ),
    "114(MDUS)": Refusal(
        "obis_text", "what one row of reading_types says best", "let one row state more than the others"
    ),
    "115(MDUS)": Refusal("total_digits", "a digit at least, and as many as decimals", "correct it"),
    "116(MDUS)": Refusal("factor", "a factor above zero", "correct it, or leave it empty"),
    "117(MDUS)": Refusal("time_zone_code", "a code of time_zones", "correct it, or add it to config/time_zones.toml"),
    "118(MDUS)": Refusal(
        "measurement_task_id", "what is known from that day", "a change comes as SAP's register change"
    ),
    "119(MDUS)": Refusal("measurement_task_id", "a number, and a channel, free in that span", "let spans not overlap"),
    "120(MDUS)": Refusal("valid_from", "one location at a time", "let each end no later than the next begins"),
    "121(MDUS)": Refusal("unit", "a unit code of units", "correct it, or add it to config/units.toml"),
    "122(MDUS)": Refusal("recurrence_code", "a code of recurrences", "correct it, or add it to config/recurrence.toml"),
    "130(MDUS)": Refusal("measurement_task_id", "a register that is known", f"import it, or mend its row, {_LATER}"),
    "131(MDUS)": Refusal("valid_from", "one point of delivery at a time", "let each end no later than the next begins"),
}
OTHER_REFUSAL: Final = Refusal("", "what the service asks for", "mend what it says, then import the file again")


def write_report(findings: Iterable[Finding], file: Path) -> int:
    """Write the findings to a file, as JSON if its name ends so, else as CSV with a header; return how many."""
    names = [field.name for field in fields(Finding)]
    count = 0
    with file.open("w", encoding="utf-8", newline="") as out:
        if file.suffix.lower() == ".json":
            out.write("[")
            for finding in findings:
                out.write(",\n " if count else "\n ")
                json.dump(asdict(finding), out, ensure_ascii=False)
                count += 1
            out.write("\n]\n")
        else:
            writer = csv.DictWriter(out, names, lineterminator="\n")
            writer.writeheader()
            for finding in findings:
                writer.writerow(asdict(finding))
                count += 1
    return count
