"""Where a message goes, with which credentials, and how long the call took."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import trustme

from mdus.cis.client import CisClient, Delivery, InterfaceRow, NoTarget, Target, bounds
from mdus.cis.webhooks import WebhookClient
from mdus.settings import data_folder, load_settings
from mdus.telemetry.metrics import REGISTRY

REGISTERED = "UtilitiesDeviceERPSmartMeterRegisteredNotification_In"
CREATED = "UtilitiesDeviceERPSmartMeterCreateConfirmation_In"
CIS = {"MDUS_CIS__URL": "https://sap/{interface}", "MDUS_CIS__USER": "mdus", "MDUS_CIS__PASSWORD": "secret"}


def sender(name: str, **columns: str) -> dict[str, str]:
    row = {"USER": name, "PASSWORD": "p", "SYSTEMS": name.upper(), "DEFAULT_SYSTEM": name.upper(), **columns}
    return {f"MDUS_SENDERS__{name.upper()}__{column}": value for column, value in row.items()}


def interface(name: str, **columns: str) -> dict[str, str]:
    row = {"INTERFACE": REGISTERED, "URL": "https://own", **columns}
    return {f"MDUS_INTERFACES__{name.upper()}__{column}": value for column, value in row.items()}


def target(environ: dict[str, str], *, system: str = "P11", interface: str = REGISTERED) -> Target:
    client = CisClient(load_settings(environ))
    try:
        return client.target_of(system, interface=interface)
    finally:
        client.close()


class TestTarget:
    def test_is_the_url_of_the_section_with_the_interface_in_it(self) -> None:
        assert target(CIS) == Target(url=f"https://sap/{REGISTERED}", user="mdus", password="secret")

    def test_is_the_senders_own_with_its_own_credentials(self) -> None:
        own = sender("p11", URL="https://p11/{interface}", URL_USER="u", URL_PASSWORD="w")
        assert target({**CIS, **own}) == Target(url=f"https://p11/{REGISTERED}", user="u", password="w")
        assert target({**CIS, **own}, system="P12").url == f"https://sap/{REGISTERED}"

    def test_is_nowhere_without_a_url(self) -> None:
        with pytest.raises(NoTarget, match="MDUS_CIS__URL"):
            target({})

    @pytest.mark.parametrize(
        ("asked", "url"), [pytest.param(REGISTERED, "https://own"), pytest.param(CREATED, f"https://sap/{CREATED}")]
    )
    def test_is_the_interfaces_own_where_it_has_one(self, asked: str, url: str) -> None:
        assert target({**CIS, **interface("a")}, interface=asked) == Target(url=url, user="mdus", password="secret")

    def test_of_an_interface_is_its_senders_only(self) -> None:
        environ = {**CIS, **sender("p11", URL="https://p11"), **sender("p12"), **interface("a", SENDER="p11")}
        assert target(environ) == Target(url="https://own", user=None, password=None)
        assert target(environ, system="P12").url == f"https://sap/{REGISTERED}"

    def test_of_an_interface_does_without_any_other(self) -> None:
        assert target(interface("a")).url == "https://own"


class TestARow:
    def test_is_explained_column_by_column(self) -> None:
        text = (data_folder("config") / "interfaces.toml").read_text(encoding="utf-8")
        assert [name for name in InterfaceRow.model_fields if f"#   {name} = " not in text] == []


class TestPost:
    @pytest.mark.parametrize(
        ("body", "result"), [pytest.param(b"", "delivered", id="taken"), pytest.param(b"<p/>", "refused", id="a page")]
    )
    def test_is_timed_by_what_came_of_it(self, body: bytes, result: str) -> None:
        before = calls(result)
        with answering(body) as url:
            assert post(url).delivered is (result == "delivered")
        assert calls(result) == before + 1

    def test_reads_no_answer_that_is_larger_than_it_may_be(self) -> None:
        most = {"MDUS_CIS__MAX_ANSWER_BYTES": "1000"}
        with answering(b" " * 1000) as url:
            assert post(url, **most) == Delivery(delivered=True)
        before = calls("refused")
        with answering(b" " * 1001) as url:
            refused = post(url, **most)
        assert refused == Delivery(
            delivered=False,
            error="an answer of SAP has 1001 bytes, and cis.max_answer_bytes is 1000: it was not read on",
        )
        assert calls("refused") == before + 1

    def test_waits_for_the_end_of_an_answer_as_long_as_for_its_beginning(self) -> None:
        cis = load_settings({"MDUS_CIS__TIMEOUT_SECONDS": "7"}).cis
        assert bounds(cis, of="SAP").seconds == 7

    def test_is_timed_when_nobody_answers(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        before = calls("unreachable")
        assert not post(f"http://127.0.0.1:{port}").delivered
        assert calls("unreachable") == before + 1

    def test_says_which_setting_names_the_authority_of_a_certificate(self) -> None:
        shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("localhost").configure_cert(shown)
        with answering(b"", shown=shown) as url:
            refused = post(url)
        assert refused == Delivery(
            delivered=False,
            error="the certificate there is not trusted: unable to get local issuer certificate (see cis.ca_file)",
        )


class TestAWebhook:
    def test_is_told_again_where_its_answer_is_larger_than_it_may_be(self) -> None:
        client = WebhookClient(load_settings({"MDUS_CIS__MAX_ANSWER_BYTES": "1000"}).cis)
        try:
            told = []
            for size in (1000, 1001):
                with answering(b"x" * size) as url:
                    told.append(client.post(b"{}", url=url, secret="s", uuid="u"))
        finally:
            client.close()
        assert told[0] == Delivery(delivered=True)
        assert not told[1].delivered
        assert "of the webhook has 1001 bytes, and cis.max_answer_bytes is 1000" in (told[1].error or "")


def calls(result: str) -> float:
    labels = {"interface": REGISTERED, "result": result}
    return REGISTRY.get_sample_value("mdus_sap_call_seconds_count", labels) or 0.0


def post(url: str, **environ: str) -> Delivery:
    client = CisClient(load_settings({"MDUS_CIS__URL": url, **environ}))
    try:
        return client.post(b"<x/>", interface=REGISTERED, sender_system="P11")
    finally:
        client.close()


@contextmanager
def answering(body: bytes, *, shown: ssl.SSLContext | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):  # nobody need read it
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    if shown is not None:
        server.socket = shown.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"{'http' if shown is None else 'https'}://localhost:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
