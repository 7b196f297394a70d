"""Faults fire where they can, as often as they shall, and are counted."""

import pytest

from simulators.fleet.faults import ANY_KIND, MOST_TIMES, SHARED, Answer, Fault, FaultPlan, UnknownFault, parse, table

OF_JOBS = [name for name, fault in SHARED.items() if fault.hits_jobs and "switch" in fault.kinds and fault.orders == 1]


def plan_of(wanted: dict[str, int | None], *, seed: int = 1) -> FaultPlan:
    return FaultPlan(wanted, table=SHARED, seed=seed)


class TestParse:
    def test_reads_names_and_times(self) -> None:
        assert parse("stuck_relay, never_answers=2", SHARED) == {"stuck_relay": None, "never_answers": 2}

    def test_reads_all_and_then_an_exception(self) -> None:
        wanted = parse("all,late_result=7", SHARED)
        assert set(wanted) == set(SHARED)
        assert wanted["late_result"] == 7

    def test_reads_nothing_as_no_fault(self) -> None:
        assert parse("", SHARED) == {}

    def test_rejects_an_unknown_name(self) -> None:
        with pytest.raises(UnknownFault, match="stuck_rely"):
            parse("stuck_rely", SHARED)


class TestDraw:
    @pytest.mark.parametrize("name", list(SHARED))
    @pytest.mark.parametrize("kind", [*ANY_KIND, "intervals", "events", "collection"])
    def test_fires_a_fault_only_on_its_kinds(self, name: str, kind: str) -> None:
        plan = plan_of({name: 1}).draw(kind, ["a", "b"])
        fired = {plan.job, *plan.devices.values()} - {None}
        assert fired == ({name} if kind in SHARED[name].kinds else set())

    @pytest.mark.parametrize("name", list(SHARED))
    def test_fires_as_often_as_told_and_no_more(self, name: str) -> None:
        faults = plan_of({name: 3})
        for _ in range(100):
            plan = faults.draw(SHARED[name].kinds[-1], ["a", "b"][: SHARED[name].orders])
            if plan.job or plan.devices:
                faults.fired(name, {})
        assert len(faults.hits[name]) == 3
        assert faults.remaining[name] == 0

    def test_fires_all_of_jobs_within_a_few_jobs_of_one_switch_each(self) -> None:
        faults = plan_of(dict.fromkeys(OF_JOBS), seed=3)
        for _ in range(3 * MOST_TIMES * len(SHARED)):
            plan = faults.draw("switch", ["a"])
            assert plan.job is None or not plan.devices
            for name in filter(None, [plan.job, *plan.devices.values()]):
                faults.fired(name, {})
        assert all(1 <= len(hits) <= MOST_TIMES for hits in faults.hits.values())

    def test_draws_the_same_from_the_same_seed(self) -> None:
        first, second = (
            [plan_of(parse("all", SHARED), seed=5).draw("switch", [str(each) for each in range(100)])] for _ in range(2)
        )
        assert first == second

    def test_hits_different_device_orders_with_different_faults(self) -> None:
        faults = plan_of({"stuck_relay": 1, "late_result": 1, "accepts_then_silence": 1})
        plan = faults.draw("switch", ["a", "b", "c"])
        assert sorted(plan.devices.values()) == ["accepts_then_silence", "late_result", "stuck_relay"]

    def test_arms_a_fault_nobody_asked_for_before(self) -> None:
        faults = plan_of({})
        faults.arm("never_answers", 1)
        assert faults.draw("provision", ["a"]).job == "never_answers"

    @pytest.mark.parametrize("wanted", ["connected", "disconnected", None])
    @pytest.mark.parametrize("name", ["arm_only_meter", "disconnect_refused"])
    def test_fires_a_fault_of_one_direction_only_on_switches_there(self, name: str, wanted: str | None) -> None:
        plan = plan_of({name: 1}).draw("switch", ["a"], wanted_state=wanted)
        fits = wanted == {"arm_only_meter": "connected", "disconnect_refused": "disconnected"}[name]
        assert plan.devices == ({"a": name} if fits else {})

    def test_fires_a_fault_of_a_place_only_there(self) -> None:
        faults = plan_of({"concentrator_offline": 1})
        assert faults.draw("ping", ["a"]).job is None
        assert faults.draw("ping", ["a"], also=["concentrator"]).job == "concentrator_offline"

    def test_spares_a_job_of_fewer_device_orders_than_a_fault_needs(self) -> None:
        faults = plan_of({"split_callbacks": 1})
        assert faults.draw("ping", ["a"]).job is None
        assert faults.draw("ping", ["a", "b"]).job == "split_callbacks"

    @pytest.mark.parametrize(("references", "most"), [(["a", "b"], 0), (["a", "b", "c"], 1)])
    def test_leaves_as_many_device_orders_alone_as_a_fault_of_the_whole_job_needs(
        self, references: list[str], most: int
    ) -> None:
        faults = plan_of({"split_callbacks": 1, "accepts_then_silence": 1, "per_meter_reject": 1})
        faults.hits["accepts_then_silence"] = faults.hits["per_meter_reject"] = [{}]  # they had their turn
        plan = faults.draw("read_on_demand", references)
        assert plan.job == "split_callbacks"
        assert len(plan.devices) == most

    def test_takes_back_a_hit_that_spoiled_nothing(self) -> None:
        faults = plan_of({"split_callbacks": 2})
        for token in ("j-1", "j-2"):
            faults.fired("split_callbacks", {"token": token})
        faults.missed("split_callbacks", "j-1")
        assert (faults.hits["split_callbacks"], faults.remaining["split_callbacks"]) == ([{"token": "j-2"}], 1)
        faults.missed("split_callbacks", "j-3")
        assert (faults.hits["split_callbacks"], faults.remaining["split_callbacks"]) == ([{"token": "j-2"}], 1)

    def test_completes_the_hit_of_one_job(self) -> None:
        faults = plan_of({"split_callbacks": 2})
        for token in ("j-1", "j-2"):
            faults.fired("split_callbacks", {"token": token, "serials": ["1", "2"]})
        faults.told("split_callbacks", "j-2", {"serials": ["2"]})
        assert [hit["serials"] for hit in faults.hits["split_callbacks"]] == [["1", "2"], ["2"]]

    def test_lets_nothing_else_go_wrong_with_what_is_lost(self) -> None:
        plan = plan_of({"maintenance_window": 1, "stuck_relay": 1}).draw("switch", ["a", "b"])
        assert SHARED["maintenance_window"].answer is Answer.LOST
        assert (plan.job, plan.devices) == ("maintenance_window", {})


class TestTable:
    def test_holds_what_a_kind_chooses_and_its_own(self) -> None:
        own = Fault(name="token_expired", description="A fault.", kinds=ANY_KIND, answer=Answer.LOST)
        faults = table("stuck_relay", "never_answers", own=[own])
        assert list(faults) == ["stuck_relay", "never_answers", "token_expired"]
        assert faults["token_expired"] is own

    def test_refuses_a_shared_fault_that_is_not(self) -> None:
        with pytest.raises(KeyError):
            table("stuck_rely")

    def test_is_all_that_can_be_asked_for(self) -> None:
        faults = table("stuck_relay")
        assert parse("all", faults) == {"stuck_relay": None}
        with pytest.raises(UnknownFault):
            parse("never_answers", faults)
        with pytest.raises(UnknownFault):
            FaultPlan({}, table=faults, seed=1).arm("never_answers", 1)
