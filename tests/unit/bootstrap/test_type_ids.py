"""The list of TypeIDs: complete, each with one meaning a person can read."""

from __future__ import annotations

import re
from pathlib import Path

from mdus.bootstrap.type_ids import told_types, type_ids
from mdus.settings import load_settings

SOURCE = Path(__file__).parents[3] / "mdus"


class TestTheList:
    def test_has_every_type_id_that_stands_in_the_code(self) -> None:
        texts = (file.read_text(encoding="utf-8") for file in SOURCE.rglob("*.py"))
        written = {found for text in texts for found in re.findall(r'"(\d{3}\(MDUS\))"', text)}
        assert len(written) > 60
        assert sorted(written - set(type_ids())) == []

    def test_has_a_meaning_for_each(self) -> None:
        assert [type_id for type_id, meaning in type_ids().items() if len(meaning) < 4] == []

    def test_prefers_an_errors_sentence_to_a_short_code(self) -> None:
        assert type_ids()["110(MDUS)"] == "The device is not known: no create request for it has come"
        assert type_ids()["314(MDUS)"] == "No breaker"

    def test_is_told_as_the_installation_says(self) -> None:
        row = {"MDUS_LOG_TYPES__A__NUMBER": "110", "MDUS_LOG_TYPES__A__CATEGORY": "PRE.IDE"}
        told = told_types(load_settings({**row, "MDUS_CIS__MESSAGE_CLASS": "Z1"}))
        [unknown] = [one for one in told if one.type_id == "110(Z1)"]
        assert (unknown.category, unknown.meaning) == ("PRE.IDE", type_ids()["110(MDUS)"])
        assert len(told) == len(type_ids())
