"""Register change: closing, replacing, changing and reversing, all registers of a device or none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import device_arrival
from mdus.domain.register import Register, register_arrival
from mdus.domain.value import Remove
from mdus.messaging.addressed_device import SystemDiffers
from mdus.messaging.known import Known
from mdus.messaging.outcome import Done, Outcome, Park, Result
from mdus.services import register_change, register_create
from mdus.services.register_change import Policy, Request, SentRegister
from mdus.settings import load_settings
from tests.unit.services.device_initialization import (
    DEVICE,
    NOW,
    READING_TYPES,
    SENDER,
    TASK,
    known_device,
    known_register,
    of_kind,
    only,
    origin,
    problems,
    register_request,
    sent_register,
)
from tests.unit.services.register_changes import DAY, START, assignment, change, sent, specification


def knowing(*loaded: object, policy: Policy = Policy()) -> Known:  # noqa: B008 - frozen
    return Known([READING_TYPES], [policy], loaded)  # type: ignore[arg-type]


def decide(request: Request, *loaded: object, policy: Policy = Policy()) -> Outcome:  # noqa: B008 - frozen
    return register_change.decide(request, knowing(known_device(), *loaded, policy=policy), now=NOW)


def becomes(request: Request, *registers: Register, policy: Policy = Policy()) -> list[Register]:  # noqa: B008 - frozen
    """The device's registers once the change is made, in the order of number and date."""
    known = knowing(known_device(), *registers, policy=policy)
    outcome = register_change.decide(request, known, now=NOW)
    assert problems(outcome) == ()
    found = known.after(outcome).find(Register, sender_system=SENDER, device_id=DEVICE)
    return sorted(found, key=lambda register: (register.measurement_task_id, register.valid_from))


def type_ids(outcome: Outcome) -> list[str]:
    """The type ids of a refusal, which changes nothing."""
    assert isinstance(outcome, Done)
    assert outcome.changes == ()
    return [problem.type_id for problem in problems(outcome)]


class TestOneRegister:
    def test_is_closed_at_the_end_of_its_last_day(self) -> None:
        assert becomes(change(sent(valid_to=DAY)), known_register()) == [known_register(valid_to=DAY)]

    def test_is_closed_whatever_start_is_told(self) -> None:
        told = sent(specification(valid_from=date(2026, 3, 1)), valid_from=date(2026, 3, 1), valid_to=DAY)
        assert becomes(change(told), known_register()) == [known_register(valid_to=DAY)]

    def test_closed_again_changes_nothing(self) -> None:
        assert decide(change(sent(valid_to=DAY)), known_register(valid_to=DAY)) == Done()

    def test_is_opened_again(self) -> None:
        assert becomes(change(sent()), known_register(valid_to=DAY)) == [known_register()]

    def test_begins_earlier(self) -> None:
        assert becomes(change(sent()), known_register(valid_from=DAY)) == [known_register()]

    def test_is_not_taken_up_after_all(self) -> None:
        assert becomes(change(sent(valid_to=START)), known_register()) == []

    def test_is_changed_from_a_day_on(self) -> None:
        told = sent(specification(valid_to=DAY), specification(valid_from=DAY, factor=Decimal(40)))
        assert becomes(change(told), known_register()) == [
            known_register(valid_to=DAY),
            known_register(valid_from=DAY, factor=Decimal(40)),
        ]

    def test_keeps_what_it_was_where_only_what_is_new_is_told(self) -> None:
        told = sent(specification(valid_from=DAY, factor=Decimal(40)))
        assert becomes(change(told), known_register()) == [
            known_register(valid_to=DAY),
            known_register(valid_from=DAY, factor=Decimal(40)),
        ]

    def test_with_specifications_that_differ_only_in_dates_stays_one(self) -> None:
        told = sent(specification(valid_to=DAY), specification(valid_from=DAY))
        assert decide(change(told), known_register()) == Done()

    def test_is_what_its_specification_says_only_on_its_own_days(self) -> None:
        told = sent(specification(valid_from=date(2020, 1, 1), factor=Decimal(2)), valid_to=DAY)
        assert becomes(change(told), known_register()) == [known_register(valid_to=DAY, factor=Decimal(2))]

    def test_listed_twice_is_one(self) -> None:
        assert becomes(change(sent(valid_to=DAY), sent(valid_to=DAY)), known_register()) == [
            known_register(valid_to=DAY)
        ]


class TestSeveralRegisters:
    def test_replace_one_another_under_one_number(self) -> None:
        after = sent(specification(valid_from=DAY, total_digits=6), valid_from=DAY)
        assert becomes(change(after, sent(valid_to=DAY)), known_register()) == [
            known_register(valid_to=DAY),
            known_register(valid_from=DAY, total_digits=6),
        ]

    def test_replace_one_another_under_two_numbers(self) -> None:
        after = sent(specification(valid_from=DAY), measurement_task_id="9", valid_from=DAY)
        assert becomes(change(sent(valid_to=DAY), after), known_register()) == [
            known_register(valid_to=DAY),
            known_register(measurement_task_id="9", valid_from=DAY),
        ]

    def test_change_the_tariff(self) -> None:
        tariffs = [
            sent(
                specification(valid_from=DAY, time_of_use_code=str(number)),
                measurement_task_id=f"9{number}",
                valid_from=DAY,
                obis_text=f"1-0:1.8.{number}",
            )
            for number in (1, 2)
        ]
        found = becomes(change(sent(valid_to=DAY), *tariffs), known_register())
        assert [(one.measurement_task_id, one.reading_type, one.valid_from, one.valid_to) for one in found] == [
            (TASK, "1-0:1.8.0*255", START, DAY),
            ("91", "1-0:1.8.1*255", DAY, None),
            ("92", "1-0:1.8.2*255", DAY, None),
        ]

    def test_change_the_tariff_of_one_number_by_its_specifications(self) -> None:
        told = sent(specification(), specification(valid_from=DAY, time_of_use_code="2"), obis_text=None)
        told = replace(told, specifications=(replace(told.specifications[0], valid_to=DAY), told.specifications[1]))
        found = becomes(change(told), known_register(obis_text=None))
        assert [(one.reading_type, one.valid_from) for one in found] == [
            ("1-0:1.8.0*255", START),
            ("1-0:1.8.2*255", DAY),
        ]

    def test_swap_their_numbers_on_a_day(self) -> None:
        feed = {"measurement_task_id": "2", "obis_text": "1-0:2.8.0"}
        other = known_register(**feed, reading_type="1-0:2.8.0*255")
        swapped = [
            sent(specification(valid_from=DAY), valid_from=DAY, obis_text="1-0:2.8.0"),
            sent(specification(valid_from=DAY), valid_from=DAY, measurement_task_id="2"),
        ]
        found = becomes(change(*swapped), known_register(), other)
        assert [(one.measurement_task_id, one.reading_type, one.valid_to) for one in found] == [
            (TASK, "1-0:1.8.0*255", DAY),
            (TASK, "1-0:2.8.0*255", None),
            ("2", "1-0:2.8.0*255", DAY),
            ("2", "1-0:1.8.0*255", None),
        ]

    @pytest.mark.parametrize(
        ("starts_on", "free"),
        [
            pytest.param(DAY, True, id="as the other ends"),
            pytest.param(DAY - timedelta(days=1), False, id="a day before the other ends"),
        ],
    )
    def test_measure_the_same_only_one_after_the_other(self, starts_on: date, free: bool) -> None:
        after = sent(specification(valid_from=starts_on), measurement_task_id="9", valid_from=starts_on)
        outcome = decide(change(sent(valid_to=DAY), after), known_register())
        assert bool(problems(outcome)) is not free
        if not free:
            assert type_ids(outcome) == ["119(MDUS)"]

    def test_do_not_measure_what_a_register_measures_that_is_not_listed(self) -> None:
        feed = known_register(measurement_task_id="2", obis_text="1-0:2.8.0", reading_type="1-0:2.8.0*255")
        told = sent(specification(valid_from=DAY), valid_from=DAY, obis_text="1-0:2.8.0")
        (problem,) = problems(decide(change(told), known_register(), feed))
        assert (problem.type_id, problem.note) == ("119(MDUS)", f"[{TASK}] 1-0:2.8.0*255 is register 2 from 2026-01-01")

    def test_of_one_number_do_not_overlap(self) -> None:
        told = (sent(valid_to=DAY), sent(specification(factor=Decimal(2)), valid_from=DAY - timedelta(days=1)))
        (problem,) = problems(decide(change(*told), known_register()))
        assert (problem.type_id, problem.note) == ("119(MDUS)", f"[{TASK}] It is listed twice from 2026-06-30")


class TestANumber:
    def test_that_is_unknown_is_waited_for_and_then_refused(self) -> None:
        request = change(sent(valid_to=DAY, measurement_task_id="9"), sent(valid_to=DAY, measurement_task_id="8"))
        outcome = decide(request)
        assert isinstance(outcome, Park)
        assert (outcome.waits_for, outcome.until) == (
            register_arrival(SENDER, DEVICE, "9"),
            NOW + timedelta(minutes=30),
        )
        late = replace(request, origin=origin(received_at=NOW - timedelta(minutes=30)))
        assert [problem.note[:3] for problem in problems(decide(late))] == ["[9]", "[8]"]
        assert type_ids(decide(late)) == ["130(MDUS)", "130(MDUS)"]

    def test_that_is_unknown_is_refused_at_once_beside_what_waiting_does_not_mend(self) -> None:
        bad = sent(specification(factor=Decimal(0)))
        outcome = decide(change(bad, sent(valid_to=DAY, measurement_task_id="9")), known_register())
        assert type_ids(outcome) == ["116(MDUS)", "130(MDUS)"]

    @pytest.mark.parametrize(
        ("new_numbers", "beside", "valid_to", "begins"),
        [
            pytest.param("beside_known", True, None, True, id="beside a known one, open"),
            pytest.param("beside_known", True, date(2027, 1, 1), False, id="beside a known one, with an end"),
            pytest.param("beside_known", False, None, False, id="alone"),
            pytest.param("always", False, None, True, id="alone, by setting"),
            pytest.param("never", True, None, False, id="never, by setting"),
        ],
    )
    def test_that_is_new_begins(self, new_numbers: str, beside: bool, valid_to: date | None, begins: bool) -> None:
        new = sent(
            specification(valid_from=DAY),
            measurement_task_id="9",
            valid_from=DAY,
            valid_to=valid_to,
            obis_text="1-0:2.8.0",
        )
        request = change(*((sent(),) if beside else ()), new)
        outcome = decide(request, *((known_register(),) if beside else ()), policy=Policy(new_numbers=new_numbers))
        assert isinstance(outcome, Done if begins else Park)

    def test_of_another_device_is_waited_for_while_it_has_it(self) -> None:
        holder = known_register(device_id="7", measurement_task_id="9")
        new = sent(specification(valid_from=DAY), measurement_task_id="9", valid_from=DAY, obis_text="1-0:2.8.0")
        outcome = decide(change(sent(), new), known_register(), holder)
        assert isinstance(outcome, Park)
        assert outcome.waits_for in holder.wakes
        assert (outcome.otherwise.type_id, str(outcome.otherwise)[:4]) == ("119(MDUS)", "[9] ")
        freed = replace(holder, valid_to=DAY)
        assert isinstance(decide(change(sent(), new), known_register(), freed), Done)

    def test_that_is_closed_does_not_mind_another_device(self) -> None:
        holder = known_register(device_id="7")
        assert becomes(change(sent(valid_to=DAY)), known_register(), holder) == [known_register(valid_to=DAY)]


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("told", "type_id"),
        [
            pytest.param(sent(valid_to=START - timedelta(days=1)), "106(MDUS)", id="an end two days before the start"),
            pytest.param(
                sent(specification(valid_to=START - timedelta(days=1))),
                "106(MDUS)",
                id="a specification that ends early",
            ),
            pytest.param(
                sent(valid_from=date(2025, 12, 31)), None, id="a day that is stored nowhere and not specified"
            ),
            pytest.param(
                sent(specification(valid_from=date(2025, 12, 31)), valid_from=date(2025, 12, 31)),
                "112(MDUS)",
                id="a start before the device's",
            ),
            pytest.param(sent(obis_text="KWH_TOTALS"), "113(MDUS)", id="an unknown text"),
            pytest.param(sent(specification(fraction_digits=9)), "115(MDUS)", id="too many decimals"),
            pytest.param(sent(specification(factor=Decimal(0))), "116(MDUS)", id="a factor of zero"),
            pytest.param(sent(time_zone_code="MOON"), "117(MDUS)", id="an unknown time zone"),
            pytest.param(
                sent(specification(), specification(valid_from=DAY, factor=Decimal(2))),
                "119(MDUS)",
                id="specifications that overlap",
            ),
        ],
    )
    def test_is(self, told: SentRegister, type_id: str | None) -> None:
        assert type_ids(decide(change(told), known_register())) == [type_id or "140(MDUS)"]

    def test_keeps_the_others_from_being_changed(self) -> None:
        bad = sent(specification(factor=Decimal(0)), measurement_task_id="2")
        other = known_register(measurement_task_id="2", obis_text="1-0:2.8.0", reading_type="1-0:2.8.0*255")
        assert type_ids(decide(change(sent(valid_to=DAY), bad), known_register(), other)) == ["116(MDUS)"]

    def test_is_one_log_line_each_of_at_most_200_characters(self) -> None:
        numbers = [str(number) for number in range(3)]
        stored = [known_register(measurement_task_id=number) for number in numbers]
        bad = [sent(measurement_task_id=number, time_zone_code="M" * 300) for number in numbers]
        outcome = decide(change(*bad), *stored)
        log = register_change.confirm(change(*bad), Result(problems=problems(outcome))).log
        assert (log.result_code, [len(item.note) for item in log.items]) == ("5", [200, 200, 200])
        assert [item.note[:3] for item in log.items] == ["[0]", "[1]", "[2]"]

    def test_is_the_metering_system_of_another_device(self) -> None:
        with pytest.raises(SystemDiffers, match="AM01"):
            decide(change(sent(), ams_id="AM02"), known_register())

    def test_is_a_device_that_never_comes(self) -> None:
        outcome = register_change.decide(change(sent()), knowing(known_device(device_id="7")), now=NOW)
        assert isinstance(outcome, Park)
        assert (outcome.waits_for, outcome.until) == (device_arrival(SENDER, DEVICE), NOW + timedelta(minutes=30))
        assert outcome.otherwise.type_id == "110(MDUS)"


class TestACompleteList:
    @pytest.mark.parametrize(
        ("complete", "ends_unlisted", "valid_to"),
        [
            pytest.param(True, False, None, id="stay"),
            pytest.param(True, True, DAY, id="end by setting on the first day listed"),
            pytest.param(None, True, None, id="stay when the list is not complete"),
        ],
    )
    def test_lets_those_it_leaves_out(self, complete: bool | None, ends_unlisted: bool, valid_to: date | None) -> None:
        other = known_register(measurement_task_id="2", obis_text="1-0:2.8.0", reading_type="1-0:2.8.0*255")
        told = sent(specification(valid_from=DAY), valid_from=DAY)
        found = becomes(
            change(told, complete=complete), known_register(), other, policy=Policy(ends_unlisted=ends_unlisted)
        )
        assert found == [known_register(), replace(other, valid_to=valid_to)]


class TestAnEmptyList:
    def test_reverses_the_installation(self) -> None:
        earlier = known_register(measurement_task_id="1", valid_to=date(2026, 3, 28))
        current, planned = known_register(valid_from=date(2026, 3, 1)), known_register(valid_from=DAY)
        current = replace(current, valid_to=DAY)
        outcome = decide(change(), earlier, current, planned, assignment("1"), assignment(TASK))
        assert isinstance(outcome, Done)
        assert [change_.key for change_ in outcome.changes if isinstance(change_, Remove)] == [
            current.key,
            planned.key,
            assignment(TASK).key,
        ]
        assert len(outcome.changes) == 3

    @pytest.mark.parametrize(
        ("valid_to", "stays"),
        [
            pytest.param(date(2026, 3, 28), True, id="ended with the day before"),
            pytest.param(date(2026, 3, 29), False, id="ends with that day"),
        ],
    )
    def test_leaves_what_had_ended_on_the_local_day_it_came(self, valid_to: date, stays: bool) -> None:
        # 23:30 UTC on the 27th is the 28th in Berlin.
        came = origin(received_at=datetime(2026, 3, 27, 23, 30, tzinfo=UTC))
        outcome = decide(change(origin=came), known_register(valid_to=valid_to))
        assert isinstance(outcome, Done)
        assert (outcome.changes == ()) is stays

    def test_keeps_what_is_assigned_to_a_number_with_an_earlier_life(self) -> None:
        earlier = known_register(valid_to=date(2026, 2, 1))
        current = known_register(valid_from=date(2026, 3, 1))
        outcome = decide(change(), earlier, current, assignment(TASK))
        assert isinstance(outcome, Done)
        assert [one.kind for one in outcome.changes if isinstance(one, Remove)] == [Register]

    def test_again_changes_nothing(self) -> None:
        assert decide(change()) == Done()

    def test_wakes_who_waits_for_the_number_on_another_device(self) -> None:
        outcome = decide(change(), known_register())
        assert isinstance(outcome, Done)
        assert [one.wakes for one in outcome.changes if isinstance(one, Remove)] == [known_register().wakes]

    def test_is_refused_by_setting(self) -> None:
        with pytest.raises(register_change.NothingListed):
            decide(change(), known_register(), policy=Policy(reverses_installation=False))


class TestTheHeadEnd:
    def test_is_told_of_what_it_has_to_collect_now(self) -> None:
        after = sent(specification(valid_from=DAY), measurement_task_id="9", valid_from=DAY, obis_text="1-0:1.8.1")
        command = only(decide(change(sent(valid_to=DAY), after), known_register()), Command)
        assert (command.kind, command.head_end) == (CommandKind.PROVISION, "city")

    def test_is_told_under_the_key_of_before_when_only_dates_change(self) -> None:
        created = register_create.decide(
            register_request(sent_register()), Known([READING_TYPES], [known_device()]), now=NOW
        )
        closed = decide(change(sent(valid_to=DAY)), known_register())
        assert only(closed, Command).command_key == only(created, Command).command_key

    def test_is_told_nothing_of_a_meter_without_registers(self) -> None:
        gone = date(2026, 3, 1)
        assert of_kind(decide(change(sent(valid_to=gone)), known_register()), Command) == []
        assert of_kind(decide(change(), known_register()), Command) == []

    def test_is_told_that_it_is_a_test(self) -> None:
        told = change(sent(specification(factor=Decimal(2))), origin=origin(test_data=True))
        assert only(decide(told, known_register()), Command).test_data


class TestTheSettings:
    def test_say_the_policy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert Policy.of(load_settings({})) == Policy()
        changed = {"NEW_NUMBERS": "always", "EMPTY_LIST": "is_refused", "UNLISTED": "end"}
        settings = load_settings({f"MDUS_REGISTER_CHANGE__{name}": value for name, value in changed.items()})
        assert Policy.of(settings) == Policy(new_numbers="always", reverses_installation=False, ends_unlisted=True)
