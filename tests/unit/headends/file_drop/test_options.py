"""The settings of a feed: what contradicts itself is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mdus.headends.file_drop.formats import Format
from mdus.headends.file_drop.options import Options


class TestFolders:
    def test_stand_in_the_watched_one_where_they_are_not_named(self) -> None:
        options = Options.model_validate({"folder": "/drop", "request_folder": "/ask"})
        assert (options.done, options.failed) == (Path("/drop/done"), Path("/drop/failed"))
        assert options.taken == Path("/ask/taken")

    def test_are_none_where_nothing_is_watched(self) -> None:
        options = Options()
        assert (options.done, options.failed, options.taken) == (None, None, None)

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            pytest.param({"done_folder": "/d"}, "folder: files are moved on", id="nothing watched"),
            pytest.param({"taken_folder": "/d"}, "request_folder: requests are taken", id="no requests"),
            pytest.param({"folder": "/d", "failed_folder": "/d"}, "failed_folder: what lies", id="failed"),
            pytest.param({"folder": "/d", "request_folder": "/d"}, "request_folder: what lies", id="requests"),
            pytest.param({"request_folder": "/d", "taken_folder": "/d"}, "taken_folder: what is taken", id="taken"),
            pytest.param({"folder": "/d", "settled_seconds": -1}, "settled_seconds", id="seconds"),
            pytest.param({"folder": "/d", "patterns": {"*": "xls"}}, "patterns", id="format"),
            pytest.param({"cmep_time_zone": "Berlin"}, "IANA time zone", id="zone"),
            pytest.param({"cmep_times": "middle"}, "cmep_times", id="times"),
            pytest.param({"document_time_zone": "Berlin"}, "IANA time zone", id="zone of documents"),
            pytest.param({"document_meter": "meter"}, "document_meter", id="meter"),
            pytest.param({"colour": "red"}, "colour", id="unknown"),
        ],
    )
    def test_that_contradict_each_other_are_refused(self, options: dict[str, Any], reason: str) -> None:
        with pytest.raises(ValidationError, match=reason):
            Options.model_validate(options)

    def test_patterns_name_formats(self) -> None:
        assert Options.model_validate({"patterns": {"*.txt": "cmep"}}).patterns == {"*.txt": Format.CMEP}
