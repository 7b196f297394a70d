"""Who may send: users with their passwords, each for the systems it may name; nobody unasked beyond this machine."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from mdus.endpoints.authentication import UnprotectedListening, is_loopback, refuse_unprotected
from mdus.messaging.status import MessageStatus
from mdus.settings import load_settings
from mdus.storage.message import MESSAGE
from tests.flows.intake.installation import XML, Installation, fault_of
from tests.flows.intake.messages import create_device, create_devices, header, item, new_uuid

ONE_USER = {"MDUS_AUTH__USER": "sap", "MDUS_AUTH__PASSWORD": "Grüße:1"}
SAP_ELSEWHERE = {"MDUS_CIS__URL": "https://sap.example.com/{interface}"}
SENDERS = """
[[senders]]
name = "prod"
user = "sap_prod"
password = "one"
systems = ["P11", "P12"]
default_system = "P11"
answer_status = 200

[[senders]]
name = "test"
user = "sap_test"
password = "two"
systems = ["T11"]
default_system = "T11"
"""


def basic(user: str, password: str, *, encoding: str = "utf-8") -> dict[str, str]:
    return {**XML, "Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode(encoding)).decode()}"}


class TestOneUser:
    @pytest.fixture
    def mdus(self, sqlite_url: str) -> Installation:
        return Installation(sqlite_url, environ=ONE_USER)

    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param(basic("sap", "Grüße:1"), id="UTF-8"),
            pytest.param(basic("sap", "Grüße:1", encoding="iso-8859-1"), id="ISO 8859-1"),
            pytest.param(
                {
                    **basic("sap", "Grüße:1"),
                    "Authorization": basic("sap", "Grüße:1")["Authorization"].replace("Basic", "BASIC"),
                },
                id="another case of the scheme",
            ),
        ],
    )
    def test_is_let_in_with_its_password(self, mdus: Installation, headers: dict[str, str]) -> None:
        assert mdus.post(create_device(), headers=headers).status_code == 202

    @pytest.mark.parametrize(
        "headers",
        [
            pytest.param(XML, id="no credentials"),
            pytest.param(basic("sap", "Grüße:2"), id="wrong password"),
            pytest.param(basic("sap", ""), id="empty password"),
            pytest.param(basic("SAP", "Grüße:1"), id="wrong user"),
            pytest.param(basic("sap", "Grüße"), id="password up to its colon"),
            pytest.param({**XML, "Authorization": "Bearer sap"}, id="another scheme"),
            pytest.param({**XML, "Authorization": "Basic !"}, id="no base64"),
            pytest.param({**XML, "Authorization": "Basic c2Fw"}, id="no colon"),
        ],
    )
    def test_is_asked_for_it_and_nothing_is_kept(self, mdus: Installation, headers: dict[str, str]) -> None:
        response = mdus.post(create_device(), headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Basic ")
        assert fault_of(response)[0] == "soap:Client"
        assert "Grüße" not in response.text
        assert mdus.rows(MESSAGE) == []

    def test_may_name_any_system(self, mdus: Installation) -> None:
        headers = basic("sap", "Grüße:1")
        assert mdus.post(create_device(sender="ANY"), headers=headers).status_code == 202


class TestSeveralUsers:
    @pytest.fixture
    def mdus(self, sqlite_url: str, tmp_path: Path) -> Installation:
        folder = tmp_path / "config"
        folder.mkdir()
        (folder / "senders.toml").write_text(SENDERS)
        return Installation(sqlite_url, environ={"MDUS_CONFIG": str(folder)})

    @pytest.mark.parametrize(
        ("user", "password", "system", "status"),
        [
            pytest.param("sap_prod", "one", "P11", 200, id="its default system"),
            pytest.param("sap_prod", "one", "P12", 200, id="its other system"),
            pytest.param("sap_test", "two", "T11", 202, id="the other user"),
        ],
    )
    def test_may_send_for_their_systems(
        self, mdus: Installation, user: str, password: str, system: str, status: int
    ) -> None:
        assert mdus.post(create_device(sender=system), headers=basic(user, password)).status_code == status

    def test_may_not_send_for_a_system_of_another(self, mdus: Installation) -> None:
        response = mdus.post(create_device(sender="P11"), headers=basic("sap_test", "two"))
        assert response.status_code == 500
        assert "sap_test may not send for the SenderBusinessSystemID P11" in fault_of(response)[1]
        [copy] = mdus.rows(MESSAGE)
        assert (copy.status, copy.sender_system) == (MessageStatus.REFUSED, "P11")

    def test_may_not_use_the_password_of_another(self, mdus: Installation) -> None:
        assert mdus.post(create_device(sender="T11"), headers=basic("sap_test", "one")).status_code == 401

    def test_are_each_from_their_default_system(self, mdus: Installation) -> None:
        mdus.post(create_device(sender=None), headers=basic("sap_prod", "one"))
        mdus.post(create_device(sender=None), headers=basic("sap_test", "two"))
        assert [row.sender_system for row in mdus.rows(MESSAGE)] == ["P11", "T11"]

    def test_are_held_to_it_in_bulks_too(self, mdus: Installation) -> None:
        bulk = create_devices(item("1", header_xml=header()), header_xml=header(uuid=new_uuid(), sender="T11"))
        assert mdus.post(bulk, headers=basic("sap_prod", "one")).status_code == 500
        assert mdus.post(bulk, headers=basic("sap_test", "two")).status_code == 202


class TestWithoutCredentials:
    def test_lets_in_callers_on_this_machine(self, mdus_on_sqlite: Installation) -> None:
        assert mdus_on_sqlite.post(create_device(), client="127.0.0.1").status_code == 202
        assert mdus_on_sqlite.post(create_device(), client="::1").status_code == 202

    def test_lets_in_nobody_else(self, mdus_on_sqlite: Installation) -> None:
        response = mdus_on_sqlite.post(create_device(), client="192.0.2.7")
        assert response.status_code == 401
        assert "this machine" in fault_of(response)[1]


class TestListening:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST"])
    def test_needs_no_credentials_on_loopback(self, host: str) -> None:
        assert is_loopback(host)
        refuse_unprotected(load_settings({}), host=host)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "mdus.example.com", "localhost.example.com"])
    def test_is_refused_elsewhere_without_credentials(self, host: str) -> None:
        assert not is_loopback(host)
        with pytest.raises(UnprotectedListening, match="MDUS_AUTH__USER"):
            refuse_unprotected(load_settings({}), host=host)

    def test_is_allowed_elsewhere_with_them(self) -> None:
        refuse_unprotected(load_settings(ONE_USER), host="0.0.0.0")

    @pytest.mark.parametrize(
        ("credentials", "allowed"),
        [
            pytest.param('callback_user = "north"\ncallback_password = "three"', True, id="with theirs"),
            pytest.param("", False, id="without theirs"),
        ],
    )
    def test_needs_those_of_the_head_ends_callbacks_too(self, tmp_path: Path, credentials: str, allowed: bool) -> None:
        row = f'[[head_ends]]\nname = "north"\nkind = "rest"\nurl = "http://127.0.0.1:1"\n{credentials}\n'
        (tmp_path / "head_ends.toml").write_text(row)
        settings = load_settings({**ONE_USER, "MDUS_CONFIG": str(tmp_path)})
        if allowed:
            refuse_unprotected(settings, host="0.0.0.0")
        else:
            with pytest.raises(UnprotectedListening, match="head end north"):
                refuse_unprotected(settings, host="0.0.0.0")


class TestBehindAProxy:
    """To MDUS, who listens on loopback, all who come through a proxy on its machine are on this machine."""

    @staticmethod
    def refused(folder: Path, rows: str, environ: dict[str, str]) -> UnprotectedListening | None:
        (folder / "rows.toml").write_text(rows)
        try:
            refuse_unprotected(load_settings({**environ, "MDUS_CONFIG": str(folder)}), host="127.0.0.1")
        except UnprotectedListening as error:
            return error
        return None

    @staticmethod
    def head_end(callback_url: str | None, *, protected: bool) -> str:
        row = '[[head_ends]]\nname = "north"\nkind = "rest"\nurl = "https://headend.example.com"\n'
        row += f'callback_url = "{callback_url}"\n' if callback_url else ""
        return row + ('callback_user = "north"\ncallback_password = "three"\n' if protected else "")

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:8080/head-ends/north",
            "http://[::1]:8080/head-ends/north",
            "http://LOCALHOST/head-ends/north",
            None,
        ],
    )
    def test_a_first_run_on_one_machine_needs_no_credentials(self, tmp_path: Path, url: str | None) -> None:
        here = {"MDUS_CIS__URL": "http://localhost:8000/{interface}"}
        assert self.refused(tmp_path, self.head_end(url, protected=False), here) is None

    @pytest.mark.parametrize("url", ["https://mdus.example.com/head-ends/north", "http://192.0.2.1/head-ends/north"])
    def test_a_head_end_elsewhere_needs_its_callback_credentials(self, tmp_path: Path, url: str) -> None:
        error = self.refused(tmp_path, self.head_end(url, protected=False), ONE_USER)
        assert error is not None
        assert "callback_user" in str(error)
        assert error.where == "head_ends.north.callback_url"
        assert self.refused(tmp_path, self.head_end(url, protected=True), ONE_USER) is None

    def test_sap_elsewhere_needs_a_sender_with_credentials(self, tmp_path: Path) -> None:
        error = self.refused(tmp_path, "", SAP_ELSEWHERE)
        assert error is not None
        assert "MDUS_AUTH__USER" in str(error)
        assert error.where == "cis.url"
        assert self.refused(tmp_path, "", {**SAP_ELSEWHERE, **ONE_USER}) is None

    def test_a_row_of_senders_may_be_what_is_elsewhere(self, tmp_path: Path) -> None:
        senders = SENDERS + 'url = "https://test.example.com/{interface}"\n'
        error = self.refused(tmp_path, senders + self.head_end(None, protected=False), {})
        assert error is not None
        assert error.where == "senders.test.url"
        assert self.refused(tmp_path, senders + self.head_end(None, protected=True), {}) is None

    def test_the_proxy_serves_every_head_end_and_sap_whoever_is_elsewhere(self, tmp_path: Path) -> None:
        local = self.head_end("http://127.0.0.1:8080/head-ends/north", protected=False)
        assert "head end north" in str(self.refused(tmp_path, local, {**SAP_ELSEWHERE, **ONE_USER}))
        elsewhere = self.head_end("https://mdus.example.com/head-ends/north", protected=True)
        assert "sender systems" in str(self.refused(tmp_path, elsewhere, {}))
