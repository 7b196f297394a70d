"""What validation, or a person, holds of one register reading."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from mdus.domain.reading_verdict import Judgement, ReadingVerdict

AT = datetime(2026, 3, 10, 23, 0, tzinfo=UTC)
BASIS = '{"set":"counters@1","found":[{"rule":"register_decrease","severity":"issue","says":"it moved by -1"}]}'
VALID = ReadingVerdict(
    sender_system="P11",
    device_id="42",
    reading_type="1-0:1.8.0*255",
    measured_at=AT,
    value=Decimal(1),
    judgement=Judgement.VALID,
    rule_set="counters@1",
    judged_at=AT,
)
SUSPECT = replace(VALID, judgement=Judgement.SUSPECT, basis=BASIS)
ACCEPTED = SUSPECT.by("rest:chief", Judgement.VALID, reason="was there", now=AT)
REJECTED = VALID.by("rest:chief", Judgement.SUSPECT, reason="a typing error", now=AT)


class TestStands:
    @pytest.mark.parametrize(
        ("verdict", "rule_set", "stands"),
        [
            pytest.param(VALID, "counters@1", True, id="valid"),
            pytest.param(VALID, "counters@2", False, id="valid_by_another_version"),
            pytest.param(SUSPECT, "counters@1", False, id="suspect"),
            pytest.param(ACCEPTED, "counters@2", True, id="accepted_by_a_person"),
            pytest.param(REJECTED, "counters@2", True, id="rejected_by_a_person"),
        ],
    )
    def test_until_it_has_to_be_judged_again(self, verdict: ReadingVerdict, rule_set: str, stands: bool) -> None:
        assert verdict.stands(rule_set) is stands


class TestSays:
    @pytest.mark.parametrize(
        ("verdict", "says"),
        [
            pytest.param(VALID, "valid by counters@1", id="valid"),
            pytest.param(SUSPECT, "suspect by counters@1: register_decrease: it moved by -1", id="suspect"),
            pytest.param(ACCEPTED, "valid by rest:chief: was there", id="accepted"),
        ],
    )
    def test_who_holds_what_and_why(self, verdict: ReadingVerdict, says: str) -> None:
        assert verdict.says() == says

    def test_what_rules_found_is_kept_when_a_person_accepts(self) -> None:
        assert ACCEPTED.basis == BASIS
