"""The tables of config/ as a whole: what no row shows by itself is found at the start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mdus.bootstrap.composition import examine
from mdus.bootstrap.discovery import discover
from mdus.bootstrap.tables import SHARED_TABLES, table_problems
from mdus.domain.command import CommandKind
from mdus.settings import Problem, load_settings

HEAD_ENDS = """
[[head_ends]]
name = "city"
kind = "rest"
url = "http://127.0.0.1:9"
ams_ids = ["AM01"]

[[head_ends]]
name = "village"
kind = "reading_only"
url = "http://127.0.0.1:9"
ams_ids = ["AM02"]
"""


def problems(folder: Path, rows: str, *, head_ends: str = HEAD_ENDS) -> list[Problem]:
    """What is wrong with these rows, beside a head end that does all but show texts, and one that can only be read."""
    (folder / "head_ends.toml").write_text(head_ends)
    (folder / "rows.toml").write_text(rows)
    found = discover()
    rest = replace(found.kinds["rest"], capabilities=found.kinds["rest"].capabilities - {CommandKind.SHOW_TEXT})
    reading = frozenset({CommandKind.READ_REGISTERS, CommandKind.READ_ON_DEMAND})
    kinds = {"rest": rest, "reading_only": replace(rest, name="reading_only", capabilities=reading, tells=frozenset())}
    settings = load_settings({"MDUS_CONFIG": str(folder)}, tables=SHARED_TABLES)
    return list(table_problems(settings, kinds=kinds, services=found.services))


def row(name: str = "a", **columns: str | bool) -> str:
    said = (
        f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for key, value in columns.items()
    )
    return "\n".join(["[[capabilities]]", f"name = '{name}'", *said, ""])


class TestMapping:
    CHANNEL = "[[channels]]\nname = 'a'\nobis = '1-0:1.8.0'\nkind = 'register'\nunit = 'kWh'\n{column} = '{value}'\n"
    EVENT = "[[field_events]]\nname = 'a'\nevent = '3.1.0.1'\n{column} = '{value}'\n"

    @pytest.mark.parametrize(("table", "text"), [("channels", CHANNEL), ("field_events", EVENT)])
    @pytest.mark.parametrize(("column", "value"), [("head_end", "city"), ("vendor", "northern")])
    def test_may_be_for_those_that_are_there(
        self, tmp_path: Path, table: str, text: str, column: str, value: str
    ) -> None:
        head_ends = HEAD_ENDS + "vendor = 'northern'\n"
        assert problems(tmp_path, text.format(column=column, value=value), head_ends=head_ends) == []
        [problem] = problems(tmp_path, text.format(column=column, value="nowhere"), head_ends=head_ends)
        assert problem.where == f"{table}.a.{column}"
        assert value in problem.mend


class TestUnitsOfChannels:
    WH = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.0.72.0"
    KWH = "0.0.0.1.1.1.12.0.0.0.0.0.0.0.0.3.72.0"

    def row(self, mrid: str, unit: str, more: str = "") -> str:
        of = "head_end = 'city'\nobis = '1-0:1.8.0'\nkind = 'register'"
        return f"[[channels]]\nname = 'a'\n{of}\nmrid = '{mrid}'\nunit = '{unit}'\n{more}"

    @pytest.mark.parametrize(
        ("mrid", "unit", "more"),
        [
            pytest.param(KWH, "kWh", "", id="the same"),
            pytest.param(KWH, "KWH", "", id="as SAP writes it"),
            pytest.param(WH, "Wh", "", id="without a prefix"),
            pytest.param(WH, "", "", id="whatever the register is in"),
            pytest.param(WH, "kWh", f"mrids = [{{ mrid = '{WH}', kept_as = 'kWh' }}]\n", id="said to be told so"),
            pytest.param(KWH.replace(".72.0", ".167.0"), "m3", "", id="of no unit we know"),
        ],
    )
    def test_that_are_those_of_their_reading_types_pass(self, tmp_path: Path, mrid: str, unit: str, more: str) -> None:
        assert problems(tmp_path, self.row(mrid, unit, more)) == []

    @pytest.mark.parametrize(
        ("mrid", "unit", "told"),
        [
            pytest.param(WH, "kWh", "Wh", id="a thousand times too much"),
            pytest.param(KWH, "Wh", "kWh", id="a thousandth"),
            pytest.param(KWH, "m3", "kWh", id="another quantity"),
        ],
    )
    def test_that_are_others_are_named(self, tmp_path: Path, mrid: str, unit: str, told: str) -> None:
        [problem] = problems(tmp_path, self.row(mrid, unit))
        assert problem.where == "channels.a.unit"
        assert f"are in {told}, and the channel is kept in {unit}" in problem.what


SENDER = "[[senders]]\nname = '{0}'\nuser = '{0}'\npassword = 'p'\nsystems = ['{0}']\ndefault_system = '{0}'\n"


class TestInterfaces:
    CREATE = "UtilitiesDeviceERPSmartMeterCreateRequest_Out"
    REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredNotification_In"

    def row(self, name: str = "a", **columns: str) -> str:
        said = {"interface": self.REGISTERED, "url": "https://sap", **columns}
        return f"[[interfaces]]\nname = '{name}'\n" + "".join(f"{key} = '{value}'\n" for key, value in said.items())

    @pytest.mark.parametrize(
        ("senders", "columns"),
        [
            pytest.param("", {}, id="without senders"),
            pytest.param(SENDER.format("p11"), {}, id="of the only sender"),
            pytest.param(SENDER.format("p11") + SENDER.format("p12"), {"sender": "p12"}, id="of one of several"),
        ],
    )
    def test_that_are_called_pass(self, tmp_path: Path, senders: str, columns: dict[str, str]) -> None:
        assert problems(tmp_path, senders + self.row(**columns)) == []

    @pytest.mark.parametrize(
        ("columns", "what", "mend"),
        [
            pytest.param(
                {"interface": REGISTERED[:-1]}, "calls no interface", f"did you mean {REGISTERED}?", id="misspelt"
            ),
            pytest.param(
                {"interface": "UtilitiesDeviceERPSmartMeterCreateRequest_Out"},
                "calls no interface",
                "",
                id="SAP calls it",
            ),
            pytest.param({"sender": "p13"}, "there is no sender 'p13'", "p11, p12", id="unknown sender"),
            pytest.param({}, "every sender's, and there are several", "give it a sender", id="of several senders"),
        ],
    )
    def test_that_are_not_called_so_are_named(
        self, tmp_path: Path, columns: dict[str, str], what: str, mend: str
    ) -> None:
        row = self.row(**{"sender": "p11", **columns} if columns else {})
        [problem] = problems(tmp_path, SENDER.format("p11") + SENDER.format("p12") + row)
        assert what in problem.what
        assert mend in problem.mend

    def test_with_two_addresses_are_named(self, tmp_path: Path) -> None:
        [problem] = problems(tmp_path, self.row("a") + self.row("b"))
        assert problem.where == "interfaces.a, interfaces.b"


class TestLogTypes:
    @pytest.mark.parametrize("number", ["110", "313", "000", "002"])
    def test_of_what_is_said_pass(self, tmp_path: Path, number: str) -> None:
        assert problems(tmp_path, f"[[log_types]]\nname = 'a'\nnumber = '{number}'\ntype_id = '017(ZAMI)'\n") == []

    def test_of_what_is_never_said_are_named(self, tmp_path: Path) -> None:
        [problem] = problems(tmp_path, "[[log_types]]\nname = 'a'\nnumber = '999'\ntype_id = 'x'\n")
        assert problem.what == "nothing is said under the number 999"
        assert problem.where == "log_types.a.number"

    def test_with_one_number_twice_are_named(self, tmp_path: Path) -> None:
        rows = "".join(f"[[log_types]]\nname = '{name}'\nnumber = '110'\n" for name in "ab")
        [problem] = problems(tmp_path, rows)
        assert problem.where == "log_types.a, log_types.b"


class TestAcceptedTypes:
    RESULT = "MeterReadingDocumentERPResultCreateRequest"

    @pytest.mark.parametrize("service", ["", f"service = '{RESULT}'\n"], ids=["any", "one"])
    def test_of_what_sap_answers_pass(self, tmp_path: Path, service: str) -> None:
        assert problems(tmp_path, f"[[accepted_types]]\nname = 'a'\ntype_id = '073(EL)'\n{service}") == []

    @pytest.mark.parametrize(
        "service",
        ["MeterReadingDocumentERPResult", "UtilitiesDeviceERPSmartMeterCreateRequest"],
        ids=["none", "asks us"],
    )
    def test_of_what_sap_does_not_answer_are_named(self, tmp_path: Path, service: str) -> None:
        rows = f"[[accepted_types]]\nname = 'a'\ntype_id = '073(EL)'\nservice = '{service}'\n"
        [problem] = problems(tmp_path, rows)
        assert problem.where == "accepted_types.a.service"
        assert self.RESULT in problem.mend


class TestReadingTypes:
    def row(self, column: str, value: str) -> str:
        return f"[[reading_types]]\nname = 'a'\ntext = 'KWH'\nreading_type = 'x'\n{column} = '{value}'\n"

    @pytest.mark.parametrize(("column", "value"), [("ams_id", "AM02"), ("head_end", "village")])
    def test_of_what_is_configured_pass(self, tmp_path: Path, column: str, value: str) -> None:
        assert problems(tmp_path, self.row(column, value)) == []

    @pytest.mark.parametrize(
        ("column", "value", "known"), [("ams_id", "AM03", "AM01, AM02"), ("head_end", "hamlet", "city, village")]
    )
    def test_of_what_is_not_are_named(self, tmp_path: Path, column: str, value: str, known: str) -> None:
        [problem] = problems(tmp_path, self.row(column, value))
        assert problem.where == f"reading_types.a.{column}"
        assert problem.mend.endswith(known)


class TestUnits:
    @pytest.mark.parametrize(
        ("rows", "what", "where"),
        [
            pytest.param(
                "[[units]]\nname = 'mine'\ncode = 'KWX'\ntexts = ['KWH']\nquantity = 'q'\n",
                "'kWh' is the name of two units",
                "units.kilowatt_hour, units.mine",
                id="a text of another unit",
            ),
            pytest.param(
                "[[units]]\nname = 'mine'\ncode = 'KWH'\nquantity = 'q'\n",
                "the unit code KWH has two meanings",
                "units.kilowatt_hour, units.mine",
                id="a code of another unit",
            ),
        ],
    )
    def test_that_mean_two_things_are_named(self, tmp_path: Path, rows: str, what: str, where: str) -> None:
        [problem] = problems(tmp_path, rows)
        assert (problem.what, problem.where) == (what, where)

    def test_that_move_a_text_to_another_code_pass(self, tmp_path: Path) -> None:
        rows = "[[units]]\nname = 'cubic_metre'\ntexts = []\n[[units]]\nname = 'cubic_metre_iso'\ntexts = ['m3']\n"
        assert problems(tmp_path, rows) == []


class TestRecurrences:
    def test_with_a_code_of_another_are_named(self, tmp_path: Path) -> None:
        [problem] = problems(tmp_path, "[[recurrences]]\nname = 'mine'\ncode = '015'\nminutes = 60\n")
        assert problem.what == "the recurrence code 15 stands in two rows"
        assert problem.where == "recurrences.quarter_hour, recurrences.mine"


class TestCapabilities:
    @pytest.mark.parametrize(
        "rows",
        [
            pytest.param("", id="none"),
            pytest.param(row(ams_id="AM01", disconnect=True, events=True), id="what the kind offers"),
            pytest.param(row(ams_id="AM02", disconnect=False), id="denied what is not offered"),
            pytest.param(row(disconnect=True), id="what one of all systems offers"),
            pytest.param(row(ams_id="AM*", disconnect=True), id="what one of several systems offers"),
        ],
    )
    def test_that_fit_pass(self, tmp_path: Path, rows: str) -> None:
        assert problems(tmp_path, rows) == []

    def test_pass_where_no_head_end_is_configured_yet(self, tmp_path: Path) -> None:
        assert problems(tmp_path, row(text=True), head_ends="") == []

    @pytest.mark.parametrize("ams_id", ["AM03", "XY*"])
    def test_of_a_system_nobody_serves_are_named(self, tmp_path: Path, ams_id: str) -> None:
        [problem] = problems(tmp_path, row(ams_id=ams_id, disconnect=False))
        assert problem.what == f"no head end stands for the advanced metering system {ams_id!r}"
        assert problem.where == "capabilities.a.ams_id"
        assert problem.mend.endswith("AM01, AM02")

    @pytest.mark.parametrize(
        ("rows", "where", "names"),
        [
            pytest.param(row(ams_id="AM02", reconnect=True), "capabilities.a.reconnect", "village", id="one system"),
            pytest.param(row(text=True), "capabilities.a.text", "city, village", id="all systems"),
        ],
    )
    def test_that_promise_what_no_head_end_offers_are_named(
        self, tmp_path: Path, rows: str, where: str, names: str
    ) -> None:
        [problem] = problems(tmp_path, rows)
        assert problem.where == where
        assert f"the head ends {names} do not offer it" in problem.what

    def test_that_disagree_are_named(self, tmp_path: Path) -> None:
        rows = row("a", material_id="LX*", events=True) + row("b", material_id="LX*", events=False)
        [problem] = problems(tmp_path, rows)
        assert problem.what == "two rows for the same devices disagree on events"
        assert problem.where == "capabilities.a, capabilities.b"

    def test_are_held_against_the_real_kinds_at_a_start(self, tmp_path: Path) -> None:
        city = HEAD_ENDS.partition('[[head_ends]]\nname = "village"')[0]
        files = '[[head_ends]]\nname = "village"\nkind = "file_drop"\nams_ids = ["AM02"]\n'
        rows = row("a", ams_id="AM01", text=True) + row("b", ams_id="AM02", text=True)
        (tmp_path / "a.toml").write_text(city + files + rows)
        found = examine({"MDUS_CONFIG": str(tmp_path)}).problems
        assert [problem.where for problem in found] == ["capabilities.b.text"]

    @pytest.mark.parametrize(
        ("options", "problems"),
        [
            pytest.param("request_folder = '/srv/ask'", [], id="that takes requests"),
            pytest.param("folder = '/srv/drop'", ["capabilities.a.on_demand_reading"], id="that takes none"),
            pytest.param("taken_folder = '/srv/ask'", ["head_ends.files.options"], id="whose options do not fit"),
        ],
    )
    def test_are_held_against_the_row_of_a_head_end(self, tmp_path: Path, options: str, problems: list[str]) -> None:
        files = '[[head_ends]]\nname = "files"\nkind = "file_drop"\nams_ids = ["AM02"]\n'
        rows = row(ams_id="AM02", on_demand_reading=True)
        (tmp_path / "a.toml").write_text(f"{files}[head_ends.options]\n{options}\n{rows}")
        assert [each.where for each in examine({"MDUS_CONFIG": str(tmp_path)}).problems] == problems

    def test_with_a_column_that_is_none_are_named_with_the_nearest(self, tmp_path: Path) -> None:
        (tmp_path / "a.toml").write_text(row(disconect=False))
        [unknown] = examine({"MDUS_CONFIG": str(tmp_path)}).problems
        assert unknown.what == "capabilities.a.disconect is not a setting"
        assert unknown.mend == "did you mean disconnect?"


class TestBilling:
    CALENDAR = "[[billing_calendars]]\nname = 'a'\ncalendar = 'a'\notherwise = 'x'\n"
    SET = (
        "[[determinant_sets]]\nname = 'a'\nset = 'a'\nreading_type = 'x'\ndeterminants = ['total', 'time_of_use']\n"
        "calendar = 'two_tariff'\nunit = 'KWH'\n"
    )

    @pytest.mark.parametrize("rows", [CALENDAR, CALENDAR + "holidays = 'germany'\n", SET, SET + "demand_unit = 'KW'\n"])
    def test_tables_that_fit_pass(self, tmp_path: Path, rows: str) -> None:
        assert problems(tmp_path, rows) == []

    @pytest.mark.parametrize(
        ("rows", "where", "what"),
        [
            pytest.param(
                CALENDAR + "holidays = 'france'\n",
                "billing_calendars.a.holidays",
                "no holiday stands in the list 'france'",
                id="holidays",
            ),
            pytest.param(
                CALENDAR.replace("calendar = 'a'", "calendar = 'two_tariff'"),
                "billing_calendars.two_tariff, billing_calendars.a",
                "the calendar two_tariff begins twice on the same day",
                id="calendar twice",
            ),
            pytest.param(
                SET.replace("two_tariff", "three"),
                "determinant_sets.a.calendar",
                "there is no calendar 'three'",
                id="calendar",
            ),
            pytest.param(SET.replace("KWH", "KWX"), "determinant_sets.a.unit", "'KWX' is no unit", id="unit"),
            pytest.param(
                SET.replace("set = 'a'", "set = 'standard'").replace("'x'", "'1-0:2.29.0*255'"),
                "determinant_sets.standard_export, determinant_sets.a",
                "the set standard says twice what is determined of 1-0:2.29.0*255",
                id="set twice",
            ),
            pytest.param(
                "[billing]\ndeterminant_set = 'gold'\n",
                "billing.determinant_set",
                "there is no determinant set 'gold'",
                id="usual set",
            ),
        ],
    )
    def test_tables_that_do_not_are_named(self, tmp_path: Path, rows: str, where: str, what: str) -> None:
        [problem] = problems(tmp_path, rows)
        assert (problem.where, problem.what) == (where, what)


class TestNeighbours:
    def test_of_one_meter_are_no_two_on_one_day(self, tmp_path: Path) -> None:
        rows = "".join(f'[[check_meters]]\nname = "{name}"\nmain = "1"\ncheck = "{name}"\n' for name in "ab")
        (problem,) = problems(tmp_path, rows)
        assert problem.what == "the meter 1 has two check meters for the same values"
        assert problem.where == "check_meters.a, check_meters.b"
        assert problems(tmp_path, rows.replace('check = "a"\n', 'check = "a"\nvalid_to = 2026-01-01\n')) != []
        dated = rows.replace('check = "a"\n', 'check = "a"\nvalid_to = 2026-01-01\n')
        assert problems(tmp_path, dated.replace('check = "b"\n', 'check = "b"\nvalid_from = 2026-01-01\n')) == []

    @pytest.mark.parametrize(("name", "is_wrong"), [("germany", False), ("", False), ("german", True)])
    def test_holidays_are_a_list_of_billing(self, tmp_path: Path, name: str, is_wrong: bool) -> None:
        found = problems(tmp_path, f'[vee]\nholidays = "{name}"\n')
        assert [problem.where for problem in found] == (["vee.holidays"] if is_wrong else [])

    @pytest.mark.parametrize(
        ("names", "is_wrong"), [("['germany']", False), ("[]", False), ("['germany', '2026-12-25']", True)]
    )
    def test_free_days_are_lists_of_billing(self, tmp_path: Path, names: str, is_wrong: bool) -> None:
        found = problems(tmp_path, f"[exceptions]\nholidays = {names}\n")
        assert [problem.where for problem in found] == (["exceptions.holidays"] if is_wrong else [])

    @pytest.mark.parametrize(
        ("named", "ours", "wrong"),
        [
            pytest.param({"two_tariff": "germany"}, "germany", None, id="the one"),
            pytest.param({"two_tariff": "austria", "b": "germany"}, "germany", None, id="one of two"),
            pytest.param({"two_tariff": "austria"}, "", None, id="none is asked for"),
            pytest.param({"two_tariff": "austria"}, "germany", "austria", id="another"),
            pytest.param({"b": "germany"}, "austria", "germany", id="of no calendar"),
        ],
    )
    def test_holidays_are_those_of_some_calendar(
        self, tmp_path: Path, named: dict[str, str], ours: str, wrong: str | None
    ) -> None:
        rows = [f"[vee]\nholidays = '{ours}'\n"]
        rows += ["[[billing_holidays]]\nname = 'a'\nlists = ['austria']\nmonth_day = '10-26'\n"]
        rows += [
            f"[[billing_calendars]]\nname = '{name}'\ncalendar = '{name}'\notherwise = 'low'\nholidays = '{holidays}'\n"
            for name, holidays in named.items()
        ]
        found = problems(tmp_path, "".join(rows))
        assert [(problem.where, problem.mend) for problem in found] == (
            [] if wrong is None else [("vee.holidays", f"name a list that a row of billing_calendars names: {wrong}")]
        )

    @pytest.mark.parametrize(("least", "is_wrong"), [(20, False), (21, True)])
    def test_no_more_alike_are_asked_for_than_looked_for(self, tmp_path: Path, least: int, is_wrong: bool) -> None:
        found = problems(tmp_path, f"[vee]\nsimilar_least = {least}\n")
        assert [problem.where for problem in found] == (["vee.similar_least"] if is_wrong else [])
