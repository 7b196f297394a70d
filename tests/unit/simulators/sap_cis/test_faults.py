"""Faults fire a bounded, seeded number of times."""

import pytest

from simulators.sap_cis.faults import FAULTS, MOST_TIMES, Faults, chosen


class TestChosen:
    def test_reads_names_with_and_without_times(self) -> None:
        assert chosen("answers_503=1,sends_early") == {"answers_503": 1, "sends_early": MOST_TIMES}
        assert chosen("all") == dict.fromkeys(FAULTS, MOST_TIMES)
        assert chosen("") == {}

    @pytest.mark.parametrize("names", ["answers_504", "answers_503=many"])
    def test_rejects_what_is_no_fault(self, names: str) -> None:
        with pytest.raises(ValueError, match="unknown fault"):
            chosen(names)


class TestFaults:
    def test_fire_at_the_first_chance_and_as_often_as_wanted(self) -> None:
        faults = Faults({"answers_503": 3}, seed=1)
        fired = [faults.fires("answers_503", str(chance)) for chance in range(20)]
        assert fired[0]
        assert sum(fired) == 3

    def test_fire_alike_for_the_same_seed_only(self) -> None:
        def run(seed: int) -> list[bool]:
            faults = Faults({"answers_503": 10}, seed=seed)
            return [faults.fires("answers_503", "") for _ in range(40)]

        assert run(1) == run(1)
        assert run(1) != run(2)

    def test_fire_one_at_a_time(self) -> None:
        faults = Faults({"answers_503": 1, "cuts_connection": 1})
        names = ("answers_503", "cuts_connection")
        assert [faults.first(names, str(chance)) for chance in range(3)] == ["answers_503", "cuts_connection", None]

    def test_never_fire_unasked(self) -> None:
        assert not Faults().fires("answers_503", "")

    def test_count_what_an_earlier_life_fired(self) -> None:
        faults = Faults({"answers_503": 1})
        faults.remember("answers_503", "u")
        assert not faults.fires("answers_503", "v")
        assert faults.fired() == {"answers_503": {"count": 1, "hits": ["u"]}}
