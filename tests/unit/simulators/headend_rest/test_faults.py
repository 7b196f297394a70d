"""Faults fire where they can, as often as they shall, and are counted."""

import pytest

from simulators.headend_rest.faults import FAULTS, MOST_TIMES, FaultPlan, UnknownFault, parse

OF_JOBS = [name for name, fault in FAULTS.items() if fault.hits_jobs]


class TestParse:
    def test_reads_names_and_times(self) -> None:
        assert parse("stuck_relay, never_answers=2") == {"stuck_relay": None, "never_answers": 2}

    def test_reads_all_and_then_an_exception(self) -> None:
        wanted = parse("all,late_result=7")
        assert set(wanted) == set(FAULTS)
        assert wanted["late_result"] == 7

    def test_reads_nothing_as_no_fault(self) -> None:
        assert parse("") == {}

    def test_rejects_an_unknown_name(self) -> None:
        with pytest.raises(UnknownFault, match="stuck_rely"):
            parse("stuck_rely")


class TestDraw:
    @pytest.mark.parametrize("name", list(FAULTS))
    @pytest.mark.parametrize(
        "kind",
        [
            "provision",
            "read_registers",
            "read_intervals",
            "read_on_demand",
            "switch",
            "switch_state",
            "intervals",
            "events",
            "collection",
        ],
    )
    def test_fires_a_fault_only_on_its_kinds(self, name: str, kind: str) -> None:
        plan = FaultPlan({name: 1}, seed=1).draw(kind, ["a", "b"])
        fired = {plan.job, *plan.devices.values()} - {None}
        assert fired == ({name} if kind in FAULTS[name].kinds else set())

    @pytest.mark.parametrize("name", list(FAULTS))
    def test_fires_as_often_as_told_and_no_more(self, name: str) -> None:
        faults = FaultPlan({name: 3}, seed=1)
        for _ in range(100):
            plan = faults.draw(FAULTS[name].kinds[-1], ["a"])
            if plan.job or plan.devices:
                faults.fired(name, {})
        assert len(faults.hits[name]) == 3
        assert faults.remaining[name] == 0

    def test_fires_all_of_jobs_within_a_few_jobs_of_one_switch_each(self) -> None:
        faults = FaultPlan(dict.fromkeys(OF_JOBS), seed=3)
        for _ in range(3 * MOST_TIMES * len(FAULTS)):
            plan = faults.draw("switch", ["a"])
            assert plan.job is None or not plan.devices
            for name in filter(None, [plan.job, *plan.devices.values()]):
                faults.fired(name, {})
        assert all(1 <= len(hits) <= MOST_TIMES for hits in faults.hits.values())

    def test_draws_the_same_from_the_same_seed(self) -> None:
        first, second = (
            [FaultPlan(parse("all"), seed=5).draw("switch", [str(each) for each in range(100)])] for _ in range(2)
        )
        assert first == second

    def test_hits_different_device_orders_with_different_faults(self) -> None:
        faults = FaultPlan({"stuck_relay": 1, "late_result": 1, "accepts_then_silence": 1}, seed=1)
        plan = faults.draw("switch", ["a", "b", "c"])
        assert sorted(plan.devices.values()) == ["accepts_then_silence", "late_result", "stuck_relay"]

    def test_arms_a_fault_nobody_asked_for_before(self) -> None:
        faults = FaultPlan({}, seed=1)
        faults.arm("never_answers", 1)
        assert faults.draw("provision", ["a"]).job == "never_answers"
