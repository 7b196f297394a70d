"""The walk through of docs/rest.md, step by step against a running landscape: MDUS, a head end and a SAP."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from simulators.landscape.processes import free_ports
from tests.flows.processes.running import mdus, sap, until

PAGE = (Path(__file__).parents[2] / "docs" / "rest.md").read_text()
_STEP = re.compile(
    r"```walk\n(?P<method>GET|POST) (?P<path>\S+)\n(?P<rest>.*?)```\n→ (?P<status>\d+) (?P<told>[^\n]+)", re.DOTALL
)
_HEADER = re.compile(r"^(?P<name>[A-Za-z-]+): (?P<value>.*)$", re.MULTILINE)
_EXPECTED = re.compile(r"(?P<eventually>eventually )?`(?P<member>[\w.]+)` is (?P<value>.+)")


class Step(NamedTuple):
    """What is asked, and what the page says is answered."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str
    status: int
    told: str


def _steps() -> Iterator[Step]:
    for found in _STEP.finditer(PAGE):
        head, brace, body = found["rest"].partition("{")
        headers = {one["name"]: one["value"] for one in _HEADER.finditer(head)}
        yield Step(found["method"], found["path"], headers, brace + body, int(found["status"]), found["told"])


STEPS = list(_steps())


class Landscape(NamedTuple):
    """Where MDUS is, who asks, and the serial number of a meter with a breaker."""

    client: httpx.Client
    serial: str


@pytest.fixture(scope="module")
def landscape(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Landscape]:
    folder = tmp_path_factory.mktemp("walk")
    port, at_head_end = free_ports(2)
    pushes = f"http://127.0.0.1:{port}/head-ends/city"
    config = folder / "config"
    config.mkdir()
    (config / "head_ends.toml").write_text(
        f'[[head_ends]]\nname = "city"\nkind = "rest"\nurl = "http://127.0.0.1:{at_head_end}"\nuser = "mdus"\n'
        f'password = "secret"\ncallback_url = "{pushes}"\ncallback_user = "city"\ncallback_password = "secret"\n'
        'ams_ids = ["AM01"]\n'
    )
    options = {
        "--port": str(at_head_end),
        "--meters": "20",
        "--password": "secret",
        "--callback-user": "city",
        "--callback-password": "secret",
        "--callback-url": pushes,
        "--latency": "0.2",
        "--hear-delay": "1",
        "--failure-rate": "0",
        "--event-rate": "0",
        "--parent": str(os.getpid()),
    }
    command = [sys.executable, "-m", "simulators.headend_rest", *(part for pair in options.items() for part in pair)]
    head_end = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert head_end.stdout is not None
        head_end.stdout.readline()
        meters = httpx.get(f"http://127.0.0.1:{at_head_end}/control/meters").json()["meters"]
        serial = next(
            meter["serial"]
            for meter in meters
            if meter["has_breaker"] and any(one["obis"] == "1-0:1.8.0*255" for one in meter["registers"])
        )
        settings = {"MDUS_CONFIG": str(config), "MDUS_DATABASE__URL": f"sqlite:///{folder / 'mdus.db'}"}
        with (
            sap() as (url, _),
            mdus("serve", "--port", str(port), folder=folder, MDUS_CIS__URL=url, **settings) as served,
        ):
            address = served.url
            with mdus("token", "create", "portal", "--role", "admin", folder=folder, name="token", **settings) as made:
                assert made.process.wait(60) == 0
            token = made.log.read_text().split()[-1]
            with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
                yield Landscape(client, serial)
    finally:
        head_end.kill()
        head_end.wait()
        if head_end.stdout is not None:
            head_end.stdout.close()


def test_has_steps() -> None:
    assert len(STEPS) >= 15
    assert PAGE.count("```walk\n") == len(STEPS)


@pytest.mark.timeout(240)
def test_every_step_is_answered_as_the_page_says(landscape: Landscape) -> None:
    earlier: dict[str, Any] = {}
    for step in STEPS:
        _take(step, landscape, earlier)


def _take(step: Step, landscape: Landscape, earlier: dict[str, Any]) -> None:
    """Ask as the page does, and hold the answer against what it says."""

    def answer() -> httpx.Response:
        body = step.body.replace("0000001234", landscape.serial).replace("TODAY", date.today().isoformat())  # noqa: DTZ011
        content = {"json": json.loads(body.replace("NOW", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"))} if body else {}
        return landscape.client.request(step.method, step.path, headers=step.headers, **content)

    named = f"{step.method} {step.path}: {step.told}"
    first = answer()
    assert first.status_code == step.status, f"{named}\n{first.text}"
    if step.told.startswith("a stream with"):
        assert step.told.removeprefix("a stream with ").strip("`") in first.text, first.text
        return
    expected = _EXPECTED.fullmatch(step.told)
    assert expected is not None, named
    if expected["eventually"]:
        until(lambda: _holds(answer().json(), expected["member"], expected["value"], {}), what=named)
    else:
        assert _holds(first.json(), expected["member"], expected["value"], earlier), f"{named}\n{first.text}"
    earlier[expected["member"]] = _member(first.json(), expected["member"])
    earlier["id"] = first.json().get("id") if isinstance(first.json(), dict) else None


def _member(content: Any, path: str) -> Any:
    for name in path.split("."):
        try:
            content = content[int(name)] if isinstance(content, list) else content[name]
        except (IndexError, KeyError, TypeError):
            return None
    return content


def _holds(content: Any, path: str, value: str, earlier: Mapping[str, Any]) -> bool:
    found = _member(content, path)
    if value == "set":
        return found is not None
    if value == "empty":
        return found == []
    if value == "the same":
        return found is not None and found == earlier.get(path)
    return (json.dumps(found) if isinstance(found, bool) else str(found)) == value.strip("`")
