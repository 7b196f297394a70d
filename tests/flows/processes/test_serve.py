"""`mdus serve` as a real process: messages go all the way, workers are kept running, all ends in good order."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.flows.intake.messages import create_device, new_uuid
from tests.flows.processes.running import Mdus, is_running, mdus, sap, until

AUTH = ("sap", "secret")
CREDENTIALS = {"MDUS_AUTH__USER": "sap", "MDUS_AUTH__PASSWORD": "secret"}
HEAD_ENDS = """
[[head_ends]]
name = "north"
kind = "rest"
url = "http://127.0.0.1:9"
ams_ids = ["AM01"]
"""


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """Settings of an installation with one head end, which is never reached."""
    config = tmp_path / "config"
    config.mkdir()
    (config / "head_ends.toml").write_text(HEAD_ENDS)
    return {**CREDENTIALS, "MDUS_CONFIG": str(config), "MDUS_DATABASE__URL": f"sqlite:///{tmp_path / 'mdus.db'}"}


def post(running: Mdus, body: bytes) -> int:
    return httpx.post(f"{running.url}/sap", content=body, headers={"Content-Type": "text/xml"}, auth=AUTH).status_code


def messages(running: Mdus, **filters: str) -> list[dict[str, object]]:
    answer = httpx.get(f"{running.url}/api/v1/messages", params=filters, auth=AUTH)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def ready(running: Mdus) -> bool:
    return httpx.get(f"{running.url}/readyz").status_code == 200


class TestServe:
    def test_device_is_created_and_confirmed_on_a_fresh_file(self, tmp_path: Path, settings: dict[str, str]) -> None:
        uuid = new_uuid()
        with (
            sap() as (url, received),
            mdus("serve", "--port", "0", folder=tmp_path, MDUS_CIS__URL=url, **settings) as served,
        ):
            assert post(served, create_device(uuid=uuid)) == 202
            (interface, body) = until(lambda: received and received[0], what="the confirmation")
            assert interface == "UtilitiesDeviceERPSmartMeterCreateConfirmation_In"
            assert uuid in body.decode()
            assert b"<BusinessDocumentProcessingResultCode>3<" in body
            until(
                lambda: [one["status"] for one in messages(served)] == ["delivered", "completed"],
                what="both messages at their end",
            )
            assert ready(served)
            assert httpx.get(f"{served.url}/clock").status_code == 404  # real time is not to be steered
            metrics = httpx.get(f"{served.url}/metrics").text
            assert "mdus_messages_received_total" in metrics  # counted by HTTP
            assert 'mdus_items_total{outcome="done"' in metrics  # counted by the worker
            assert f'mdus_sap_call_seconds_count{{interface="{interface}",result="delivered"}} 1.0' in metrics
            assert 'mdus_confirmed_seconds_count{service="UtilitiesDeviceERPSmartMeterCreateRequest"} 1.0' in metrics
            assert 'name="leader"} ' in metrics  # read from the tables
            assert "mdus_disk_free_bytes " in metrics
            assert served.end() == 0

    def test_worker_that_dies_is_started_again(self, tmp_path: Path, settings: dict[str, str]) -> None:
        with (
            sap() as (url, received),
            mdus("serve", "--port", "0", folder=tmp_path, MDUS_CIS__URL=url, **settings) as served,
        ):
            first = int(served.event("worker_started")["pid"])
            served.event("worker_works")
            os.kill(first, signal.SIGKILL)
            second = int(served.event("worker_started", count=2)["pid"])
            assert second != first
            served.event("worker_works", count=2)
            assert post(served, create_device()) == 202
            until(lambda: received, what="the confirmation")
            assert served.end() == 0
            assert not is_running(second)

    def test_all_ends_with_a_server_that_is_killed_and_goes_on_with_the_next(
        self, tmp_path: Path, settings: dict[str, str]
    ) -> None:
        with mdus("serve", "--port", "0", folder=tmp_path, **settings) as served:
            worker = int(served.event("worker_works")["pid"])
            assert post(served, create_device()) == 202
            served.process.kill()
            served.process.wait()
            until(lambda: not is_running(worker), what="the end of the worker")
            with (
                sap() as (url, received),
                mdus("serve", "--port", "0", folder=tmp_path, name="again", MDUS_CIS__URL=url, **settings) as again,
            ):
                until(lambda: received, what="the confirmation")
                assert again.end() == 0

    def test_without_workers_only_takes_in(self, tmp_path: Path, settings: dict[str, str]) -> None:
        with mdus("serve", "--port", "0", "--no-workers", folder=tmp_path, **settings) as served:
            assert post(served, create_device()) == 202
            assert ready(served)
            assert [one["status"] for one in messages(served)] == ["received"]
            assert served.events("worker_started") == []
            assert served.end() == 0
            with mdus("work", folder=tmp_path, name="worker", **settings) as worker:
                worker.event("worker_works")
                file = tmp_path / "mdus.db"

                def completed() -> bool:
                    with sqlite3.connect(file) as connection:
                        query = "SELECT count(*) FROM message WHERE direction = 'in' AND status = 'completed'"
                        return bool(connection.execute(query).fetchone()[0])

                until(completed, what="the message decided")
                assert worker.end() == 0

    def test_workers_follow_a_steered_clock(self, tmp_path: Path, settings: dict[str, str]) -> None:
        with mdus("serve", "--port", "0", "--simulated-clock", folder=tmp_path, name="simulated", **settings) as served:
            day = datetime(2031, 3, 28, 12, tzinfo=UTC)

            def enqueued() -> bool:
                """Jump a day and tell whether the worker has enqueued one of the days jumped over."""
                nonlocal day
                day += timedelta(days=1)
                assert httpx.post(f"{served.url}/clock", json={"jump_to": day.isoformat()}).status_code == 200
                slots = [slot for event in served.events("slots_enqueued") for slot in event["slots"]]
                return any(slot.startswith("reconcile 2031-") for slot in slots)

            until(enqueued, what="the slots of the days jumped over")
            assert served.end() == 0
        refused = run("serve", "--port", "0", folder=tmp_path, **settings)
        assert refused.returncode == 1
        assert "simulated clock" in refused.stderr


def run(*arguments: str, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MDUS_", "PROMETHEUS_"))}
    return subprocess.run(
        [sys.executable, "-m", "mdus", *arguments],
        env={**kept, **settings},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class TestRefusals:
    def test_are_told_without_a_traceback(self, tmp_path: Path) -> None:
        refused = run("serve", "--host", "0.0.0.0", folder=tmp_path)
        assert refused.returncode == 1
        assert "MDUS_AUTH__USER" in refused.stderr
        assert "Traceback" not in refused.stderr
