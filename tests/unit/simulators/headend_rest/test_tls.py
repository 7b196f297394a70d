"""The head end behind TLS, with an authority of its own, and the fault of a certificate of another one."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from simulators.fleet.process import arguments
from simulators.headend_file_drop.face import KIND as FILE_DROP
from tests.unit.simulators.headend_rest.conftest import PATIENCE, RunningHeadEnd

_FAULT = "tls_certificate_rollover"
_NOT_TRUSTED = "unable to get local issuer certificate"

Connect = Callable[[], httpx.Client]


@pytest.fixture
def behind_tls(run: Callable[..., RunningHeadEnd], tmp_path: Path) -> RunningHeadEnd:
    return run("--tls", str(tmp_path / "tls"))


@pytest.fixture
def connect(behind_tls: RunningHeadEnd) -> Iterator[Connect]:
    """Makes clients that trust its authority, with no connection yet."""
    clients: list[httpx.Client] = []

    def connected() -> httpx.Client:
        trusted = ssl.create_default_context(cafile=behind_tls.row["ca_file"])
        url, auth = behind_tls.row["url"], ("mdus", "secret")
        clients.append(httpx.Client(base_url=url, auth=auth, verify=trusted, timeout=PATIENCE, trust_env=False))
        return clients[-1]

    yield connected
    for client in clients:
        client.close()


def submit(client: httpx.Client, meter: dict[str, Any]) -> httpx.Response:
    devices = [{"serial": meter["serial"], "reference": "r", "state": "disconnected"}]
    return client.post("/v1/jobs", json={"correlation_id": str(uuid4()), "kind": "switch", "devices": devices})


class TestFront:
    def test_passes_everything_on(self, behind_tls: RunningHeadEnd, connect: Connect) -> None:
        behind_tls.provision()
        meter = behind_tls.meters("LX100-SW")[0]
        client = connect()
        assert behind_tls.row["url"].startswith("https://127.0.0.1:")
        assert len(client.get("/v1/meters").raise_for_status().json()["meters"]) == 20
        assert submit(client, meter).status_code == 202
        behind_tls.idle()
        assert behind_tls.get("/control/switches")[meter["serial"]]["state"] == "disconnected"

    def test_cuts_what_is_cut_behind_it(self, behind_tls: RunningHeadEnd, connect: Connect) -> None:
        behind_tls.provision()
        meter = behind_tls.meters("LX100-SW")[0]
        behind_tls.control("faults", name="never_answers")
        with pytest.raises(httpx.TransportError) as cut:
            submit(connect(), meter)
        assert not isinstance(cut.value, httpx.ConnectError)
        assert submit(connect(), meter).status_code == 202

    def test_is_trusted_by_nobody_who_does_not_know_its_authority(self, behind_tls: RunningHeadEnd) -> None:
        with pytest.raises(httpx.ConnectError, match=_NOT_TRUSTED):
            httpx.get(f"{behind_tls.row['url']}/v1/meters", trust_env=False)

    def test_keeps_its_authority_over_a_restart(self, behind_tls: RunningHeadEnd, connect: Connect) -> None:
        before = Path(behind_tls.row["ca_file"]).read_bytes()
        behind_tls.kill()
        behind_tls.start()
        assert Path(behind_tls.row["ca_file"]).read_bytes() == before
        assert connect().get("/v1/meters").status_code == 200


class TestRollover:
    def test_refuses_new_connections_for_a_minute(self, behind_tls: RunningHeadEnd, connect: Connect) -> None:
        behind_tls.provision()
        meter = behind_tls.meters("LX100-SW")[0]
        kept = connect()
        kept.get("/v1/meters").raise_for_status()
        behind_tls.control("faults", name=_FAULT)
        for seconds in (0, 59):
            behind_tls.advance(seconds=seconds)
            with pytest.raises(httpx.ConnectError, match=_NOT_TRUSTED):
                submit(connect(), meter)
        assert kept.get("/v1/meters").status_code == 200  # a connection that stood goes on
        assert behind_tls.get("/control/switch_counts") == {}
        behind_tls.advance(seconds=1)
        assert submit(connect(), meter).status_code == 202
        fired = behind_tls.get("/control/faults")["fired"][_FAULT]
        assert (fired["count"], fired["hits"][0]["kind"]) == (1, "handshake")

    def test_cannot_be_had_without_tls(self, head_end: RunningHeadEnd) -> None:
        assert head_end.api.post("/control/faults", json={"name": _FAULT}).status_code == 422
        assert _FAULT not in head_end.get("/control/faults")["fired"]

    def test_is_not_of_kinds_that_speak_no_http(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            arguments(FILE_DROP).parse_args(["--tls", "folder"])
        assert "--tls" in capsys.readouterr().err
