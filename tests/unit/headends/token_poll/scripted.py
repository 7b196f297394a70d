"""A head end over real HTTP that answers each action as a test scripts it, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lxml import etree

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"

#: What is answered to an action: the status and the body, or None to cut the connection.
Scripted = tuple[int, bytes] | None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request: where, with which action and session, and its body."""

    path: str
    action: str
    session: str | None
    body: etree._Element

    @property
    def name(self) -> str:
        return str(etree.QName(self.body).localname)

    def texts(self, name: str) -> list[str]:
        return [each.text or "" for each in self.body.iterfind(f".//{{*}}{name}")]


def answer(name: str, inside: str = "", *, status: int = 200) -> Scripted:
    """Return an answer: a message of that name."""
    return status, f'<s:Envelope xmlns:s="{SOAP}"><s:Body><{name}>{inside}</{name}></s:Body></s:Envelope>'.encode()


def fault(code: str = "", *, kind: str = "Server", status: int = 500) -> Scripted:
    """Return a fault with a code in its detail."""
    detail = f"<detail><Fault><Code>{code}</Code></Fault></detail>" if code else ""
    inside = f"<faultcode>s:{kind}</faultcode><faultstring>as scripted</faultstring>{detail}"
    return status, f'<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault>{inside}</s:Fault></s:Body></s:Envelope>'.encode()


class ScriptedTokenPoll:
    """Answers an action by the next entry of its script; without one it lets in, accepts, and has nothing."""

    def __init__(self) -> None:
        self.script: defaultdict[str, list[Scripted]] = defaultdict(list)
        self.asked: list[Asked] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                told = scripted.reply(self.path, self.headers["SOAPAction"].strip('"'), content)
                if told is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(told[0])
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(told[1])))
                self.end_headers()
                self.wfile.write(told[1])

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def reply(self, path: str, action: str, content: bytes) -> Scripted:
        """Answer a request as the script says."""
        envelope = etree.fromstring(content)
        (body,) = envelope.find(f"{{{SOAP}}}Body")
        asked = Asked(path=path, action=action, session=envelope.findtext(".//{*}SessionToken"), body=body)
        self.asked.append(asked)
        if self.script[asked.name]:
            return self.script[asked.name].pop(0)
        if asked.name == "Login":
            return answer("LoginResponse", f"<SessionToken>s-{len(self.of('Login'))}</SessionToken>")
        if asked.name.startswith(("Get", "Retrieve")):
            return answer(
                f"{asked.name}Response",
                "".join(f"<RequestToken>{each}</RequestToken>" for each in asked.texts("RequestToken")),
            )
        return answer(f"{asked.name}Response", f"<RequestToken>t-{len(self.of(asked.name))}</RequestToken>")

    def of(self, name: str) -> list[Asked]:
        """Return the requests of one action so far."""
        return [each for each in self.asked if each.name == name]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
