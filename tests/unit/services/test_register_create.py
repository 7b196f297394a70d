"""Register create: all registers of a device or none, dated, each on a channel and under a number of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from mdus.domain.command import Command, CommandKind, OwnerKind
from mdus.domain.end_device import device_arrival
from mdus.domain.register import Register, register_arrival, task_arrival
from mdus.domain.register_policy import (
    ReadingTypeAmbiguous,
    ReadingTypeRow,
    RegisterFault,
    RegisterPolicy,
    UnitUnknown,
)
from mdus.domain.unit import UnitRow, Units
from mdus.messaging.addressed_device import SystemDiffers
from mdus.messaging.known import Known
from mdus.messaging.outcome import BusinessError, Done, Outcome, Park, Result
from mdus.services import register_create
from mdus.services.register_create import TABLES, Request
from mdus.settings import SettingsError, load_settings
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

#: A register known from 2026-03-01 up to and including 2026-05-31.
KNOWN = {"valid_from": date(2026, 3, 1), "valid_to": date(2026, 6, 1)}


def decide(request: Request, *loaded: object) -> Outcome:
    return register_create.decide(request, Known([READING_TYPES], loaded), now=NOW)  # type: ignore[arg-type]


def stored(*, device: Any = None, **facts: Any) -> Register:
    """The register that one sent with these facts becomes."""
    found = only(decide(register_request(sent_register(**facts)), device or known_device()), Register)
    assert isinstance(found, Register)
    return found


def refusal(*loaded: object, **facts: Any) -> str:
    """The type id of the one problem of a register sent with these facts; nothing is saved then."""
    outcome = decide(register_request(sent_register(**facts)), *(loaded or (known_device(),)))
    (problem,) = problems(outcome)
    assert isinstance(outcome, Done)
    assert outcome.changes == ()
    return problem.type_id


class TestADeviceNotThereYet:
    def test_is_waited_for_until_the_deadline_of_the_item(self) -> None:
        outcome = decide(register_request())
        assert isinstance(outcome, Park)
        assert outcome.waits_for == device_arrival(SENDER, DEVICE)
        assert outcome.waits_for in known_device().wakes
        assert outcome.until == NOW + timedelta(minutes=30)
        assert outcome.otherwise.type_id == "110(MDUS)"

    def test_is_not_the_device_of_another_sender_system(self) -> None:
        assert isinstance(decide(register_request(), known_device(sender_system="P12")), Park)


class TestARegister:
    def test_is_stored_as_sap_describes_it(self) -> None:
        register = stored(valid_to=date(2027, 1, 1), time_of_use_code="1", recurrence_code="0", time_zone_code="CET")
        assert register == Register(
            sender_system=SENDER,
            device_id=DEVICE,
            measurement_task_id=TASK,
            valid_from=date(2026, 1, 1),
            valid_to=date(2027, 1, 1),
            reading_type="1-0:1.8.0*255",
            obis_text="1-0:1.8.0",
            division="1",
            unit="KWH",
            total_digits=8,
            fraction_digits=2,
            factor=Decimal(1),
            time_of_use_code="1",
            recurrence_code="0",
            time_zone_code="CET",
        )

    def test_keeps_the_zeros_of_its_number(self) -> None:
        assert stored(measurement_task_id="000").measurement_task_id == "000"

    def test_wakes_what_waits_for_its_number(self) -> None:
        assert stored().wakes == (register_arrival(SENDER, DEVICE, TASK), task_arrival(SENDER, TASK))

    def test_with_the_same_content_again_is_done_already(self) -> None:
        assert decide(register_request(), known_device(), known_register()) == Done()

    def test_listed_twice_is_stored_once(self) -> None:
        outcome = decide(register_request(sent_register(), sent_register()), known_device())
        assert len(of_kind(outcome, Register)) == 1

    def test_with_other_content_from_the_same_date_is_refused(self) -> None:
        assert refusal(known_device(), known_register(), fraction_digits=3) == "118(MDUS)"


class TestTheHeadEnd:
    def test_is_told_of_the_new_registers(self) -> None:
        command = only(decide(register_request(), known_device()), Command)
        assert (command.kind, command.head_end, command.serial_id) == (CommandKind.PROVISION, "city", "0000001234")
        assert (command.owner_kind, command.owner_key) == (OwnerKind.REGISTRY, f"{SENDER}/{DEVICE}")
        assert (command.not_before, command.expires_at) == (NOW, NOW + timedelta(days=30))

    def test_is_told_under_the_same_key_whenever_the_same_is_decided(self) -> None:
        first = only(decide(register_request(), known_device()), Command)
        later = register_create.decide(
            register_request(), Known([READING_TYPES], [known_device()]), now=NOW + timedelta(hours=1)
        )
        assert only(later, Command).command_key == first.command_key

    def test_is_told_under_another_key_when_the_registers_change(self) -> None:
        first = only(decide(register_request(), known_device()), Command)
        more = register_request(sent_register(measurement_task_id="9", obis_text="1-0:2.8.0"))
        second = only(decide(more, known_device(), known_register()), Command)
        assert second.command_key != first.command_key

    def test_is_told_that_it_is_a_test(self) -> None:
        command = only(decide(register_request(origin=origin(test_data=True)), known_device()), Command)
        assert command.test_data


class TestTheMeteringSystem:
    def test_of_another_device_is_refused(self) -> None:
        with pytest.raises(SystemDiffers, match="AM01"):
            decide(register_request(ams_id="AM02"), known_device())


class TestDates:
    @pytest.mark.parametrize(
        ("end", "type_id"),
        [pytest.param(date(2026, 1, 1), "106(MDUS)", id="no day"), pytest.param(date(2026, 1, 2), None, id="one day")],
    )
    def test_hold_at_least_a_day(self, end: date, type_id: str | None) -> None:
        if type_id:
            assert refusal(valid_to=end) == type_id
        else:
            assert stored(valid_to=end).valid_to == end

    @pytest.mark.parametrize(
        ("start", "inside"),
        [
            pytest.param(date(2025, 12, 31), False, id="the day before the device"),
            pytest.param(date(2026, 1, 1), True, id="the first day of the device"),
            pytest.param(date(2026, 12, 31), True, id="the last day of the device"),
            pytest.param(date(2027, 1, 1), False, id="the day after the device"),
        ],
    )
    def test_start_while_the_device_is_valid(self, start: date, inside: bool) -> None:
        device = known_device(valid_to=date(2027, 1, 1))
        if inside:
            assert stored(device=device, valid_from=start).valid_from == start
        else:
            assert refusal(device, valid_from=start) == "112(MDUS)"


class TestSpans:
    @pytest.mark.parametrize(
        ("start", "end", "free"),
        [
            pytest.param(date(2026, 1, 1), date(2026, 3, 1), True, id="ends as it begins"),
            pytest.param(date(2026, 1, 1), date(2026, 3, 2), False, id="ends a day into it"),
            pytest.param(date(2026, 5, 31), None, False, id="begins on its last day"),
            pytest.param(date(2026, 6, 1), None, True, id="begins as it ends"),
            pytest.param(date(2026, 1, 1), None, False, id="around it"),
        ],
    )
    @pytest.mark.parametrize(
        "facts",
        [
            pytest.param({}, id="of the same number"),
            pytest.param({"measurement_task_id": "9"}, id="of the same channel"),
        ],
    )
    def test_that_touch_are_free_and_that_overlap_are_refused(
        self, facts: dict[str, Any], start: date, end: date | None, free: bool
    ) -> None:
        loaded = (known_device(), known_register(**KNOWN))
        if free:
            sent = sent_register(valid_from=start, valid_to=end, **facts)
            assert only(decide(register_request(sent), *loaded), Register).valid_from == start
        else:
            assert refusal(*loaded, valid_from=start, valid_to=end, **facts) == "119(MDUS)"

    def test_of_the_same_number_on_another_device_are_waited_for_while_they_overlap(self) -> None:
        elsewhere = known_register(device_id="7", **KNOWN)
        outcome = decide(register_request(), known_device(), elsewhere)
        assert isinstance(outcome, Park)
        assert outcome.waits_for in elsewhere.wakes
        assert outcome.until == NOW + timedelta(minutes=30)
        assert outcome.otherwise.type_id == "119(MDUS)"
        assert str(outcome.otherwise) == f"[{TASK}] Its number is in use on device 7 from 2026-03-01"

    def test_of_numbers_on_another_device_are_all_named_when_the_wait_is_over(self) -> None:
        elsewhere = [known_register(device_id="7", measurement_task_id=number) for number in ("1", "2")]
        sent = [
            sent_register(measurement_task_id=number, obis_text=f"1-0:1.8.{number}", valid_from=date(2026, 2, 1))
            for number in ("1", "2")
        ]
        late = register_request(*sent, origin=origin(received_at=NOW - timedelta(minutes=30)))
        outcome = decide(late, known_device(), *elsewhere)
        assert [(problem.type_id, problem.note[:3]) for problem in problems(outcome)] == [
            ("119(MDUS)", "[1]"),
            ("119(MDUS)", "[2]"),
        ]

    def test_of_a_number_on_another_device_are_not_waited_for_beside_what_waiting_does_not_mend(self) -> None:
        bad = sent_register(measurement_task_id="9", factor=Decimal(0))
        outcome = decide(register_request(sent_register(), bad), known_device(), known_register(device_id="7"))
        assert [problem.type_id for problem in problems(outcome)] == ["116(MDUS)", "119(MDUS)"]

    def test_of_the_same_number_on_another_device_are_free_after_a_replacement(self) -> None:
        elsewhere = known_register(device_id="7", **KNOWN)
        sent = sent_register(valid_from=date(2026, 6, 1))
        assert only(decide(register_request(sent), known_device(), elsewhere), Register).device_id == DEVICE

    def test_of_the_same_number_in_another_sender_system_do_not_matter(self) -> None:
        elsewhere = known_register(device_id="7", sender_system="P12")
        assert only(decide(register_request(), known_device(), elsewhere), Register)

    def test_of_a_register_and_its_interval_values_share_the_reading_type(self) -> None:
        sent = sent_register(measurement_task_id="9", recurrence_code="15")
        register = only(decide(register_request(sent), known_device(), known_register()), Register)
        assert register.reading_type == known_register().reading_type

    def test_within_one_request_that_overlap_are_refused(self) -> None:
        outcome = decide(register_request(sent_register(), sent_register(measurement_task_id="9")), known_device())
        assert [problem.note[:3] for problem in problems(outcome)] == ["[9]"]

    def test_that_swap_their_numbers_on_a_day_are_free(self) -> None:
        day = date(2026, 6, 1)
        first = {"measurement_task_id": "1", "obis_text": "1-0:1.8.1"}
        second = {"measurement_task_id": "2", "obis_text": "1-0:1.8.2"}
        swapped = ({**first, "obis_text": "1-0:1.8.2"}, {**second, "obis_text": "1-0:1.8.1"})
        sent = [sent_register(**facts, valid_to=day) for facts in (first, second)]
        sent += [sent_register(**facts, valid_from=day) for facts in swapped]
        assert len(of_kind(decide(register_request(*sent), known_device()), Register)) == 4


class TestTheReadingType:
    @pytest.mark.parametrize(
        ("facts", "reading_type"),
        [
            pytest.param({"obis_text": "1-0:1.8.0"}, "1-0:1.8.0*255", id="a short code"),
            pytest.param({"obis_text": "1-0:1.8.0*0"}, "1-0:1.8.0*0", id="a full code"),
            pytest.param({"obis_text": "KWH_TOTAL"}, "1-0:1.8.0*255", id="a text of the table"),
            pytest.param({"obis_text": None}, "1-0:1.8.0*255", id="no text: the division"),
            pytest.param({"obis_text": None, "division": "01"}, "1-0:1.8.0*255", id="no text: the division with zeros"),
            pytest.param(
                {"obis_text": None, "time_of_use_code": "2"}, "1-0:1.8.2*255", id="no text: the row that states most"
            ),
        ],
    )
    def test_is_said_by(self, facts: dict[str, Any], reading_type: str) -> None:
        assert stored(**facts).reading_type == reading_type

    @pytest.mark.parametrize(
        ("facts", "type_id"),
        [
            pytest.param({"obis_text": "KWH_TOTALS"}, "113(MDUS)", id="an unknown text, whatever the division"),
            pytest.param({"obis_text": "1-0:1.8.256"}, "113(MDUS)", id="a code beyond its groups"),
            pytest.param({"obis_text": "ONLY_NORTH"}, "113(MDUS)", id="a text of another head end"),
            pytest.param({"obis_text": None, "division": None}, "113(MDUS)", id="neither text nor division"),
            pytest.param({"obis_text": None, "division": "4"}, "113(MDUS)", id="an unknown division"),
            pytest.param({"obis_text": "TWICE"}, "114(MDUS)", id="two rows that differ"),
        ],
    )
    def test_is_never_guessed_from(self, facts: dict[str, Any], type_id: str) -> None:
        assert refusal(**facts) == type_id

    def test_of_a_head_ends_own_text_serves_its_meters(self) -> None:
        assert stored(device=known_device(head_end="north"), obis_text="ONLY_NORTH").reading_type == "1-0:1.8.1*255"

    def test_of_a_metering_systems_own_row_serves_its_meters(self) -> None:
        rows = [ReadingTypeRow(name="a", text="KWH", reading_type="1-0:1.8.0*255")]
        rows.append(ReadingTypeRow(name="b", text="KWH", ams_id="AM02", reading_type="1-0:2.8.0*255"))
        policy = RegisterPolicy(reading_types=tuple(rows))
        register = known_register(obis_text="KWH")
        found = [policy.reading_type(register, device=known_device(ams_id=ams_id)) for ams_id in ("AM01", "AM02", None)]
        assert found == ["1-0:1.8.0*255", "1-0:2.8.0*255", "1-0:1.8.0*255"]

    def test_is_ambiguous_where_system_and_head_end_say_otherwise(self) -> None:
        rows = [ReadingTypeRow(name="a", text="KWH", ams_id="AM01", reading_type="1-0:1.8.0*255")]
        rows.append(ReadingTypeRow(name="b", text="KWH", head_end="city", reading_type="1-0:2.8.0*255"))
        with pytest.raises(ReadingTypeAmbiguous):
            RegisterPolicy(reading_types=tuple(rows)).reading_type(
                known_register(obis_text="KWH"), device=known_device()
            )

    def test_comes_from_the_installations_table_by_division(self) -> None:
        policy = RegisterPolicy.of(load_settings({}, tables=TABLES))
        sent = [known_register(obis_text=None, division=division) for division in ("1", "2", "3")]
        found = [policy.reading_type(register, device=known_device()) for register in sent]
        assert found == ["1-0:1.8.0*255", "7-0:3.0.0*255", "8-0:1.0.0*255"]

    def test_needs_a_text_or_a_division_in_its_row(self, tmp_path: Any) -> None:
        (tmp_path / "reading_types.toml").write_text('[[reading_types]]\nname = "x"\nreading_type = "1-0:1.8.0*255"\n')
        with pytest.raises(SettingsError, match="a row states a text or a division"):
            load_settings({"MDUS_CONFIG": str(tmp_path)}, tables=TABLES)


class TestCodes:
    @pytest.mark.parametrize("unit", ["KWH", "MWH", "M3", "MTQ", "KVR"])
    def test_of_units_in_the_table_are_taken(self, unit: str) -> None:
        assert stored(unit=unit).unit == unit

    @pytest.mark.parametrize("unit", ["kwh", "XYZ", "KW1"])
    def test_of_other_units_are_refused(self, unit: str) -> None:
        assert refusal(unit=unit) == "121(MDUS)"

    def test_of_units_of_another_division_are_refused(self) -> None:
        row = UnitRow(name="a", code="NM3", quantity="volume", division="2")
        policy = replace(READING_TYPES, units=Units(rows=(row,)))
        gas = known_register(unit="NM3", division="02")
        assert policy.placed(gas, device=known_device()).unit == "NM3"
        with pytest.raises(UnitUnknown, match="NM3"):
            policy.placed(replace(gas, division="1"), device=known_device())

    @pytest.mark.parametrize("code", [None, "0", "0000", "15", "0015", "1440"])
    def test_of_recurrences_in_the_table_are_taken(self, code: str | None) -> None:
        assert stored(recurrence_code=code).recurrence_code == code

    @pytest.mark.parametrize("code", ["1", "M", "99"])
    def test_of_other_recurrences_are_refused(self, code: str) -> None:
        assert refusal(recurrence_code=code) == "122(MDUS)"


class TestPrecision:
    @pytest.mark.parametrize(
        ("total", "fraction", "fits"),
        [
            pytest.param(8, 8, True, id="decimals only"),
            pytest.param(8, 9, False, id="more decimals than digits"),
            pytest.param(1, 0, True, id="one digit"),
            pytest.param(0, 0, False, id="no digit"),
            pytest.param(None, 3, True, id="digits not told"),
        ],
    )
    def test_has_digits_for_its_decimals(self, total: int | None, fraction: int, fits: bool) -> None:
        if fits:
            register = stored(total_digits=total, fraction_digits=fraction)
            assert (register.total_digits, register.fraction_digits) == (total, fraction)
        else:
            assert refusal(total_digits=total, fraction_digits=fraction) == "115(MDUS)"

    @pytest.mark.parametrize("factor", [Decimal(0), Decimal(-1)], ids=str)
    def test_refuses_a_factor_not_above_zero(self, factor: Decimal) -> None:
        assert refusal(factor=factor) == "116(MDUS)"

    @pytest.mark.parametrize("factor", [Decimal("0.00001"), None], ids=str)
    def test_takes_a_factor_above_zero_or_none(self, factor: Decimal | None) -> None:
        assert stored(factor=factor).factor == factor

    def test_refuses_an_unknown_time_zone_code(self) -> None:
        assert refusal(time_zone_code="MOON") == "117(MDUS)"


class TestOneRegisterAtFault:
    def test_keeps_the_others_from_being_saved_and_is_named(self) -> None:
        good, bad = sent_register(), sent_register(measurement_task_id="0009", factor=Decimal(0))
        outcome = decide(register_request(good, bad), known_device())
        assert [problem.note for problem in problems(outcome)] == ["[0009] Its factor is not above zero."]
        assert isinstance(outcome, Done)
        assert outcome.changes == ()

    def test_is_one_log_line_each_of_at_most_200_characters(self) -> None:
        bad = [sent_register(measurement_task_id=str(n), time_zone_code="M" * 300) for n in range(3)]
        outcome = decide(register_request(*bad), known_device())
        log = register_create.confirm(register_request(*bad), Result(problems=problems(outcome))).log
        assert log.result_code == "5"
        assert [len(item.note) for item in log.items] == [200, 200, 200]


def test_every_error_has_a_type_id_of_its_own() -> None:
    errors = [kind for kind in vars(register_create).values() if isinstance(kind, type)]
    ids = [kind.type_id for kind in errors if issubclass(kind, BusinessError) and kind is not BusinessError]
    ids += [kind.type_id for kind in RegisterFault.__subclasses__()]
    assert len(ids) == len(set(ids)) == 11


def test_a_row_of_the_table_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ReadingTypeRow(name="x", text="X", reading_type="Y").name = "y"  # type: ignore[misc]


def test_the_deadline_is_the_items_own() -> None:
    early = origin(received_at=datetime(2026, 3, 1, tzinfo=UTC))
    outcome = decide(register_request(origin=early))
    assert isinstance(outcome, Park)
    assert outcome.until == datetime(2026, 3, 1, 0, 30, tzinfo=UTC)
