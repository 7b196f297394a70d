"""What every kind of head end does, whatever its face: completions, orders beside switching, faults of the core."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from simulators.clock import instant, stamp
from simulators.fleet.callbacks import Completion
from simulators.fleet.headend import Misanswered, TooLarge
from simulators.fleet.jobs import Order, Submission
from simulators.fleet.resources import controls


class TestCompletion:
    def test_tells_results(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                job = await city.submit("ping", [city.meters[0].serial])
                await city.idle()
                [body] = city.face.of("results")
                assert (body["token"], body["more"]) == (job.token, False)
                assert [result["status"] for result in body["results"]] == ["ok"]

        asyncio.run(play())

    def test_keeps_results_that_are_polled(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage(completion=Completion.POLL) as city:
                await city.provision()
                job = await city.submit("ping", [city.meters[0].serial])
                await city.idle()
                assert city.face.told == []
                assert [result["status"] for result in job.told(city.now)] == ["ok"]

        asyncio.run(play())

    def test_tells_only_that_results_are_ready(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage(completion=Completion.READY) as city:
                await city.provision()
                serial = city.meters[0].serial
                job = await city.submit("ping", [serial])
                await city.idle()
                [body] = city.face.of("ready")
                assert (body["token"], body["references"]) == (job.token, [serial])
                assert "results" not in body
                assert city.face.of("results") == []

        asyncio.run(play())

    def test_lets_a_synchronous_face_wait_while_time_may_pass(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage("--latency", "30", completion=Completion.SYNCHRONOUS) as city:
                await city.provision()

                async def call() -> bool:
                    with city.head_end.answering():
                        job = await city.submit("ping", [city.meters[0].serial])
                        return bool(await city.head_end.ended(job, within=20.0))

                calling = asyncio.create_task(call())
                while not city.head_end.state.outstanding:
                    await asyncio.sleep(0)
                await city.idle()
                assert not calling.done()
                await city.advance(hours=1)
                assert await calling
                assert city.face.of("results") == []

        asyncio.run(play())

    def test_says_so_when_waiting_was_in_vain(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage("--latency", "30") as city:
                await city.provision()
                job = await city.submit("ping", [city.meters[0].serial])
                assert not await city.head_end.ended(job, within=0.01)

        asyncio.run(play())


class TestControls:
    def test_are_remembered_by_the_meter_and_survive_a_restart(self, stage: Callable[..., Any]) -> None:
        event = {"event": "dr-1", "start": "2026-03-27T17:00:00Z", "minutes": 60, "percent": 40}

        async def play() -> None:
            async with stage() as city:
                await city.provision()
                serial = city.meters[0].serial
                await city.submit("limit_demand", [serial], limit_kw="4.5")
                await city.submit("control_load", [serial], action="schedule", **event)
                await city.submit("set_time", [serial])
                await city.submit("show_text", [serial], text="boil water")
                await city.idle()

        asyncio.run(play())
        meter = stage().meters[0]
        assert controls(meter) == {
            "limit_kw": "4.5",
            "load_events": [event],
            "shown_text": "boil water",
            "clock_set_at": "2026-03-27T10:00:00Z",
        }
        assert meter.clock_offset == "0"

    def test_are_taken_back(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                meter = city.meters[0]
                await city.submit("limit_demand", [meter.serial], limit_kw="4.5")
                when = {"start": "2026-03-27T17:00:00Z", "minutes": 60, "percent": 40}
                await city.submit("control_load", [meter.serial], action="schedule", event="dr-1", **when)
                await city.submit("limit_demand", [meter.serial], limit_kw=None)
                await city.submit("control_load", [meter.serial], action="cancel", event="dr-1")
                await city.idle()
                assert (meter.limit_kw, meter.load_events) == (None, {})

        asyncio.run(play())

    def test_are_for_electricity_where_they_control_load(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                gas = next(meter.serial for meter in city.meters if meter.commodity == "gas")
                limited = await city.submit("limit_demand", [gas], limit_kw="4")
                shown = await city.submit("show_text", [gas], text="hello")
                assert [each["code"] for each in limited.rejected] == ["NOT_SUPPORTED"]
                assert shown.rejected == []

        asyncio.run(play())

    def test_do_nothing_where_the_meter_only_says_so(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                meter = city.meters[0]
                await city.head_end.script(meter.serial, None, ["lies", "NO_RESPONSE"])
                for _ in range(2):
                    await city.submit("limit_demand", [meter.serial], limit_kw="4")
                    await city.idle()
                codes = [body["results"][0]["code"] for body in city.face.of("results")]
                assert (codes, meter.limit_kw) == ([None, "NO_RESPONSE"], None)

        asyncio.run(play())


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "wanted", "code"),
        [
            pytest.param("arm_only_meter", "connected", "ARMED", id="arm-only"),
            pytest.param("load_side_voltage_blocks_close", "connected", "LOAD_SIDE_VOLTAGE", id="load-side"),
            pytest.param("disconnect_refused", "disconnected", "DISCONNECT_REFUSED", id="medical"),
            pytest.param("relay_stuck_but_acknowledged", "disconnected", None, id="stuck"),
        ],
    )
    def test_keep_a_breaker_where_it_is(
        self, stage: Callable[..., Any], fault: str, wanted: str, code: str | None
    ) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                serial = city.with_breaker()[0]
                if wanted == "connected":
                    await city.submit("switch", [serial], state="disconnected")
                    await city.idle()
                before = city.head_end.state.meters[serial].breaker.state
                await city.head_end.arm(fault, 1)
                await city.submit("switch", [serial], state=wanted)
                await city.idle()
                assert city.face.of("results")[-1]["results"][0]["code"] == code
                assert city.head_end.state.meters[serial].breaker.state == before
                assert len(city.head_end.state.faults.hits[fault]) == 1

        asyncio.run(play())

    def test_refuse_one_meter_of_a_good_batch(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("per_meter_reject", 1)
                job = await city.submit("read_on_demand", [meter.serial for meter in city.meters[:5]])
                [rejected] = job.rejected
                assert rejected["code"] == "BUSY"
                assert len(job.orders) == 4
                assert rejected["reference"] not in job.orders
                [hit] = city.head_end.state.faults.hits["per_meter_reject"]
                assert hit["serial"] == rejected["serial"]

        asyncio.run(play())

    def test_close_for_maintenance_for_a_while(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("maintenance_window", 1)
                serial = city.meters[0].serial
                for seconds in (0, 59):
                    await city.advance(seconds=seconds)
                    with pytest.raises(Misanswered) as raised:
                        await city.submit("ping", [serial])
                    assert (raised.value.fault, raised.value.job) == ("maintenance_window", None)
                await city.advance(seconds=1)
                assert (await city.submit("ping", [serial])).rejected == []
                assert len(city.head_end.state.faults.hits["maintenance_window"]) == 1

        asyncio.run(play())

    def test_close_for_maintenance_whatever_call_meets_it(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("maintenance_window", 1)
                serial = city.meters[0].serial
                for seconds in (0, 59):
                    await city.advance(seconds=seconds)
                    with pytest.raises(Misanswered, match="maintenance_window"):
                        await city.head_end.admit("read_registers", serials=[serial])
                    with pytest.raises(Misanswered, match="maintenance_window"):
                        await city.submit("ping", [serial])
                await city.advance(seconds=1)
                await city.head_end.admit("read_registers", serials=[serial])
                assert (await city.submit("ping", [serial])).rejected == []
                [hit] = city.head_end.state.faults.hits["maintenance_window"]
                assert (hit["kind"], hit["serials"]) == ("read_registers", [serial])

        asyncio.run(play())

    def test_are_no_hit_where_they_find_no_value_and_wait_for_one(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("duplicate_callback_other_value", 1)
                hits = city.head_end.state.faults.hits
                serial = city.meters[0].serial
                no_midnight = {"from": stamp(city.now - timedelta(hours=1)), "to": stamp(city.now)}
                await city.submit("read_registers", [serial], period=no_midnight)
                await city.idle()
                assert len(city.face.of("results")) == 1
                assert hits["duplicate_callback_other_value"] == []
                while not hits["duplicate_callback_other_value"]:  # it does not fire at each opportunity
                    await city.submit("read_on_demand", [serial])
                    await city.idle()
                first, second = city.face.of("results")[-2:]
                assert first["token"] == second["token"]
                assert first["results"][0]["readings"] != second["results"][0]["readings"]

        asyncio.run(play())

    def test_spare_what_the_utility_sets_up_by_itself(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                for fault in ("maintenance_window", "duplicate_callback", "register_rollover"):
                    await city.head_end.arm(fault, 1)
                first, second = city.meters[:2]
                for meter in (first, second):
                    wish = {"device_id": meter.serial, "commodity": meter.commodity, "registers": []}
                    order = Order(serial=meter.serial, reference=meter.serial, wish=wish)
                    own = Submission(correlation_id=meter.serial, kind="provision", orders=[order], is_asked=False)
                    assert (await city.head_end.submit(own)).rejected == []
                    await city.idle()
                    with pytest.raises(Misanswered):  # who asks finds it closed
                        await city.submit("ping", [first.serial])
                hits = {name: len(some) for name, some in city.head_end.state.faults.hits.items()}
                assert hits == {"maintenance_window": 1, "duplicate_callback": 0, "register_rollover": 1}
                assert first.rolls_over_at is not None

        asyncio.run(play())

    @pytest.mark.parametrize(
        ("fault", "at"),
        [
            pytest.param("meter_clock_jump", "2026-03-27T09:00:00Z", id="jump"),
            pytest.param("stamp_of_1970", "1970-01-01T00:00:00Z", id="1970"),
            pytest.param("stamp_of_2000", "2000-01-01T00:00:00Z", id="2000"),
        ],
    )
    def test_stamp_readings_wrongly(self, stage: Callable[..., Any], fault: str, at: str) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm(fault, 1)
                for _ in range(2):
                    await city.submit("read_on_demand", [city.meters[0].serial])
                    await city.idle()
                first, second = (body["results"][0]["readings"][0] for body in city.face.of("results"))
                assert (first["at"], second["at"]) == (at, "2026-03-27T10:00:00Z")
                assert first["value"] == second["value"]

        asyncio.run(play())

    def test_let_clocks_drift_both_ways(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                for meter in city.meters:
                    await city.head_end.arm("meter_clock_drift", 1)
                    await city.submit("read_on_demand", [meter.serial])
                    await city.idle()
                said = [
                    body["results"][0]["readings"][0]["at"] for body in city.face.of("results")[-len(city.meters) :]
                ]
                ahead = [(instant(at) - city.now).total_seconds() for at in said]
                assert all(1 <= abs(seconds) <= 120 for seconds in ahead)
                assert min(ahead) < 0 < max(ahead)

        asyncio.run(play())

    def test_move_a_breaker_that_says_it_stuck(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                serial = city.with_breaker()[0]
                await city.head_end.arm("relay_moved_but_denied", 1)
                await city.submit("switch", [serial], state="disconnected")
                await city.idle()
                [result] = city.face.of("results")[-1]["results"]
                assert (result["status"], result["code"]) == ("failed", "RELAY_STUCK")
                assert result["switch_state"] == "connected"
                assert city.head_end.state.meters[serial].breaker.state == "disconnected"
                assert city.head_end.state.switch_counts[serial].executed == 1

        asyncio.run(play())

    def test_let_a_register_of_a_new_meter_roll_over(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.head_end.arm("register_rollover", 2)
                await city.provision()
                hits = city.head_end.state.faults.hits["register_rollover"]
                hit = {each["serial"] for each in hits}
                assert {meter.serial for meter in city.meters if meter.rolls_over_at} == hit
                assert len(hit) == 2
                for meter in map(city.head_end.state.meters.get, hit):
                    register, at = meter.registers[0], meter.rolls_over_at
                    assert timedelta(hours=6) <= at - city.now <= timedelta(hours=30)
                    before, after = (register.shown(meter.true(register, at + timedelta(days=day))) for day in (-1, 1))
                    nines, zeros = ("9" * register.digits)[:3], float(after)
                    assert before.startswith(nines)
                    assert 0 <= zeros < 100
                    passed = sum(
                        value
                        for _, value in city.head_end.profiles.true(
                            meter, meter.channels[0], at.replace(minute=0), at.replace(minute=0) + timedelta(hours=1)
                        )
                    )
                    assert 0 <= passed < 5_000_000

        asyncio.run(play())

    @pytest.mark.parametrize(("commodity", "digits"), [("electricity", 6), ("gas", 5), ("water", 5)])
    def test_let_registers_of_five_and_of_six_dials_roll_over(
        self, stage: Callable[..., Any], commodity: str, digits: int
    ) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.head_end.arm("register_rollover", 1)
                meter = next(each for each in city.meters if each.commodity == commodity)
                registers = [{"obis": each.obis, "unit": each.unit} for each in meter.registers]
                own = {"device_id": meter.serial, "commodity": commodity, "registers": registers}
                await city.submit("provision", [meter.serial], **own)
                await city.idle()
                at, register = meter.rolls_over_at, meter.registers[0]
                before, after = (register.shown(meter.true(register, at + timedelta(hours=hours))) for hours in (-1, 1))
                assert (len(before.partition(".")[0]), before[: digits - 2]) == (digits, "9" * (digits - 2))
                assert float(after) < 100

        asyncio.run(play())

    def test_let_no_register_roll_over_that_may_have_been_read(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("register_rollover", 1)
                meter = city.meters[0]
                registers = [{"obis": each.obis, "unit": each.unit} for each in meter.registers]
                own = {"device_id": meter.serial, "commodity": meter.commodity, "registers": registers}
                await city.submit("provision", [meter.serial], **own)
                await city.idle()
                assert meter.rolls_over_at is None
                assert city.head_end.state.faults.hits["register_rollover"] == []

        asyncio.run(play())

    @pytest.mark.parametrize(
        ("fault", "spoiled"),
        [
            pytest.param("callback_empty_correlation", 4, id="all"),
            pytest.param("wrong_meter_in_callback", 1, id="one"),
        ],
    )
    def test_of_callbacks_say_whose_results_they_spoiled(
        self, stage: Callable[..., Any], fault: str, spoiled: int
    ) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm(fault, 1)
                serials = [meter.serial for meter in city.meters[:4]]
                await city.submit("read_on_demand", serials)
                await city.idle()
                [hit] = city.head_end.state.faults.hits[fault]
                assert len(hit["serials"]) == spoiled
                named = [result["serial"] for result in city.face.of("results")[-1]["results"]]
                if "stranger" in hit:
                    assert set(serials) - set(named) == set(hit["serials"])
                    assert hit["stranger"] in named

        asyncio.run(play())

    def test_that_lose_a_submit_name_its_meters(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.provision()
                await city.head_end.arm("never_answers", 1)
                serials = [meter.serial for meter in city.meters[:3]]
                with pytest.raises(Misanswered):
                    await city.submit("read_on_demand", serials)
                [hit] = city.head_end.state.faults.hits["never_answers"]
                assert hit["serials"] == serials

        asyncio.run(play())

    def test_of_a_face_fire_where_it_asks_and_are_counted(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage() as city:
                await city.head_end.arm("duplicate_event", 1)
                assert await city.head_end.misfortune("login") is None
                assert await city.head_end.misfortune("events", path="/x") == "duplicate_event"
                [hit] = city.head_end.state.faults.hits["duplicate_event"]
                assert (hit["kind"], hit["path"]) == ("events", "/x")
                assert await city.head_end.misfortune("events") is None

        asyncio.run(play())


class TestProfile:
    def test_refuses_a_batch_beyond_the_network(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage("--profile", "plc", "--meters", "101") as city:
                serials = [meter.serial for meter in city.meters]
                with pytest.raises(TooLarge) as raised:
                    await city.submit("ping", serials)
                assert raised.value.most == 100
                await city.submit("ping", serials[:100])

        asyncio.run(play())

    def test_carries_out_one_after_the_other_on_a_power_line(self, stage: Callable[..., Any]) -> None:
        async def play() -> None:
            async with stage("--profile", "plc", "--latency", "60", "--concentrators", "2") as city:
                await city.provision()
                serials = [meter.serial for meter in city.meters]
                first = await city.submit("ping", [serials[0], serials[19]])
                second = await city.submit("ping", [serials[1]])
                one, other, next_one = (
                    job.orders[serial].due
                    for job, serial in ((first, serials[0]), (first, serials[19]), (second, serials[1]))
                )
                assert one < next_one
                assert min(one, other) - city.now < timedelta(minutes=10)
                assert city.head_end.state.concentrators["DC-001"].busy_until == next_one
                assert city.head_end.state.concentrators["DC-002"].busy_until == other

        asyncio.run(play())
