"""A SOAP server over real HTTP that answers as a script says, and keeps what it was asked."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lxml import etree

from mdus.headends.multispeak import soap
from mdus.headends.multispeak.adapter import MultiSpeakHeadEnd
from tests.head_ends.field import row
from tests.unit.headends.multispeak.messages import envelope

#: Closes the connection instead of an answer.
CUT = (0, b"")


class ScriptedSoap:
    """Answers each call with what `script` has for its method, the last entry again and again; else accepts it."""

    def __init__(self, version: str = "3.0") -> None:
        self.version = version
        self.script: dict[str, list[tuple[int, bytes]]] = {}
        self.asked: list[etree._Element] = []  # messages
        self.headers: list[dict[str, str]] = []  # of MultiSpeak
        self.actions: list[str] = []  # SOAPAction
        self.paths: list[str] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                received = soap.received(self.rfile.read(int(self.headers["Content-Length"])))
                scripted.asked.append(received.message)
                scripted.headers.append(dict(received.header))
                scripted.actions.append(self.headers["SOAPAction"])
                scripted.paths.append(self.path)
                status, content = scripted.answer(soap.local(received.message))
                if not status:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(status)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def answer(self, method: str) -> tuple[int, bytes]:
        """Return the next answer to a method."""
        steps = self.script.get(method)
        if steps is None:
            return self.result(method)
        return steps.pop(0) if len(steps) > 1 else steps[0]

    def result(self, method: str, inside: str = "", *, header: str = "") -> tuple[int, bytes]:
        """Return the answer to a method with something in its result."""
        message = f"<{method}Response><{method}Result>{inside}</{method}Result></{method}Response>"
        return 200, envelope(message, version=self.version, header=header)

    def methods(self) -> list[str]:
        """Return the methods called so far."""
        return [soap.local(each) for each in self.asked]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def fault(reason: str, *, code: str = "Server") -> bytes:
    """Return a fault as servers write them."""
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
        f"<faultcode>s:{code}</faultcode><faultstring>{reason}</faultstring></s:Fault></s:Body></s:Envelope>"
    ).encode()


def at(scripted: ScriptedSoap, *, max_answer_bytes: int = 64 * 1024 * 1024, **options: Any) -> MultiSpeakHeadEnd:
    """Return MDUS's side of the head end, with options of its own."""
    options.setdefault("version", scripted.version)
    changes: dict[str, Any] = {"options": options, "max_answer_bytes": max_answer_bytes}
    return MultiSpeakHeadEnd(row(f"{scripted.url}/ami", kind="multispeak", **changes))
