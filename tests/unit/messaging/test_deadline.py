"""A call ends in time as a whole, however slowly its answer drips: by a clock and connections of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest

from mdus.messaging.bounded_call import Bounds, call

SECONDS = 30.0
BOUNDS = Bounds(whose="city", most_bytes=1000, setting="head_ends.city.max_answer_bytes", seconds=SECONDS)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Clock:
    """A clock that stands until a connection waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Slow:
    """Opens connections, and is one, on which each thing takes so many seconds: or the time-out, if that is less."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.pieces: list[bytes] = []
        self.connecting = self.encrypting = self.reading = self.writing = 0.0
        self.written = b""
        self.opened = 0

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, **_: Any) -> Slow:
        self._wait(self.connecting, timeout, httpx.ConnectTimeout)
        self.opened += 1
        return self

    def start_tls(self, context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Slow:
        self._wait(self.encrypting, timeout, httpx.ConnectTimeout)
        return self

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._wait(self.reading, timeout, httpx.ReadTimeout)
        return self.pieces.pop(0) if self.pieces else b""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._wait(self.writing, timeout, httpx.WriteTimeout)
        self.written += buffer

    def get_extra_info(self, info: str) -> bool | None:
        return False if info == "is_readable" else None

    def close(self) -> None:
        pass

    def _wait(self, seconds: float, timeout: float | None, late: type[httpx.TimeoutException]) -> None:
        assert timeout is not None
        if seconds > timeout:
            self.clock.now += timeout
            raise late("timed out")
        self.clock.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def slow(clock: Clock) -> Slow:
    return Slow(clock)


@pytest.fixture
def get(slow: Slow, clock: Clock) -> Iterator[Callable[..., bytes]]:
    """Calls by a client that would wait for each piece as long as for the whole."""
    with httpx.Client(timeout=SECONDS, trust_env=False) as client:
        client._transport._pool._network_backend = slow  # type: ignore[attr-defined]

        def made(url: str = "http://city/", **named: Any) -> bytes:
            return call(client, "POST", url, bounds=BOUNDS, monotonic=clock, **named).content

        yield made


class TestAnAnswer:
    @pytest.mark.parametrize(
        ("in_time", "too_late"),
        [
            pytest.param(
                [HEAD[:9], HEAD[9:20], HEAD[20:] + b"done"], [HEAD[:9], HEAD[9:20], HEAD[20:], b"done"], id="head"
            ),
            pytest.param([HEAD + b"d", b"o", b"ne"], [HEAD + b"d", b"o", b"n", b"e"], id="body"),
            pytest.param(
                [CHUNKED, b"4\r\n", b"done\r\n0\r\n\r\n"], [CHUNKED, b"4\r\n", b"done\r\n", b"0\r\n\r\n"], id="chunks"
            ),
        ],
    )
    def test_that_drips_is_waited_for_as_long_as_for_a_whole_one(
        self,
        get: Callable[..., bytes],
        slow: Slow,
        clock: Clock,
        in_time: Sequence[bytes],
        too_late: Sequence[bytes],
    ) -> None:
        slow.reading = SECONDS / 3
        slow.pieces = [*in_time]
        assert get() == b"done"

        slow.pieces, begun = [*too_late], clock.now
        with pytest.raises(httpx.ReadTimeout):
            get()
        assert clock.now - begun == SECONDS

    def test_that_breaks_off_with_time_left_is_waited_for_no_longer(
        self, get: Callable[..., bytes], slow: Slow, clock: Clock
    ) -> None:
        slow.reading, slow.pieces, begun = SECONDS * 0.6, [HEAD, b"done"], clock.now

        with pytest.raises(httpx.ReadTimeout):
            get()
        assert clock.now - begun == SECONDS

    def test_has_its_own_time_on_a_connection_that_was_kept(self, get: Callable[..., bytes], slow: Slow) -> None:
        slow.reading = SECONDS * 0.9
        for _ in range(3):
            slow.pieces = [HEAD + b"done"]
            assert get() == b"done"

        assert slow.opened == 1


class TestWhatComesBeforeIt:
    """The time of a call is one: an answer has what is left of it."""

    @pytest.mark.parametrize(
        ("before", "url"),
        [("connecting", "http://city/"), ("encrypting", "https://city/")],
        ids=["a connection", "its encryption"],
    )
    def test_counts(self, get: Callable[..., bytes], slow: Slow, clock: Clock, before: str, url: str) -> None:
        setattr(slow, before, SECONDS / 2)
        slow.pieces, slow.reading, begun = [HEAD + b"done"], SECONDS / 2, clock.now
        assert get(url) == b"done"
        assert clock.now - begun == SECONDS

    @pytest.mark.parametrize("before", ["connecting", "encrypting"])
    def test_is_given_up_before_anything_was_sent(self, get: Callable[..., bytes], slow: Slow, before: str) -> None:
        setattr(slow, before, SECONDS + 1)

        with pytest.raises(httpx.ConnectTimeout):
            get("https://city/")
        assert slow.written == b""

    def test_leaves_an_answer_no_time_when_it_took_all(
        self, get: Callable[..., bytes], slow: Slow, clock: Clock
    ) -> None:
        slow.connecting, slow.encrypting, begun = SECONDS / 2, SECONDS / 2, clock.now

        with pytest.raises(httpx.WriteTimeout, match="the call took more than 30 seconds"):
            get("https://city/")
        assert (clock.now - begun, slow.written) == (SECONDS, b"")

    def test_is_a_request_that_is_taken_slowly_too(self, get: Callable[..., bytes], slow: Slow, clock: Clock) -> None:
        slow.writing, begun = SECONDS / 4, clock.now

        with pytest.raises(httpx.WriteTimeout):
            get(content=b"x" * 1_000_000)
        assert clock.now - begun == SECONDS
        assert len(slow.written) < 1_000_000

        slow.pieces = [HEAD + b"done"]
        assert get(content=b"x") == b"done"


class TestOtherClients:
    def test_keep_their_own_time_outs(self, slow: Slow, clock: Clock, get: Callable[..., bytes]) -> None:
        slow.pieces = [HEAD + b"done"]
        get()
        slow.reading, slow.pieces = SECONDS * 0.9, [HEAD, b"do", b"ne"]
        with httpx.Client(timeout=SECONDS, trust_env=False) as other:
            other._transport._pool._network_backend = slow  # type: ignore[attr-defined]

            assert other.get("http://city/").content == b"done"

    def test_need_no_connections(self, clock: Clock) -> None:
        told = httpx.MockTransport(lambda _: httpx.Response(200, stream=httpx.ByteStream(b"done")))
        with httpx.Client(transport=told) as client:
            assert call(client, "GET", "http://city/", bounds=BOUNDS, monotonic=clock).content == b"done"
