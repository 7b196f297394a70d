"""The simulated clock runs, jumps, stands, and never goes back."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from simulators.clock import Clock, Rate, instant, stamp

REAL = datetime(2026, 1, 1, tzinfo=UTC)
EPOCH = datetime(2026, 3, 28, 10, tzinfo=UTC)


def publish(path: Path, *, epoch: datetime = EPOCH, speed: float = 60.0, anchor: datetime = REAL) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"anchor": stamp(anchor), "epoch": stamp(epoch), "speed": speed}))
    draft.replace(path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clock.json"
    publish(path)
    return path


class TestNow:
    def test_is_the_real_time_without_a_source(self) -> None:
        assert Clock(real=lambda: REAL).now() == REAL

    def test_runs_at_its_speed_from_its_epoch(self, source: Path) -> None:
        clock = Clock(str(source), real=lambda: REAL + timedelta(seconds=10))
        assert clock.now() == EPOCH + timedelta(minutes=10)

    def test_sees_a_jump_with_the_next_call(self, source: Path) -> None:
        clock = Clock(str(source), real=lambda: REAL)
        assert clock.now() == EPOCH
        publish(source, epoch=EPOCH + timedelta(days=1))
        assert clock.now() == EPOCH + timedelta(days=1)

    def test_never_goes_back(self, source: Path) -> None:
        clock = Clock(str(source), real=lambda: REAL)
        publish(source, epoch=EPOCH + timedelta(days=1))
        clock.now()
        publish(source)
        assert clock.now() == EPOCH + timedelta(days=1)

    @pytest.mark.parametrize(
        "content",
        [pytest.param("", id="half-written"), pytest.param('{"epoch": "2026-03-28T10:00:00Z"}', id="partial")],
    )
    def test_keeps_the_last_values_while_the_source_is_unreadable(self, source: Path, content: str) -> None:
        clock = Clock(str(source), real=lambda: REAL)
        source.write_text(content)
        assert clock.now() == EPOCH


class TestSleepUntil:
    def test_returns_when_the_source_jumps_past_the_instant(self, source: Path) -> None:
        async def sleep() -> bool:
            clock = Clock(str(source), real=lambda: REAL)
            sleeping = asyncio.create_task(clock.sleep_until(EPOCH + timedelta(hours=1)))
            await asyncio.sleep(0)
            assert not sleeping.done()
            publish(source, epoch=EPOCH + timedelta(hours=1))
            return await asyncio.wait_for(sleeping, 10)

        assert asyncio.run(sleep()) is True

    def test_ends_early_when_woken(self, source: Path) -> None:
        async def sleep() -> bool:
            wake = asyncio.Event()
            clock = Clock(str(source), real=lambda: REAL)
            sleeping = asyncio.create_task(clock.sleep_until(EPOCH + timedelta(hours=1), wake=wake))
            await asyncio.sleep(0)
            wake.set()
            return await asyncio.wait_for(sleeping, 10)

        assert asyncio.run(sleep()) is False


class TestWaitUntil:
    def test_ends_when_the_instant_has_come(self, source: Path) -> None:
        clock = Clock(str(source), real=lambda: REAL)
        assert clock.wait_until(EPOCH, stop=threading.Event()) is True

    def test_ends_when_stopped(self, source: Path) -> None:
        stop = threading.Event()
        stop.set()
        clock = Clock(str(source), real=lambda: REAL)
        assert clock.wait_until(EPOCH + timedelta(hours=1), stop=stop) is False


class TestUrl:
    @pytest.fixture
    def served(self) -> Iterator[tuple[str, dict[str, object]]]:
        values: dict[str, object] = {"anchor": stamp(REAL), "epoch": stamp(EPOCH), "speed": 1.0}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(values).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/clock", values
        server.shutdown()
        server.server_close()

    def test_sees_a_jump_at_once_when_refreshed(self, served: tuple[str, dict[str, object]]) -> None:
        url, values = served
        clock = Clock(url, real=lambda: REAL)
        assert clock.now() == EPOCH
        values["epoch"] = stamp(EPOCH + timedelta(days=1))
        assert asyncio.run(clock.refresh()) == EPOCH + timedelta(days=1)
        clock.close()

    def test_sees_a_jump_by_itself_soon(self, served: tuple[str, dict[str, object]]) -> None:
        url, values = served
        clock = Clock(url, real=lambda: REAL)
        values["epoch"] = stamp(EPOCH + timedelta(days=1))
        assert asyncio.run(asyncio.wait_for(clock.sleep_until(EPOCH + timedelta(days=1)), 10)) is True
        clock.close()


class TestRate:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param(
                '{"anchor": "2026-01-01T00:00:00", "epoch": "2026-01-01T00:00:00Z", "speed": 1}', id="no-zone"
            ),
            pytest.param('{"anchor": "2026-01-01T00:00:00Z", "epoch": "2026-01-01T00:00:00Z"}', id="no-speed"),
            pytest.param(
                '{"anchor": "2026-01-01T00:00:00Z", "epoch": "2026-01-01T00:00:00Z", "speed": -1}', id="backwards"
            ),
            pytest.param("[]", id="a-list"),
        ],
    )
    def test_refuses_what_is_no_clock(self, text: str) -> None:
        with pytest.raises(ValueError, match="not a clock"):
            Rate.from_json(text)


class TestStamp:
    def test_prints_utc_with_z_and_is_read_back(self) -> None:
        assert stamp(EPOCH) == "2026-03-28T10:00:00Z"
        assert instant("2026-03-28T11:00:00+01:00") == EPOCH

    def test_refuses_an_instant_without_zone(self) -> None:
        with pytest.raises(ValueError, match="no time zone"):
            instant("2026-03-28T11:00:00")
