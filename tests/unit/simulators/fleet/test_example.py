"""The example of docs/head_ends/simulators.md is a whole face."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import httpx

from simulators.fleet import process

PAGE = Path(__file__).resolve().parents[4] / "docs" / "head_ends" / "simulators.md"
PRELUDE = """
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from simulators.fleet.callbacks import Completion
from simulators.fleet.deliveries import Push
from simulators.fleet.face import Face, Kind
from simulators.fleet.faults import table
from simulators.fleet.headend import Misanswered
from simulators.fleet.jobs import Order, Submission
from simulators.fleet.process import cut
"""


def test_the_example_of_the_page_reads_meters_and_drops_files(tmp_path: Path) -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(PRELUDE + example, names)
    kind = names["KIND"]
    options = process.arguments(kind).parse_args(
        ["--meters", "3", "--latency", "0", "--failure-rate", "0", "--password", "x", "--folder", str(tmp_path)]
    )
    app = process.build(kind, options)
    assert app.state.head_end.face.row("http://x")["options"] == {"folder": str(tmp_path)}

    async def play() -> None:
        serial = next(iter(app.state.head_end.state.meters))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://drop") as client,
        ):
            answer = await client.post("/read", content=serial)
            assert answer.status_code == 202
            assert (await client.get(f"/read/{answer.text}")).json() == []  # it was never provisioned
            assert (await client.get("/control/meters")).json()["meters"][0]["serial"] == serial
            event = {"serial": serial, "code": "3.12.29.39"}
            assert (await client.post("/control/event", json=event)).status_code == 200
            async with asyncio.timeout(20):
                while not (files := list(tmp_path.glob("*.json"))):
                    await asyncio.sleep(0.01)
        [dropped] = [json.loads(file.read_text()) for file in files]
        assert [each["code"] for each in dropped["events"]] == ["3.12.29.39"]

    asyncio.run(play())
