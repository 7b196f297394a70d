"""A head end over real HTTP that answers what a test tells it, one answer per message, and keeps what it was sent."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from lxml import etree

from mdus.domain.channel_map import ChannelMap
from mdus.headends.cim.adapter import CimHeadEnd
from mdus.settings import HeadEnd as Row
from tests.head_ends import field
from tests.unit.headends.cim.messages import tables
from tests.unit.headends.samples import AT


class Scripted(NamedTuple):
    """An answer: None cuts the connection."""

    status: int
    body: bytes | None


class ScriptedCim:
    """Answers messages as `script` says, an entry per message."""

    def __init__(self) -> None:
        self.script: list[Scripted] = []
        self.sent: list[etree._Element] = []
        self.actions: list[str] = []
        self.authorizations: set[str] = set()
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                scripted.sent.append(etree.fromstring(body))
                scripted.actions.append(self.headers["SOAPAction"])
                scripted.authorizations.add(self.headers.get("Authorization", ""))
                status, content = scripted.script.pop(0)
                if content is None:
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

    def answer(self, body: bytes | None, status: int = 200) -> None:
        """Give the next message this answer."""
        self.script.append(Scripted(status, body))

    def text(self, path: str, number: int = -1) -> str | None:
        """Return a text of a message sent, by local names: `Header/Verb`."""
        found = self.elements(path, number)
        return found[0].text if found else None

    def elements(self, path: str, number: int = -1) -> list[etree._Element]:
        """Return the elements at a path of local names, below the message's root."""
        query = "/*/*[2]/*" if len(self.sent[number]) > 1 else "/*/*[1]/*"
        query += "".join(f"/*[local-name()='{name}']" for name in path.split("/"))
        found: list[etree._Element] = self.sent[number].getroottree().xpath(query)
        return found

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def row(url: str, **changes: Any) -> Row:
    """Return the configured head end `city`."""
    return field.row(url, **({"kind": "cim", "callback_url": "http://mdus/head-ends/city"} | changes))


def connected(
    scripted: ScriptedCim,
    *,
    channels: ChannelMap | None = None,
    devices_per_call: int = 1000,
    callback: bool = True,
    max_answer_bytes: int = 64 * 1024 * 1024,
    **options: Any,
) -> CimHeadEnd:
    """Return MDUS\'s side of the head end, with options of its own."""
    changes: dict[str, Any] = {
        "options": options,
        "devices_per_call": devices_per_call,
        "max_answer_bytes": max_answer_bytes,
    }
    found = row(scripted.url, **changes | ({} if callback else {"callback_url": None}))
    return CimHeadEnd(found, channels=channels or ChannelMap.of(tables(), head_end=found), now=lambda: AT)
