"""`mdus check --connect`: every address is tried, and each failure says what to do about it."""

from __future__ import annotations

import base64
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mdus.bootstrap.checking import check
from mdus.bootstrap.connecting import Tried, try_head_ends, try_saps
from mdus.bootstrap.discovery import discover
from mdus.settings import Problem, load_settings
from tests.head_ends.scripted import ScriptedHeadEnd
from tests.unit.headends.mqtt.scripted_broker import ScriptedBroker
from tests.unit.headends.token_poll.scripted import Scripted, ScriptedTokenPoll


class Answering:
    """A server that answers every request alike and notes what it was asked, and with which credentials."""

    def __init__(
        self, status: int = 405, *, location: str | None = None, context: ssl.SSLContext | None = None
    ) -> None:
        self.asked: list[tuple[str, str, str]] = []  # method, path, user:password
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # the name http.server asks for
                kind, _, credentials = self.headers.get("Authorization", "").partition(" ")
                told = base64.b64decode(credentials).decode() if kind == "Basic" else ""
                asked.append((self.command, self.path, told))
                self.send_response(status)
                if location is not None:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_GET  # noqa: N815 - the name http.server asks for

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"http{'' if context is None else 's'}://localhost:{self.port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def answering() -> Iterator[object]:
    """Makes servers, and closes them at the end."""
    made: list[Answering] = []

    def make(*arguments: object, **options: object) -> Answering:
        made.append(Answering(*arguments, **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


def sender(name: str, **columns: str) -> dict[str, str]:
    """The environment that makes a row of senders."""
    row = {"USER": name, "PASSWORD": "p", "SYSTEMS": name.upper(), "DEFAULT_SYSTEM": name.upper(), **columns}
    return {f"MDUS_SENDERS__{name.upper()}__{column}": value for column, value in row.items()}


def saps(environ: dict[str, str]) -> list[Tried]:
    return list(try_saps(load_settings(environ)))


def only_problem(tried: list[Tried]) -> Problem:
    [one] = tried
    assert one.problem is not None
    return one.problem


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return int(closed.getsockname()[1])


class TestEverySap:
    def test_is_tried_with_the_credentials_of_its_row(self, answering: type[Answering]) -> None:
        prod, test = answering(405), answering(200)
        environ = {
            **sender("p11", URL=f"{prod.url}/prod/{{interface}}", URL_USER="mdus_p", URL_PASSWORD="one"),
            **sender("t11", URL=f"{test.url}/test/{{interface}}", URL_USER="mdus_t", URL_PASSWORD="two"),
        }
        tried = saps(environ)

        assert [one.problem for one in tried] == [None, None]
        assert [one.note for one in tried] == ["SAP (p11) answers: HTTP 405", "SAP (t11) answers: HTTP 200"]
        interface = "UtilitiesDeviceERPSmartMeterCreateConfirmation_In"
        assert prod.asked == [("GET", f"/prod/{interface}", "mdus_p:one")]
        assert test.asked == [("GET", f"/test/{interface}", "mdus_t:two")]

    def test_that_may_name_any_system_is_tried_beside_one_that_names_its_own(self, answering: type[Answering]) -> None:
        one, any_ = answering(), answering()
        environ = sender("p11", URL=one.url) | sender("all", URL=any_.url, SYSTEMS="*")
        assert len(saps(environ)) == 2
        assert len(any_.asked) == 1

    def test_without_rows_is_the_one_of_the_section(self, answering: type[Answering]) -> None:
        server = answering()
        environ = {"MDUS_CIS__URL": server.url, "MDUS_CIS__USER": "u", "MDUS_CIS__PASSWORD": "p"}
        assert [one.note for one in saps(environ)] == ["SAP (SAP) answers: HTTP 405"]
        assert server.asked[0][2] == "u:p"

    def test_at_one_address_is_tried_once(self, answering: type[Answering]) -> None:
        server = answering()
        environ = {**sender("p11"), **sender("p12"), "MDUS_CIS__URL": server.url}
        assert len(saps(environ)) == 1
        assert len(server.asked) == 1

    def test_without_a_url_is_named(self) -> None:
        assert only_problem(saps({})).mend == "set MDUS_CIS__URL, with {interface} in it"
        problem = only_problem(saps(sender("p11")))
        assert (problem.what, problem.where) == ("SAP (p11) has no URL", "senders.p11.url")

    def test_that_fails_keeps_no_other_from_being_tried(self, answering: type[Answering]) -> None:
        server = answering()
        environ = sender("p11", URL=f"http://127.0.0.1:{closed_port()}") | sender("p12", URL=server.url)
        assert [one.problem is None for one in saps(environ)] == [False, True]


class TestAnInterfaceWithAnAddressOfItsOwn:
    REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredNotification_In"

    def test_is_tried_with_the_credentials_of_its_sender(self, answering: type[Answering]) -> None:
        shared, own = answering(), answering(404)
        environ = {
            **sender("p11", URL=shared.url, URL_USER="u1", URL_PASSWORD="one"),
            **sender("p12", URL=shared.url, URL_USER="u2", URL_PASSWORD="two"),
            "MDUS_INTERFACES__A__INTERFACE": self.REGISTERED,
            "MDUS_INTERFACES__A__URL": f"{own.url}/registered",
            "MDUS_INTERFACES__A__SENDER": "p12",
        }
        notes = [one.note for one in saps(environ)]
        assert own.asked == [("GET", "/registered", "u2:two")]
        assert notes[2] is not None
        assert notes[2].startswith(f"SAP (p12), {self.REGISTERED} answers: HTTP 404")
        assert "correct the path in interfaces.a.url" in notes[2]


class TestAnAnswer:
    @pytest.mark.parametrize("status", [200, 400, 404, 405, 415, 500])
    def test_of_any_kind_is_one(self, answering: type[Answering], status: int) -> None:
        [tried] = saps({"MDUS_CIS__URL": answering(status).url})
        assert tried.problem is None
        assert tried.note is not None
        assert f"HTTP {status}" in tried.note
        assert ("correct the path in cis.url" in tried.note) is (status == 404)

    @pytest.mark.parametrize("status", [401, 403])
    def test_that_refuses_the_credentials_names_their_setting(self, answering: type[Answering], status: int) -> None:
        url = answering(status).url
        assert only_problem(saps({"MDUS_CIS__URL": url})).mend == "set cis.user and its password"
        given = {"MDUS_CIS__URL": url, "MDUS_CIS__USER": "u", "MDUS_CIS__PASSWORD": "p"}
        assert only_problem(saps(given)).mend == "correct cis.user and its password"
        own = only_problem(saps(sender("p11", URL=url, URL_USER="u", URL_PASSWORD="p")))
        assert own.mend == "correct senders.p11.url_user and its password"

    def test_that_redirects_is_none(self, answering: type[Answering]) -> None:
        problem = only_problem(saps({"MDUS_CIS__URL": answering(302, location="https://login").url}))
        assert "redirects to https://login" in problem.what

    @pytest.mark.parametrize("status", [502, 503, 504])
    def test_of_a_proxy_with_nothing_behind_it_is_none(self, answering: type[Answering], status: int) -> None:
        problem = only_problem(saps({"MDUS_CIS__URL": answering(status).url}))
        assert problem.mend == "start what stands behind this address"


class TestNoAnswer:
    def test_from_a_closed_port(self) -> None:
        problem = only_problem(saps({"MDUS_CIS__URL": f"http://127.0.0.1:{closed_port()}/{{interface}}"}))
        assert problem.mend == "start it, or correct host and port in cis.url"
        assert "refused" in problem.what

    def test_from_a_host_that_is_not_there(self) -> None:
        problem = only_problem(saps(sender("p11", URL="http://sap.invalid/{interface}")))
        assert problem.mend == "correct the host in senders.p11.url, or the name service of this machine"

    def test_from_one_that_is_silent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mdus.bootstrap.connecting._TIMEOUT_SECONDS", 0.05)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            problem = only_problem(saps({"MDUS_CIS__URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}))
        assert problem.mend == "open the firewall between here and there, or correct cis.url"

    def test_in_tls_from_one_that_does_not_speak_it(self, answering: type[Answering]) -> None:
        problem = only_problem(saps({"MDUS_CIS__URL": f"https://localhost:{answering().port}"}))
        assert problem.mend == "does it speak TLS there? correct http or https, and the port, in cis.url"


class TestACertificate:
    @pytest.fixture
    def certificate(self, tmp_path: Path) -> Path:
        """A certificate of this machine that nobody else trusts, with its key."""
        file = tmp_path / "sap.pem"
        made = [
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "1",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ]
        files = ["-keyout", file, "-out", tmp_path / "cert.pem"]
        subprocess.run(["openssl", "req", "-x509", *made, *files], check=True, capture_output=True)
        file.write_bytes(file.read_bytes() + (tmp_path / "cert.pem").read_bytes())
        return file

    def test_that_is_not_trusted_is_told_with_the_setting(self, answering: type[Answering], certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = answering(405, context=context)
        problem = only_problem(saps({"MDUS_CIS__URL": server.url}))
        assert problem.mend == "name a file with its certificate authority in cis.ca_file"

        trusting = {"MDUS_CIS__URL": server.url, "MDUS_CIS__CA_FILE": str(certificate)}
        assert [one.note for one in saps(trusting)] == ["SAP (SAP) answers: HTTP 405"]

    def test_for_another_host_is_told_with_the_host(self, answering: type[Answering], certificate: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server = answering(405, context=context)
        elsewhere = {"MDUS_CIS__URL": f"https://127.0.0.1:{server.port}", "MDUS_CIS__CA_FILE": str(certificate)}
        problem = only_problem(saps(elsewhere))
        assert problem.mend == "correct the host in cis.url, or let its certificate name that host"


class TestEveryHeadEnd:
    def tried(self, **urls: str) -> list[Tried]:
        environ = {}
        for name, url in urls.items():
            environ[f"MDUS_HEAD_ENDS__{name.upper()}__KIND"] = "rest"
            environ[f"MDUS_HEAD_ENDS__{name.upper()}__URL"] = url
        return list(try_head_ends(load_settings(environ), discover()))

    def test_is_tried(self) -> None:
        one, other = ScriptedHeadEnd(), ScriptedHeadEnd()
        tried = self.tried(city=one.url, village=other.url)
        assert [each.note for each in tried] == ["the head end city answers", "the head end village answers"]
        assert [len(each.asked) for each in (one, other)] == [1, 1]
        one.close()
        other.close()

    def test_of_a_broker_is_tried_by_a_connection(self) -> None:
        there, port = ScriptedBroker(), closed_port()
        environ = {
            "MDUS_HEAD_ENDS__CITY__KIND": "mqtt",
            "MDUS_HEAD_ENDS__CITY__URL": f"mqtt://127.0.0.1:{there.port}",
            "MDUS_HEAD_ENDS__VILLAGE__KIND": "mqtt",
            "MDUS_HEAD_ENDS__VILLAGE__URL": f"mqtt://127.0.0.1:{port}",
        }
        [found, missing] = try_head_ends(load_settings(environ), discover())
        there.close()
        assert found.note == "the head end city answers"
        assert missing.problem is not None
        assert missing.problem.mend == "start it, or correct host and port in head_ends.village.url"

    @pytest.mark.parametrize(
        "answered", [pytest.param(None, id="which it lists"), pytest.param((503, b""), id="which it does not list")]
    )
    def test_of_tokens_is_asked_for_subscriptions_and_keeps_them(self, answered: Scripted) -> None:
        # Subscriptions made by a check, for the address of its configuration, would end those of the one that runs.
        there = ScriptedTokenPoll()
        asked = "RetrieveSubscriptionsBySystemName"
        there.script[asked] = [] if answered is None else [answered]
        environ = {
            "MDUS_HEAD_ENDS__CITY__KIND": "token_poll",
            "MDUS_HEAD_ENDS__CITY__URL": there.url,
            "MDUS_HEAD_ENDS__CITY__CALLBACK_URL": "http://127.0.0.1:1/head-ends/city",
        }
        [tried] = try_head_ends(load_settings(environ), discover())
        there.close()
        assert [each.name for each in there.asked] == [asked]
        assert (tried.problem is None) is (answered is None)

    def test_that_is_not_there_is_named_and_keeps_no_other(self) -> None:
        there = ScriptedHeadEnd()
        [missing, found] = self.tried(city=f"http://127.0.0.1:{closed_port()}", village=there.url)
        there.close()
        assert missing.problem is not None
        assert missing.problem.mend == "start it, or correct host and port in head_ends.city.url"
        assert found.problem is None

    @pytest.mark.parametrize(
        "misfit",
        [
            pytest.param({"KIND": "rest", "URL": "mqtts://{address}"}, id="address of another kind"),
            pytest.param({"KIND": "mqtt", "URL": "http://{address}"}, id="broker by http"),
            pytest.param({"KIND": "rest"}, id="no address"),
            pytest.param({"KIND": "telegraph", "URL": "http://{address}"}, id="unknown kind"),
        ],
    )
    def test_that_does_not_fit_its_kind_is_left_out_and_keeps_no_other(self, misfit: dict[str, str]) -> None:
        there, called = ScriptedHeadEnd(), ScriptedHeadEnd()
        address = called.url.removeprefix("http://")
        environ = {f"MDUS_HEAD_ENDS__CITY__{column}": text.format(address=address) for column, text in misfit.items()}
        environ |= {"MDUS_HEAD_ENDS__VILLAGE__KIND": "rest", "MDUS_HEAD_ENDS__VILLAGE__URL": there.url}
        tried = list(try_head_ends(load_settings(environ), discover()))
        there.close()
        called.close()
        assert [each.note for each in tried] == ["the head end village answers"]
        assert called.asked == []

    def test_with_options_that_do_not_fit_is_reported_beside_those_that_answer(self, tmp_path: Path) -> None:
        there = ScriptedHeadEnd()
        (tmp_path / "head_ends.toml").write_text(
            '[[head_ends]]\nname = "city"\nkind = "multispeak"\nurl = "http://127.0.0.1:9"\n'
            'options = { versoin = "4.1" }\n'
            f'[[head_ends]]\nname = "village"\nkind = "rest"\nurl = "{there.url}"\n'
        )
        database = f"sqlite:///{tmp_path / 'mdus.db'}"
        report = check({"MDUS_CONFIG": str(tmp_path), "MDUS_DATABASE__URL": database}, connect=True)
        there.close()
        assert "head_ends.city.options.versoin" in [each.where for each in report.problems]
        assert "the head end village answers" in report.notes
        assert not any("city" in each.what for each in report.problems if "answer" in each.what)

    @pytest.mark.parametrize(
        ("status", "mend"),
        [
            pytest.param(401, "correct user and password of head_ends.city", id="credentials"),
            pytest.param(404, "not as a head end of kind rest: correct head_ends.city.url", id="path"),
        ],
    )
    def test_that_answers_otherwise_is_told_with_what_to_do(
        self, answering: type[Answering], status: int, mend: str
    ) -> None:
        assert mend in only_problem(self.tried(city=answering(status).url)).mend
