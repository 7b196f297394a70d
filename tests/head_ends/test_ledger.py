"""What is excused of the intervals MDUS keeps, and what is not: a check that can only agree shows nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mdus.domain.reading_quality import QualitySet
from tests.head_ends.ledger import Kept, Measured, complaint

TOLD = Measured(quantity=Decimal("0.25"), is_told=True, is_told_again=False)
TOLD_AGAIN = Measured(quantity=Decimal("0.25"), is_told=True, is_told_again=True)
UNTOLD = Measured(quantity=Decimal("0.25"), is_told=False, is_told_again=False)
READ = Measured(quantity=Decimal("0.25"), is_told=True, is_told_again=False, is_read=True)

RIGHT = Kept(quantity=Decimal("0.25"))
ANOTHER = Kept(quantity=Decimal("0.26"))
TEN_TIMES = Kept(quantity=Decimal("2.5"))
ESTIMATE = Kept(quantity=Decimal("0.31"), qualities=QualitySet(("2.8.0",)))
MARKED = Kept(quantity=Decimal("0.25"), qualities=QualitySet(("1.2.32",)))


class TestComplaint:
    @pytest.mark.parametrize(
        ("measured", "kept", "faults"),
        [
            pytest.param(TOLD, RIGHT, (), id="as measured"),
            pytest.param(UNTOLD, RIGHT, (), id="before it was told: it was read"),
            pytest.param(UNTOLD, None, (), id="not told yet"),
            pytest.param(None, None, (), id="nothing"),
            pytest.param(TOLD, None, ("interval_gap",), id="not collected"),
            pytest.param(TOLD, None, ("intervals_late",), id="late"),
            pytest.param(TOLD, TEN_TIMES, ("interval_multiplied",), id="ten times too high"),
            pytest.param(READ, RIGHT, ("interval_multiplied",), id="read again"),
            pytest.param(TOLD, ESTIMATE, ("interval_revised",), id="estimated"),
        ],
    )
    def test_is_none(self, measured: Measured | None, kept: Kept | None, faults: tuple[str, ...]) -> None:
        assert complaint(measured, kept, faults) is None

    @pytest.mark.parametrize(
        ("measured", "kept", "faults"),
        [
            pytest.param(TOLD, None, (), id="lost"),
            pytest.param(
                TOLD, None, ("interval_multiplied", "interval_revised", "duplicate_block"), id="lost all same"
            ),
            pytest.param(READ, None, ("interval_gap",), id="read and lost"),
            pytest.param(TOLD_AGAIN, None, ("intervals_late",), id="late and lost"),
            pytest.param(TOLD, ANOTHER, (), id="another value"),
            pytest.param(TOLD, MARKED, (), id="another status"),
            pytest.param(TOLD, TEN_TIMES, (), id="ten times without a reason"),
            pytest.param(TOLD, ANOTHER, ("interval_multiplied",), id="not ten times"),
            pytest.param(TOLD_AGAIN, ESTIMATE, ("interval_revised",), id="estimated, and never revised"),
            pytest.param(TOLD, ANOTHER, ("interval_revised",), id="wrong, and called measured"),
            pytest.param(None, RIGHT, (), id="nobody has measured it"),
        ],
    )
    def test_says_what_is_wrong(self, measured: Measured | None, kept: Kept | None, faults: tuple[str, ...]) -> None:
        assert complaint(measured, kept, faults) is not None
