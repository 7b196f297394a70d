"""What a final value is called outside: every row of AEMO's and of IEC 61968-9's codes that applies."""

from __future__ import annotations

from itertools import product

import pytest

from mdus.bootstrap.discovery import discover
from mdus.domain.reading_quality import QualitySet
from mdus.vee.method import Method
from mdus.vee.output import (
    AEMO_METHODS,
    AemoFlag,
    AemoQuality,
    Standing,
    aemo_day,
    aemo_events,
    aemo_flag,
    qualities,
    state_of,
    words,
)
from mdus.vee.pipeline import State
from mdus.vee.rule import Rule

TOOLS = discover().tools
SPIKE = TOOLS.rules["spike"]

#: What a method's values are in files.
BY_METHOD = {
    "check_meter": "S11",
    "like_day": "S14",
    "like_day_average": "S15",
    "holiday_average": "S15",
    "linear": "S17",
    "zero_fill": "S19",
    "scale_to_register": "S24",
}


class TestAemoFlag:
    @pytest.mark.parametrize("method", TOOLS.methods.values(), ids=lambda method: method.name)
    def test_has_the_number_of_the_method(self, method: Method) -> None:
        assert str(aemo_flag(State.ESTIMATED, method)) == BY_METHOD.get(method.name, "S18")

    @pytest.mark.parametrize(
        ("state", "standing", "expected"),
        [
            pytest.param(State.ACTUAL, Standing.OPEN, "A", id="actual"),
            pytest.param(State.ACTUAL, Standing.CLOSED, "A", id="actual, acted on"),
            pytest.param(State.MISSING, Standing.OPEN, "N", id="null"),
            pytest.param(State.SUSPECT, Standing.OPEN, "N", id="suspect is not told as actual"),
            pytest.param(State.ESTIMATED, Standing.AHEAD, "E17", id="forward estimate"),
            pytest.param(State.ESTIMATED, Standing.OPEN, "S17", id="substitute"),
            pytest.param(State.ESTIMATED, Standing.CLOSED, "F17", id="final substitute"),
            pytest.param(State.EDITED, Standing.OPEN, "S18", id="edited"),
            pytest.param(State.EDITED, Standing.CLOSED, "F18", id="edited, acted on"),
        ],
    )
    def test_says_whether_a_value_may_be_replaced(self, state: State, standing: Standing, expected: str) -> None:
        assert str(aemo_flag(state, TOOLS.methods["linear"], standing=standing)) == expected

    def test_calls_an_unknown_method_alternate(self) -> None:
        assert str(aemo_flag(State.ESTIMATED)) == "S18"

    @pytest.mark.parametrize("quality", ["A", "N", "V"])
    def test_has_no_method_where_none_belongs(self, quality: str) -> None:
        assert str(AemoFlag(AemoQuality(quality))) == quality
        with pytest.raises(ValueError, match=f"{quality} has no method"):
            AemoFlag(AemoQuality(quality), 17)

    @pytest.mark.parametrize("quality", ["E", "F", "S"])
    def test_has_a_method_where_one_belongs(self, quality: str) -> None:
        for number in AEMO_METHODS:
            assert str(AemoFlag(AemoQuality(quality), number)) == f"{quality}{number}"
        with pytest.raises(ValueError, match=f"{quality} needs a method"):
            AemoFlag(AemoQuality(quality))

    def test_has_the_numbers_of_the_table(self) -> None:
        assert set(AEMO_METHODS) == {*range(11, 26), *range(51, 60), *range(61, 70), *range(71, 76)}

    @pytest.mark.parametrize("number", [0, 10, 26, 50, 60, 70, 76])
    def test_refuses_other_numbers(self, number: int) -> None:
        with pytest.raises(ValueError, match=f"no method {number}"):
            AemoFlag(AemoQuality.SUBSTITUTE, number)


class TestADay:
    ACTUAL = AemoFlag(AemoQuality.ACTUAL)
    LINEAR = AemoFlag(AemoQuality.SUBSTITUTE, 17)
    LIKE_DAY = AemoFlag(AemoQuality.SUBSTITUTE, 14)

    def test_has_the_flag_of_its_intervals(self) -> None:
        assert aemo_day([self.LINEAR] * 96) == self.LINEAR

    def test_is_variable_where_they_differ(self) -> None:
        assert str(aemo_day([*[self.LINEAR] * 95, self.LIKE_DAY])) == "V"

    def test_needs_an_interval(self) -> None:
        with pytest.raises(ValueError, match="without intervals"):
            aemo_day([])
        assert list(aemo_events([])) == []

    def test_tells_runs_from_the_first_to_the_last_interval(self) -> None:
        flags = [self.ACTUAL, self.LINEAR, self.LINEAR, self.LIKE_DAY]
        assert [(first, last, str(flag)) for first, last, flag in aemo_events(flags)] == [
            (1, 1, "A"),
            (2, 3, "S17"),
            (4, 4, "S14"),
        ]


class TestQualities:
    @pytest.mark.parametrize(
        ("state", "rule", "method", "standing", "expected"),
        [
            pytest.param(State.ACTUAL, None, None, Standing.OPEN, "3.0.1", id="validated"),
            pytest.param(State.MISSING, None, None, Standing.OPEN, "3.5.259", id="known missing"),
            pytest.param(State.MISSING, SPIKE, None, Standing.OPEN, "3.5.256 3.5.259", id="found wrong, not replaced"),
            pytest.param(State.SUSPECT, SPIKE, None, Standing.OPEN, "3.5.256 3.5.258", id="suspect"),
            pytest.param(State.ESTIMATED, None, None, Standing.OPEN, "3.8.0", id="estimated"),
            pytest.param(State.ESTIMATED, None, "like_day", Standing.OPEN, "3.11.1 3.8.0", id="inferred"),
            pytest.param(State.ESTIMATED, None, "check_meter", Standing.OPEN, "3.11.0 3.8.0", id="deterministic"),
            pytest.param(State.ESTIMATED, SPIKE, "linear", Standing.CLOSED, "3.11.1 3.5.256 3.8.0", id="replaced"),
            pytest.param(State.ESTIMATED, None, None, Standing.AHEAD, "3.12.0 3.8.0", id="projected"),
            pytest.param(State.EDITED, None, None, Standing.OPEN, "3.7.0", id="edited"),
        ],
    )
    def test_says_what_a_value_is(
        self, state: State, rule: Rule | None, method: str | None, standing: Standing, expected: str
    ) -> None:
        used = None if method is None else TOOLS.methods[method]
        assert str(qualities(state, rule=rule, method=used, standing=standing)) == expected

    def test_is_read_back(self) -> None:
        rules, methods = (None, *TOOLS.rules.values()), (None, *TOOLS.methods.values())
        for state, rule, method, standing in product(State, rules, methods, Standing):
            told = qualities(state, rule=rule, method=method, standing=standing)
            assert state_of(told, is_present=state is not State.MISSING) is state
            assert all(words(code) for code in told.codes)

    @pytest.mark.parametrize(
        ("codes", "is_present", "expected"),
        [
            pytest.param((), True, State.ACTUAL, id="nothing said"),
            pytest.param(("3.10.1", "3.5.256"), True, State.ACTUAL, id="accepted"),
            pytest.param(("3.7.1",), True, State.EDITED, id="added"),
            pytest.param(("3.5.259", "3.7.3"), False, State.MISSING, id="rejected"),
            pytest.param(("2.5.258",), True, State.ACTUAL, id="suspect to somebody else"),
        ],
    )
    def test_reads_what_staff_made(self, codes: tuple[str, ...], is_present: bool, expected: State) -> None:
        assert state_of(QualitySet.of(codes), is_present=is_present) is expected


class TestWords:
    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            ("1.1.1", "battery low (end device)"),
            ("1.1.9", "clock error (end device)"),
            ("1.2.32", "power failure (end device)"),
            ("1.2.3", "disconnect switching (end device)"),
            ("1.3.0", "revenue protection (end device)"),
            ("1.3.1", "cover opened (end device)"),
            ("1.3.4", "reverse rotation (end device)"),
            ("1.4.1", "overflow (end device)"),
            ("1.4.2", "partial interval (end device)"),
            ("1.4.3", "long interval (end device)"),
            ("1.4.4", "skipped interval (end device)"),
            ("1.4.5", "test mode (end device)"),
            ("1.4.9", "clock changed (end device)"),
            ("1.4.16", "daylight saving time (end device)"),
            ("1.4.64", "clock set forward (end device)"),
            ("1.4.128", "clock set back (end device)"),
            ("2.0.0", "valid (metering system network)"),
            ("3.0.1", "validated (meter data management)"),
            ("3.5.256", "out of range (meter data management)"),
            ("3.5.257", "error (meter data management)"),
            ("3.5.258", "suspect (meter data management)"),
            ("3.5.259", "known to be missing (meter data management)"),
            ("3.6.0", "failed validation (meter data management)"),
            ("3.6.1", "zero usage (meter data management)"),
            ("3.6.2", "usage on an inactive meter (meter data management)"),
            ("3.6.3", "usage above (meter data management)"),
            ("3.6.4", "usage below (meter data management)"),
            ("3.6.5", "usage above, in percent (meter data management)"),
            ("3.6.6", "usage below, in percent (meter data management)"),
            ("3.6.9", "time-of-use sum (meter data management)"),
            ("3.7.0", "edited (meter data management)"),
            ("3.7.1", "added (meter data management)"),
            ("3.7.3", "rejected (meter data management)"),
            ("3.8.0", "estimated (meter data management)"),
            ("3.10.0", "indeterminate (meter data management)"),
            ("3.10.1", "accepted (meter data management)"),
            ("3.11.0", "deterministic (meter data management)"),
            ("3.11.1", "inferred (meter data management)"),
            ("3.12.0", "projected (meter data management)"),
            ("4.9.7", "obsolete, 7 (other)"),
            ("5.8.12", "estimated, 12 (external)"),
            ("0.0.0", "valid (not applicable)"),
        ],
    )
    def test_says_every_code(self, code: str, expected: str) -> None:
        assert words(code) == expected

    @pytest.mark.parametrize("code", ["6.0.0", "3.13.0", "3.5", "suspect"])
    def test_refuses_what_is_no_code(self, code: str) -> None:
        with pytest.raises(ValueError, match=code):
            words(code)
