"""The head end in this process: its services over HTTP, what it pushes caught, and a clock that stands."""

from __future__ import annotations

import asyncio
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from simulators.clock import real_now, stamp
from simulators.fleet import process
from simulators.headend_token_poll import soap
from simulators.headend_token_poll.contract import NAMESPACES, meter_id
from simulators.headend_token_poll.face import KIND

START = datetime(2026, 3, 27, 10, 0, tzinfo=UTC)  # the Friday before summer time begins in Berlin
BASE = "http://mdus/head-ends/city"
REFERENCE = "0c2f8f0e-2f0c-4d42-9a52-1f3a3c0d7a11"
_PATIENCE = 20.0  # real seconds


class Stage:
    """A running head end of this kind: `async with stage:`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.now = START
        self._clock = folder / "clock.json"
        self._write_clock()
        given = ["--latency", "0", "--failure-rate", "0", "--event-rate", "0", "--hear-delay", "0", "--meters", "12"]
        given += ["--password", "secret", "--state", str(folder / "state.jsonl"), "--clock", str(self._clock)]
        given += ["--callback-url", BASE]
        self.options = process.arguments(KIND).parse_args([*given, *options])
        self.options.callback_password = "secret"
        self.app = process.build(KIND, self.options)
        self.head_end = self.app.state.head_end
        self.face = self.head_end.face
        self.face._client = httpx.AsyncClient(transport=httpx.MockTransport(self._take))
        self.pushed: list[tuple[str, ET.Element]] = []  # the path below the base, and the message
        self.refuses = 0  # pushes that are answered 503
        self.session: str | None = None
        self.meters = list(self.head_end.state.meters.values())

    async def __aenter__(self) -> Stage:
        self._running = self.app.router.lifespan_context(self.app)
        await self._running.__aenter__()
        self._api = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://city")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.aclose()
        await self._running.__aexit__(None, None, None)

    def _take(self, request: httpx.Request) -> httpx.Response:
        if self.refuses > 0:
            self.refuses -= 1
            return httpx.Response(503)
        _, message = soap.read(request.content)
        self.pushed.append((str(request.url).removeprefix(BASE), message))
        return httpx.Response(200)

    async def post(self, service: str, content: bytes, *, action: str = "") -> httpx.Response:
        """Post an envelope to a service."""
        return await self._api.post(f"/{service}", content=content, headers={"SOAPAction": f'"{action}"'})

    async def call(self, service: str, name: str, inside: str = "") -> httpx.Response:
        """Call an action in the session there is."""
        namespace = NAMESPACES[service]
        header = "" if self.session is None else f"<s:Header><SessionToken>{self.session}</SessionToken></s:Header>"
        body = f'<s:Body><{name} xmlns="{namespace}">{inside}</{name}></s:Body>'
        content = f'<s:Envelope xmlns:s="{soap.ENVELOPE}">{header}{body}</s:Envelope>'
        return await self.post(service, content.encode(), action=f"{namespace}/{service}/{name}")

    async def log_in(self) -> None:
        """Begin a session."""
        inside = "<UserName>mdus</UserName><Password>secret</Password>"
        answer = read(await self.call("SessionService", "Login", inside))
        self.session = soap.text(answer, "SessionToken")

    async def ask(self, service: str, name: str, *serials: str, inside: str = "") -> ET.Element:
        """Ask for something of meters; returns the answer."""
        return read(await self.call(service, name, self.request(*serials, inside=inside)))

    def request(self, *serials: str, inside: str = "", reference: str = REFERENCE) -> str:
        """Return the inside of a request."""
        endpoints = "".join(
            f"<Endpoint><ElectronicSerialNumber>{meter_id(each)}</ElectronicSerialNumber>{inside}</Endpoint>"
            for each in serials
        )
        return (
            f"<CallerReference>{reference}</CallerReference><StatusAddress>{BASE}/status</StatusAddress>"
            f"<ExpiresWhen>{stamp(self.now + timedelta(hours=1))}</ExpiresWhen><Endpoints>{endpoints}</Endpoints>"
        )

    async def fetch(self, service: str, name: str, token: str) -> ET.Element:
        """Fetch the result of a request."""
        return read(await self.call(service, f"Get{name}Result", f"<RequestToken>{token}</RequestToken>"))

    async def install(self, *, subscribed: bool = True) -> None:
        """Begin a session, subscribe, and let all meters be provisioned and heard."""
        await self.log_in()
        if subscribed:
            await self.subscribe()
        for meter in self.meters:
            registers = "".join(
                f"<Register><Quantity>{each.obis}</Quantity><Unit>{each.unit}</Unit><NumberOfDials>6</NumberOfDials>"
                "<Decimals>2</Decimals><Multiplier>1</Multiplier></Register>"
                for each in (*meter.registers, *meter.channels)
            )
            market = {"electricity": "Electric", "gas": "Gas", "water": "Water"}[meter.commodity]
            inside = f"<DeviceID>10{meter.serial}</DeviceID><MarketType>{market}</MarketType>"
            inside += f"<Registers>{registers}</Registers>"
            await self.ask("ProvisioningService", "AddMeterDefinitions", meter.serial, inside=inside)
        await self.idle()
        await self.head_end.collecting.hear_from([meter.serial for meter in self.meters], self.now)
        await self.idle()
        self.pushed.clear()

    async def subscribe(self) -> None:
        """Subscribe to data and exceptions."""
        for name, topic in (
            ("SubscribeToEndpointData", "data"),
            ("SubscribeToEndpointExceptionsByGroups", "exceptions"),
        ):
            inside = (
                f"<SystemName>MDUS</SystemName><Address>{BASE}/{topic}</Address><Groups><Group>ALL</Group></Groups>"
            )
            read(await self.call("SubscriptionService", name, inside))

    async def idle(self) -> None:
        """Wait until nothing is going on."""
        async with asyncio.timeout(_PATIENCE):
            while self.head_end.activity()["in_flight"]:
                await asyncio.sleep(0.005)

    async def advance(self, **delta: float) -> None:
        """Let simulated time pass, and all that happens in it happen."""
        self.now += timedelta(**delta)
        self._write_clock()
        await self.head_end.clock.refresh()
        await self.idle()

    def of(self, path: str) -> list[ET.Element]:
        """Return what was pushed there."""
        return [message for where, message in self.pushed if where == path]

    @property
    def switched(self) -> str:
        """Return the serial number of a meter with a breaker."""
        return str(next(meter.serial for meter in self.meters if meter.breaker is not None))

    def _write_clock(self) -> None:
        draft = self._clock.with_suffix(".draft")
        draft.write_text(json.dumps({"anchor": stamp(real_now()), "epoch": stamp(self.now), "speed": 0.0}))
        draft.replace(self._clock)


def read(answer: httpx.Response) -> ET.Element:
    """Return the message of an answer that is none of a fault."""
    assert answer.status_code == 200, answer.text
    return soap.read(answer.content)[1]


def fault(answer: httpx.Response) -> tuple[str, str]:
    """Return the code of a fault, and whose it is."""
    assert answer.status_code == 500, answer.text
    message = soap.read(answer.content)[1]
    return soap.texts(message, "Code")[0], soap.text(message, "faultcode")


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Stage]:
    """Makes head ends with options of the command line; a second one goes on where the first one ended."""

    def make(*options: str) -> Stage:
        return Stage(tmp_path, *options)

    return make
