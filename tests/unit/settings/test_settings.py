"""Settings: three layers, the later wins, each value knows its origin, and every problem is told at once."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trustme
from pydantic import BaseModel

from mdus.settings import HeadEnd, Problem, Section, Sender, Settings, SettingsError, data_folder, load_settings
from mdus.settings import loading as loading_module

Write = Callable[[str, str], Mapping[str, str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file into a folder of the user's own and return the environment that names the folder."""

    def write_file(name: str, content: str) -> Mapping[str, str]:
        (tmp_path / name).write_text(content, encoding="utf-8")
        return {"MDUS_CONFIG": str(tmp_path)}

    return write_file


@pytest.fixture
def authorities(tmp_path: Path) -> Path:
    """A file with a certificate authority."""
    file = tmp_path / "authorities.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    return file


def problems(environ: Mapping[str, str], **tables: type[BaseModel]) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ, tables=tables)
    return caught.value.problems


def only_problem(environ: Mapping[str, str], **tables: type[BaseModel]) -> Problem:
    (problem,) = problems(environ, **tables)
    return problem


def origin(settings: Settings, key: str) -> str:
    return {shown.key: shown.origin for shown in settings.shown()}[key]


HEAD_END = """
[[head_ends]]
name = "north-1"
kind = "rest"
url = "http://headend"
"""


class Offset:
    """Made of the settings, for tests."""

    def __init__(self, zone: str) -> None:
        self.zone = zone

    @classmethod
    def of(cls, settings: Settings) -> Offset:
        return cls(settings.time_zone)


class TestMade:
    def test_is_made_once(self) -> None:
        settings = load_settings({})
        assert settings.made(Offset) is settings.made(Offset)

    def test_of_a_copy_is_the_copys_own(self) -> None:
        settings = load_settings({})
        first = settings.made(Offset)
        copied = settings.model_copy(update={"time_zone": "Asia/Tokyo"})
        assert copied.made(Offset).zone == "Asia/Tokyo"
        assert settings.made(Offset) is first
        assert first.zone == settings.time_zone
        assert copied.made(Offset) is copied.made(Offset)


class TestDefaults:
    def test_load_without_any_setting_of_the_user(self) -> None:
        settings = load_settings({})
        assert settings.http.host == "127.0.0.1"
        assert settings.http.answer_status == 202
        assert settings.senders == ()

    def test_every_setting_of_a_section_is_explained_in_the_file(self) -> None:
        text = (data_folder("config") / "mdus.toml").read_text(encoding="utf-8")
        section = None
        said: set[tuple[str | None, str]] = set()
        for line in text.splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif " = " in line:
                said.add((section, line.removeprefix("# ").split(" = ")[0]))
        for name, info in Settings.model_fields.items():
            if isinstance(info.annotation, type) and issubclass(info.annotation, Section):
                for setting in info.annotation.model_fields:
                    assert (name, setting) in said, f"{name}.{setting} is missing in config/mdus.toml"

    @pytest.mark.parametrize(("file", "row"), [("senders", Sender), ("head_ends", HeadEnd)], ids=["sender", "head_end"])
    def test_every_column_of_a_row_is_explained_in_its_file(self, file: str, row: type[Section]) -> None:
        text = (data_folder("config") / f"{file}.toml").read_text(encoding="utf-8")
        for column in row.model_fields:
            assert f"#   {column} = " in text or f"#   {column}_file = " in text, f"{column} is missing"

    def test_the_row_in_the_comment_of_a_file_is_valid(self, write: Write, authorities: Path) -> None:
        for file in ("senders", "head_ends"):
            comment = (data_folder("config") / f"{file}.toml").read_text(encoding="utf-8").splitlines()
            row = "\n".join(line.removeprefix("#   ") for line in comment if line.startswith("#   "))
            row = row.replace("password_file", "password").replace("/etc/mdus/north_ca.pem", str(authorities))
            environ = write(f"{file}.toml", row)
            assert tomllib.loads(row)
        settings = load_settings(environ)
        assert [sender.name for sender in settings.senders] == ["prod"]
        assert [head_end.ams_ids for head_end in settings.head_ends] == [("AEML",)]


class TestCertificateAuthorities:
    @pytest.mark.parametrize(
        "row", ["[cis]\n", '[[head_ends]]\nname = "north"\nkind = "rest"\n'], ids=["cis", "head_end"]
    )
    def test_are_in_a_file_in_pem(self, write: Write, tmp_path: Path, authorities: Path, row: str) -> None:
        file = tmp_path / "ca.pem"
        environ = write("any.toml", f'{row}ca_file = "{file}"\n')
        with pytest.raises(SettingsError, match="ca_file"):
            load_settings(environ)
        file.write_text("not a certificate\n")
        with pytest.raises(SettingsError, match="holds no certificate authorities in PEM"):
            load_settings(environ)
        file.write_bytes(authorities.read_bytes())
        settings = load_settings(environ)
        assert file in (settings.cis.ca_file, *(head_end.ca_file for head_end in settings.head_ends))


class TestLayers:
    def test_a_file_of_the_user_replaces_one_setting_and_leaves_its_section(self, write: Write) -> None:
        settings = load_settings(write("any.toml", "[http]\nport = 9000\n"))
        assert settings.http.port == 9000
        assert settings.http.host == "127.0.0.1"

    def test_the_environment_changes_an_option_of_a_kind_of_head_end(self, write: Write) -> None:
        row = '[[head_ends]]\nname = "north"\nkind = "mqtt"\noptions = { version = "5", client_id = "a" }\n'
        environ = {**write("head_ends.toml", row), "MDUS_HEAD_ENDS__NORTH__OPTIONS__VERSION": "3.1.1"}
        assert load_settings(environ).head_ends[0].options == {"version": "3.1.1", "client_id": "a"}

    def test_the_environment_wins_over_a_file(self, write: Write) -> None:
        environ = {**write("any.toml", "[http]\nport = 9000\n"), "MDUS_HTTP__PORT": "9001"}
        settings = load_settings(environ)
        assert settings.http.port == 9001
        assert origin(settings, "http.port") == "MDUS_HTTP__PORT"

    def test_each_value_knows_the_file_it_is_from(self, write: Write, tmp_path: Path) -> None:
        settings = load_settings(write("any.toml", "[http]\nport = 9000\n"))
        assert origin(settings, "http.port") == str(tmp_path / "any.toml")
        assert origin(settings, "http.host") == "default, config/mdus.toml"

    def test_a_setting_outside_sections_is_set_by_one_word(self) -> None:
        assert load_settings({"MDUS_TIME_ZONE": "America/New_York"}).time_zone == "America/New_York"

    def test_rows_merge_by_name_and_their_settings_by_key(self, write: Write) -> None:
        environ = {**write("a.toml", HEAD_END), "MDUS_HEAD_ENDS__NORTH_1__USER": "mdus"}
        (head_end,) = load_settings(environ).head_ends
        assert (head_end.name, head_end.url, head_end.user) == ("north-1", "http://headend", "mdus")

    def test_the_environment_alone_can_make_a_row(self) -> None:
        environ = {"MDUS_HEAD_ENDS__SOUTH__KIND": "rest", "MDUS_HEAD_ENDS__SOUTH__URL": "http://south"}
        (head_end,) = load_settings(environ).head_ends
        assert (head_end.name, head_end.kind) == ("south", "rest")

    def test_a_list_is_replaced_as_a_whole(self, write: Write) -> None:
        environ = {**write("a.toml", HEAD_END + 'ams_ids = ["A", "B"]'), "MDUS_HEAD_ENDS__NORTH_1__AMS_IDS": "C, D"}
        assert load_settings(environ).head_ends[0].ams_ids == ("C", "D")

    def test_time_zone_codes_keep_their_capitals(self) -> None:
        settings = load_settings({"MDUS_TIME_ZONES__CENTRAL": "America/Chicago"})
        assert settings.time_zones["CENTRAL"] == "America/Chicago"
        assert settings.time_zones["CET"] == "Europe/Berlin"

    def test_settings_cannot_be_changed(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            load_settings({}).http.port = 1


class TestSecrets:
    def test_a_secret_is_read_from_the_file_the_environment_names(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("open sesame\n", encoding="utf-8")
        environ = {"MDUS_AUTH__USER": "sap", "MDUS_AUTH__PASSWORD_FILE": str(tmp_path / "secret")}
        password = load_settings(environ).auth.password
        assert password is not None
        assert password.get_secret_value() == "open sesame"

    def test_a_file_named_in_a_file_is_sought_beside_it(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("open sesame", encoding="utf-8")
        settings = load_settings(write("a.toml", '[auth]\nuser = "sap"\npassword_file = "secret"\n'))
        assert settings.auth.password is not None
        assert settings.auth.password.get_secret_value() == "open sesame"

    def test_a_secret_file_that_cannot_be_read_is_a_problem(self) -> None:
        found = problems({"MDUS_AUTH__USER": "sap", "MDUS_AUTH__PASSWORD_FILE": "/nowhere/secret"})
        assert found[0].where == "MDUS_AUTH__PASSWORD_FILE"
        assert "auth.password cannot be read" in found[0].what

    def test_the_shown_values_have_no_secret(self) -> None:
        environ = {
            "MDUS_AUTH__USER": "sap",
            "MDUS_AUTH__PASSWORD": "open sesame",
            "MDUS_DATABASE__URL": "postgresql://mdus:open%20sesame@db/mdus",
        }
        settings = load_settings(environ)
        shown = {line.key: line.value for line in settings.shown()}
        assert shown["auth.password"] == "********"
        assert shown["database.url"] == "postgresql://mdus:********@db/mdus"
        assert not [value for value in shown.values() if "sesame" in value]
        assert settings.secrets() == {"open sesame"}

    def test_a_wrong_value_that_holds_a_password_is_told_without_it(self) -> None:
        problem = only_problem({"MDUS_DATABASE__URL": "oracle://mdus:sesame@db/mdus"})
        assert "oracle://mdus" in problem.what
        assert "sesame" not in str(problem)


class TestSenders:
    def test_the_one_user_of_auth_may_name_any_system(self) -> None:
        environ = {"MDUS_AUTH__USER": "sap", "MDUS_AUTH__PASSWORD": "secret", "MDUS_CIS__URL": "http://cis/{interface}"}
        (sender,) = load_settings(environ).senders
        assert (sender.user, sender.default_system, sender.url) == ("sap", "SAP", "http://cis/{interface}")
        assert sender.may_send_for("P11")

    def test_a_row_may_name_its_own_systems_only(self, write: Write) -> None:
        row = '[[senders]]\nname = "a"\nuser = "a"\npassword = "b"\nsystems = ["P11"]\ndefault_system = "P11"\n'
        (sender,) = load_settings(write("a.toml", row)).senders
        assert sender.may_send_for("P11")
        assert not sender.may_send_for("P12")

    def test_a_row_replaces_the_user_of_auth(self, write: Write) -> None:
        row = '[[senders]]\nname = "a"\nuser = "a"\npassword = "b"\nsystems = ["P11"]\ndefault_system = "P11"\n'
        environ = {**write("a.toml", row), "MDUS_AUTH__USER": "sap", "MDUS_AUTH__PASSWORD": "secret"}
        assert [sender.user for sender in load_settings(environ).senders] == ["a"]

    def test_a_row_has_from_the_sections_what_it_leaves_out(self, write: Write) -> None:
        row = '[[senders]]\nname = "a"\nuser = "a"\npassword = "b"\nsystems = ["P11"]\ndefault_system = "P11"\n'
        environ = {
            **write("a.toml", row),
            "MDUS_CIS__URL": "http://cis",
            "MDUS_CIS__USER": "mdus",
            "MDUS_HTTP__ANSWER_STATUS": "200",
        }
        (sender,) = load_settings(environ).senders
        assert (sender.url, sender.url_user, sender.answer_status) == ("http://cis", "mdus", 200)
        assert sender.time_zone == "Europe/Berlin"

    def test_a_row_with_an_address_of_its_own_takes_no_credentials_of_another(self, write: Write) -> None:
        row = '[[senders]]\nname = "a"\nuser = "a"\npassword = "b"\nsystems = ["*"]\ndefault_system = "P"\nurl = "http://p"\n'
        environ = {**write("a.toml", row), "MDUS_CIS__URL": "http://cis", "MDUS_CIS__USER": "mdus"}
        (sender,) = load_settings(environ).senders
        assert (sender.url, sender.url_user) == ("http://p", None)

    def test_the_row_that_names_a_system_speaks_for_it_before_one_that_may_name_any(self, write: Write) -> None:
        row = '[[senders]]\nname = "{0}"\nuser = "{0}"\npassword = "b"\nsystems = ["{1}"]\ndefault_system = "{1}"\n'
        settings = load_settings(write("a.toml", row.format("any", "*") + row.format("one", "P11")))
        speakers = [settings.sender_for(system) for system in ("P11", "P12")]
        assert [sender.name for sender in speakers if sender] == ["one", "any"]

    def test_nobody_speaks_for_a_system_no_row_names(self, write: Write) -> None:
        row = '[[senders]]\nname = "a"\nuser = "a"\npassword = "b"\nsystems = ["P11"]\ndefault_system = "P11"\n'
        assert load_settings(write("a.toml", row)).sender_for("P12") is None


class TestProblems:
    def test_are_reported_together(self, write: Write) -> None:
        environ = {
            **write("a.toml", "[http]\nport = 70000\n"),
            "MDUS_TIME_ZONE": "Berlin",
            "MDUS_WORKERS__CLAIM_SIZE": "many",
            "MDUS_RETENTION__KEY_DAYS": "399",
        }
        told = "\n".join(problem.what for problem in problems(environ))
        for part in ("http.port = 70000", "time_zone = 'Berlin'", "workers.claim_size = 'many'", "retention.key_days"):
            assert part in told

    def test_name_the_place_a_value_was_said(self, write: Write, tmp_path: Path) -> None:
        problem = only_problem(write("a.toml", "[http]\nport = 70000\n"))
        assert problem.where == str(tmp_path / "a.toml")

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            pytest.param("MDUS_RETENTION__KEY_DAYS", "400", id="keys outlive 400 days"),
            pytest.param("MDUS_HTTP__PORT", "65535", id="highest port"),
            pytest.param("MDUS_HTTP__ANSWER_STATUS", "200", id="the other status"),
            pytest.param("MDUS_QUEUE__URL", "nats://localhost:4222", id="nats"),
            pytest.param("MDUS_DATABASE__URL", "postgresql+psycopg://localhost/mdus", id="postgresql with psycopg"),
            pytest.param("MDUS_DATABASE__URL", "postgresql://localhost/mdus", id="postgresql"),
        ],
    )
    def test_accept_what_is_just_inside(self, variable: str, value: str) -> None:
        assert load_settings({variable: value})

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            pytest.param("MDUS_RETENTION__KEY_DAYS", "399", id="keys forgotten too soon"),
            pytest.param("MDUS_HTTP__PORT", "65536", id="no such port"),
            pytest.param("MDUS_HTTP__ANSWER_STATUS", "204", id="a status SAP does not take"),
            pytest.param("MDUS_QUEUE__URL", "redis://localhost", id="unknown queue"),
            pytest.param("MDUS_DATABASE__URL", "mysql://localhost/mdus", id="unknown database"),
            pytest.param("MDUS_CIS__URL", "sap.example.com", id="address without scheme"),
            pytest.param("MDUS_CIS__TIMEOUT_SECONDS", "0", id="no time at all"),
            pytest.param("MDUS_CIS__CA_FILE", "/nowhere/ca.pem", id="authorities in no file"),
            pytest.param("MDUS_LOG__FORMAT", "xml", id="unknown form"),
        ],
    )
    def test_refuse_what_is_just_outside(self, variable: str, value: str) -> None:
        assert only_problem({variable: value}).where == variable

    @pytest.mark.parametrize(
        ("variable", "hint"),
        [
            pytest.param("MDUS_HTTP__PROT", "did you mean port?", id="setting of a section"),
            pytest.param("MDUS_TIME_ZON", "did you mean time_zone?", id="setting outside sections"),
            pytest.param("MDUS_HTP__PORT", "did you mean MDUS_HTTP__PORT?", id="section"),
            pytest.param("MDUS_HTTP", "did you mean", id="section without setting"),
        ],
    )
    def test_suggest_the_nearest_name_of_an_unknown_variable(self, variable: str, hint: str) -> None:
        assert hint in only_problem({variable: "1"}).mend

    def test_suggest_the_nearest_name_of_an_unknown_key_of_a_file(self, write: Write) -> None:
        assert "did you mean head_ends?" in only_problem(write("a.toml", "[head_end]\nx = 1\n")).mend

    def test_tell_a_missing_column_with_the_variable_that_sets_it(self, write: Write) -> None:
        problem = only_problem(write("a.toml", '[[head_ends]]\nname = "n"\nurl = "http://h"\n'))
        assert problem.what == "head_ends.n.kind is missing"
        assert "MDUS_HEAD_ENDS__N__KIND" in problem.mend

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            pytest.param("[http\n", "cannot be read", id="not TOML"),
            pytest.param('[[head_ends]]\nkind = "rest"\n', "has no name", id="row without name"),
            pytest.param('head_ends = "north"\n', "is not a table of rows", id="a word for a table"),
            pytest.param('[head_ends.north]\nkind = "rest"\n', "is not a table of rows", id="a section for a table"),
            pytest.param("http = 3\n", "http = 3", id="a number for a section"),
        ],
    )
    def test_tell_a_file_of_the_wrong_form(self, write: Write, content: str, told: str) -> None:
        assert told in problems(write("a.toml", content))[0].what

    def test_tell_a_setting_said_in_two_files(self, write: Write) -> None:
        write("a.toml", "[http]\nport = 1\n")
        assert "two files" in only_problem(write("b.toml", "[http]\nport = 2\n")).what

    def test_tell_a_folder_that_is_not_there(self) -> None:
        assert only_problem({"MDUS_CONFIG": "/nowhere"}).where == "MDUS_CONFIG"

    def test_tell_a_wrong_value_once_though_rows_have_it_from_there(self) -> None:
        environ = {"MDUS_AUTH__USER": "a", "MDUS_AUTH__PASSWORD": "b", "MDUS_CIS__URL": "nowhere"}
        assert only_problem(environ).where == "MDUS_CIS__URL"

    def test_tell_a_user_without_password(self) -> None:
        assert "only one of user and password" in only_problem({"MDUS_AUTH__USER": "sap"}).what

    def test_tell_an_ams_id_of_two_head_ends(self, write: Write) -> None:
        rows = HEAD_END + 'ams_ids = ["A"]\n' + HEAD_END.replace("north-1", "south") + 'ams_ids = ["B", "A"]\n'
        assert only_problem(write("a.toml", rows)).where == "north-1, south"

    def test_tell_a_default_system_the_sender_may_not_name(self, write: Write) -> None:
        row = '[[senders]]\nname = "a"\nuser = "a"\npassword = "b"\nsystems = ["P11"]\ndefault_system = "P12"\n'
        assert "senders.a.default_system" in only_problem(write("a.toml", row)).what

    def test_tell_a_small_message_larger_than_any(self) -> None:
        assert "http.small_message_bytes" in only_problem({"MDUS_HTTP__MAX_BODY_BYTES": "1000"}).what


class Colour(Section):
    name: str
    wave_nm: int


class TestTables:
    @pytest.fixture(autouse=True)
    def _defaults_with_a_table(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path_factory.mktemp("defaults")
        for file in data_folder("config").glob("*.toml"):
            (folder / file.name).write_bytes(file.read_bytes())
        rows = '[[colours]]\nname = "red"\nwave_nm = 700\n[[colours]]\nname = "blue"\nwave_nm = 450\n'
        (folder / "colours.toml").write_text(rows, encoding="utf-8")
        monkeypatch.setattr(loading_module, "data_folder", lambda _: folder)

    def test_rows_of_a_service_are_merged_by_name(self, write: Write) -> None:
        environ = write("a.toml", '[[colours]]\nname = "red"\nwave_nm = 650\n')
        assert load_settings(environ).rows("colours", Colour) == (
            Colour(name="red", wave_nm=650),
            Colour(name="blue", wave_nm=450),
        )

    def test_rows_are_checked_by_the_shape_of_their_owner(self) -> None:
        environ = {"MDUS_COLOURS__RED__WAVE_NM": "long"}
        assert load_settings(environ).table("colours")[0]["wave_nm"] == "long"
        problem = only_problem(environ, colours=Colour)
        assert problem.what.startswith("colours.red.wave_nm = 'long'")
        assert problem.where == "MDUS_COLOURS__RED__WAVE_NM"

    def test_a_table_nobody_owns_is_a_problem(self, write: Write) -> None:
        problem = only_problem(write("a.toml", '[[colour]]\nname = "red"\n'))
        assert problem.what == "colour is not a setting"
        assert problem.mend == "did you mean colours?"


class TestDataFolder:
    @pytest.mark.parametrize("name", ["wsdl", "xsd", "config"])
    def test_finds_the_folder_of_this_checkout(self, name: str) -> None:
        assert any(data_folder(name).iterdir())

    def test_refuses_a_name_that_is_no_data_folder(self) -> None:
        with pytest.raises(ValueError, match="there are config, migrations, wsdl, xsd"):
            data_folder("docs")
