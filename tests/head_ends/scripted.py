"""A head end over real HTTP that follows a script: what the next submits do, and what is answered when it is asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_ENDLESS = b"and so on"


class ScriptedHeadEnd:
    """Takes jobs as `script` says, one entry per submit, then accepts everything.

    Entries: `accept`; `reject CODE` (each device); `503`, `422` ... (that status, nothing done); `cut` (connection
    closed, nothing done); `done, then cut` (carried out, connection closed); `nonsense` (202 with an unreadable body);
    `done, then endless` (carried out, answered by what says that it is a terabyte).
    """

    def __init__(self) -> None:
        self.script: list[str] = []
        self.submitted: list[dict[str, Any]] = []  # bodies of POST /v1/jobs, whatever became of them
        self.jobs: dict[str, dict[str, Any]] = {}  # by token
        self.meters: list[dict[str, Any]] = []
        self.snapshots: list[dict[str, Any]] = []
        self.blocks: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.asked: list[str] = []  # GET requests
        self.capabilities: dict[str, Any] | None = None  # None: it does not know the question
        self.down = False  # answers every GET with 503
        self.says = "scripted"  # the text of a rejection
        self.authorizations: set[str] = set()
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                scripted.authorizations.add(self.headers.get("Authorization", ""))
                answer = scripted.submit(body)
                if answer is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                self._answer(*answer)

            def do_GET(self) -> None:
                scripted.asked.append(self.path)
                self._answer(*scripted.get(self.path))

            def _answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content) if content != _ENDLESS else 10**12))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def submit(self, body: Mapping[str, Any]) -> tuple[int, bytes] | None:
        """Do what the script says with a submit; None cuts the connection."""
        self.submitted.append(dict(body))
        step = self.script.pop(0) if self.script else "accept"
        if step == "cut":
            return None
        if step.isdigit():
            return int(step), json.dumps({"title": "scripted", "detail": f"as scripted: {step}"}).encode()
        code = step.removeprefix("reject ") if step.startswith("reject ") else None
        token = f"t-{len(self.submitted)}"
        rejected = [
            {"serial": device["serial"], "reference": device["reference"], "code": code, "text": self.says}
            for device in body["devices"]
            if code is not None
        ]
        self.jobs[token] = {
            "token": token,
            "correlation_id": body["correlation_id"],
            "kind": body["kind"],
            "accepted": len(body["devices"]) - len(rejected),
            "rejected": rejected,
            "results": [],
        }
        if step == "done, then cut":
            return None
        if step == "done, then endless":
            return 202, _ENDLESS
        if step == "nonsense":
            return 202, b"<html>it works</html>"
        return 202, json.dumps(self.jobs[token]).encode()

    def get(self, path: str) -> tuple[int, bytes]:
        """Answer a question."""
        if self.down:
            return 503, b"{}"
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match parts.path.split("/")[2:]:
            case ["jobs"]:
                found = [job for job in self.jobs.values() if job["correlation_id"] == query["correlation_id"]]
                return 200, json.dumps({"jobs": found}).encode()
            case ["jobs", token] if token in self.jobs:
                return 200, json.dumps(self.jobs[token]).encode()
            case ["capabilities"] if self.capabilities is not None:
                return 200, json.dumps(self.capabilities).encode()
            case ["meters"]:
                return 200, self._page("meters", self.meters, query)
            case ["snapshots"]:
                return 200, self._page("readings", self.snapshots, query)
            case ["intervals"]:
                return 200, self._page("blocks", self.blocks, query)
            case ["events"]:
                return 200, self._page("events", self.events, query)
            case _:
                return 404, b"{}"

    def _page(self, name: str, rows: list[dict[str, Any]], query: Mapping[str, str]) -> bytes:
        # Two rows a page, whatever was asked for: the client must follow the cursor.
        start = int(query.get("cursor", "0"))
        end = start + 2
        return json.dumps({name: rows[start:end], "next_cursor": str(end) if end < len(rows) else None}).encode()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
