"""`[head_ends.options]` of a head end of kind `file_drop`: its folders, and what only its vendor and utility know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from mdus.headends.file_drop.compressed import LARGEST_FILE
from mdus.headends.file_drop.formats import Format
from mdus.settings import Section, Zone

#: Folders within the watched one, and within that of requests, where a row names none.
_DONE: Final = "done"
_FAILED: Final = "failed"
_TAKEN: Final = "taken"


class Options(Section):
    """The settings of one feed. Without `folder` nothing is watched; without `request_folder` it takes no command.

    A compressed file that is larger than `max_file_bytes` when it is expanded is moved to `failed_folder`. `patterns`
    are formats by patterns of file names (`*_IntervalReport_*.txt`), the first that fits; else a file is in the format
    it looks like. `cmep_time_zone` is that of the times in CMEP, UTC when not said; `cmep_meter_field` the field of
    CMEP in which the meter stands where field 8 is empty. `reading_time_format` is that of ReadingTime in a CSV of
    registers (strptime); ISO 8601 when not said. `document_meter` is how a MeterReadingDocument names a meter,
    `document_qualities` are IEC 61968-9 qualities by its status codes: of several codes the one named first counts, and
    an empty quality says nothing.

    `cmep_times` says where times in CMEP stand at their intervals: at the end when not said, as the protocol has it.
    `cmep_in_order` says that records of a channel follow each other in a file in true time, also where two beside each
    other have the same local time: whoever sorts by that does not.
    `document_time_zone` is that of times in a MeterReadingDocument which say no offset, where their channel names no
    zone; the row's when not said.
    """

    folder: Path | None = None
    done_folder: Path | None = None
    failed_folder: Path | None = None
    settled_seconds: Annotated[float, Field(ge=0)] = 10.0
    max_file_bytes: Annotated[int, Field(ge=1)] = LARGEST_FILE
    patterns: Mapping[str, Format] = {}
    request_folder: Path | None = None
    taken_folder: Path | None = None
    cmep_time_zone: Zone = "UTC"
    cmep_times: Literal["end", "start"] = "end"
    cmep_in_order: bool = False
    cmep_meter_field: Literal[4, 5, 6] | None = None
    reading_time_format: Annotated[str, Field(min_length=1)] | None = None
    document_time_zone: Zone | None = None
    document_meter: Annotated[str, Field(pattern=r"^[^{}]*\{serial\}[^{}]*$")] = "{serial}"
    document_qualities: Mapping[str, Annotated[str, Field(pattern=r"^(\d{1,3}\.\d{1,3}\.\d{1,4})?$")]] = {}

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        named = {
            "done_folder": self.done,
            "failed_folder": self.failed,
            "request_folder": self.request_folder,
            "taken_folder": self.taken,
        }
        if self.folder is None and (self.done_folder or self.failed_folder):
            raise ValueError("folder: files are moved on from a folder that is watched, and none is named")
        if self.request_folder is None and self.taken_folder is not None:
            raise ValueError("request_folder: requests are taken from a folder, and none is named")
        for name, path in named.items():
            if path is not None and path == self.folder:
                raise ValueError(f"{name}: what lies in the watched folder is taken for a file of the head end")
        if self.request_folder is not None and self.request_folder == self.taken:
            raise ValueError("taken_folder: what is taken must not lie where requests wait")
        return self

    @property
    def done(self) -> Path | None:
        """The folder of files that were taken in."""
        return self.done_folder or (self.folder and self.folder / _DONE)

    @property
    def failed(self) -> Path | None:
        """The folder of files that cannot be read."""
        return self.failed_folder or (self.folder and self.folder / _FAILED)

    @property
    def taken(self) -> Path | None:
        """The folder into which the head end puts the requests it has taken."""
        return self.taken_folder or (self.request_folder and self.request_folder / _TAKEN)
