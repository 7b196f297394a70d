"""V18: unit and device as in the registry."""

from __future__ import annotations

import pytest

from mdus.vee.days import Fact
from mdus.vee.validation.unit_and_device import RULE
from tests.unit.vee.channel_days import days_of, found


class TestCheck:
    @pytest.mark.parametrize("width", [1, 96])
    @pytest.mark.parametrize("fact", [Fact.UNIT_FITS, Fact.DEVICE_FITS])
    def test_flags_what_does_not_fit(self, fact: Fact, width: int) -> None:
        assert found(RULE, days_of([5] * width, [5] * width, facts={fact: [False, True]})).flagged.tolist() == [
            True,
            False,
        ]

    def test_holds_no_single_value_responsible(self) -> None:
        assert not found(RULE, days_of([5, 5], facts={Fact.UNIT_FITS: False})).suspect.any()

    def test_passes_what_nobody_knows(self) -> None:
        assert not found(RULE, days_of([5, 5])).flagged[0]
