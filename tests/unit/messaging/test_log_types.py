"""TypeIDs as an installation's SAP is to read them, and those by which it accepts."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from mdus.contracts.log import Log, LogItem, SeverityCode
from mdus.messaging.log_types import AcceptedTypeRow, LogTypeRow, LogTypes, accepted_types
from mdus.messaging.outcome import Problem, Result
from mdus.settings import SettingsError, data_folder, load_settings

UNKNOWN = Problem(type_id="110(MDUS)", note="The device is not known")


@dataclass(frozen=True, kw_only=True, slots=True)
class Richer(Result):
    """A result with more to tell."""

    devices: tuple[str, ...] = ()


def told(result: Result, **variables: str) -> list[tuple[str, str | None]]:
    log_types = LogTypes.of(load_settings({f"MDUS_{name}": value for name, value in variables.items()}))
    return [(problem.type_id, problem.category) for problem in log_types.told(result).problems]


class TestOurs:
    def test_stay_as_they_are_where_nothing_is_set(self) -> None:
        assert told(Result(problems=(UNKNOWN,))) == [("110(MDUS)", "PRE")]

    def test_get_the_message_class_of_the_installation(self) -> None:
        assert told(Result(problems=(UNKNOWN,)), CIS__MESSAGE_CLASS="/SE1/AMI") == [("110(/SE1/AMI)", "PRE")]

    def test_are_replaced_by_their_row(self) -> None:
        row = {"LOG_TYPES__A__NUMBER": "110", "LOG_TYPES__A__TYPE_ID": "017(ZAMI)", "LOG_TYPES__A__CATEGORY": "PRE.IDE"}
        other = Problem(type_id="111(MDUS)", note="another")
        assert told(Result(problems=(UNKNOWN, other)), **row) == [("017(ZAMI)", "PRE.IDE"), ("111(MDUS)", "PRE")]

    def test_may_have_a_category_of_their_own_only(self) -> None:
        row = {"LOG_TYPES__A__NUMBER": "110", "LOG_TYPES__A__CATEGORY": "PRE.IDE"}
        assert told(Result(problems=(UNKNOWN,)), **row, CIS__MESSAGE_CLASS="Z1") == [("110(Z1)", "PRE.IDE")]

    def test_of_others_stay(self) -> None:
        foreign = Problem(type_id="073(EL)", note="of SAP")
        assert told(Result(problems=(foreign,)), CIS__MESSAGE_CLASS="Z1") == [("073(EL)", "PRE")]

    def test_change_nothing_else_of_a_result(self) -> None:
        remark = Problem(type_id="000(MDUS)", note="done", severity=SeverityCode.INFORMATION, category=None)
        result = Richer(problems=(remark,), devices=("42",))
        changed = LogTypes(message_class="Z1").told(result)
        assert isinstance(changed, Richer)
        assert (changed.devices, changed.problems[0].note, changed.problems[0].type_id) == (("42",), "done", "000(Z1)")
        assert not changed.failed
        assert changed.log.items[0].category is None

    def test_are_not_looked_for_where_nothing_is_wrong(self) -> None:
        result = Result()
        assert LogTypes().told(result) is result


class TestALog:
    def test_made_without_a_result_is_told_likewise(self) -> None:
        log_types = LogTypes(message_class="Z1", rows={"110": LogTypeRow(name="a", number="110", category="PRE.IDE")})
        assert [item.type_id for item in log_types.log(Log.success(note="nothing there")).items] == ["000(Z1)"]
        [item] = log_types.log(Result(problems=(UNKNOWN,)).log).items
        assert (item.type_id, item.category) == ("110(Z1)", "PRE.IDE")

    def test_without_remarks_stays(self) -> None:
        assert LogTypes(message_class="Z1").log(Log.success()) == Log.success()

    def test_with_a_remark_without_type_keeps_it(self) -> None:
        log = Log.failure([LogItem(note="untyped")])
        assert LogTypes(message_class="Z1").log(log) == log


class TestTheMessageClass:
    @pytest.mark.parametrize("name", ["Z", "/SE1/AMI", "A" * 20])
    def test_is_a_name_of_sap(self, name: str) -> None:
        assert load_settings({"MDUS_CIS__MESSAGE_CLASS": name}).cis.message_class == name

    @pytest.mark.parametrize("name", ["", "A" * 21, "Z(1)", "Z 1"])
    def test_is_refused_otherwise(self, name: str) -> None:
        with pytest.raises(SettingsError, match="message_class"):
            load_settings({"MDUS_CIS__MESSAGE_CLASS": name})


class TestRows:
    @pytest.mark.parametrize(
        "columns", [{"number": "11"}, {"number": "110(MDUS)"}, {"type_id": "x" * 41}, {"category": "x" * 16}]
    )
    def test_that_fit_into_no_log_are_refused(self, columns: dict[str, str]) -> None:
        with pytest.raises(ValidationError):
            LogTypeRow(**{"name": "a", "number": "110", **columns})

    def test_are_explained_column_by_column(self) -> None:
        text = (data_folder("config") / "log_types.toml").read_text(encoding="utf-8")
        for shape in (LogTypeRow, AcceptedTypeRow):
            assert [name for name in shape.model_fields if f"#   {name} = " not in text] == []


class TestAccepted:
    def test_are_none_by_default(self) -> None:
        assert accepted_types(load_settings({}), service="any") == ()

    def test_are_those_of_the_service_and_of_all(self) -> None:
        rows = {
            "A__TYPE_ID": "073(EL)",
            "B__TYPE_ID": "12",
            "B__SERVICE": "one",
            "C__TYPE_ID": "13",
            "C__SERVICE": "two",
        }
        settings = load_settings({f"MDUS_ACCEPTED_TYPES__{name}": value for name, value in rows.items()})
        assert accepted_types(settings, service="one") == ("073(EL)", "12")
        assert accepted_types(settings, service="two") == ("073(EL)", "13")
