"""An answer over real HTTP is read as far as is allowed, whatever it says of its own length."""

from __future__ import annotations

import base64
import gzip
import threading
import tracemalloc
import zlib
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from mdus.messaging.bounded_call import Bounds, call
from mdus.messaging.retry import UncertainError

MOST = 1000


class Answering:
    """Answers every call with one body: with its length, or in chunks, as far as anybody reads them."""

    def __init__(self) -> None:
        self.status = 200
        self.pieces: list[bytes] = []
        self.headers: dict[str, str] = {}
        self.is_chunked = False
        self.asked: list[Mapping[str, str]] = []
        self.written = 0
        answering = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def do_GET(self) -> None:
                answering.asked.append(dict(self.headers))
                self.close_connection = True
                self.send_response(answering.status)
                length = {"Content-Length": str(sum(map(len, answering.pieces)))}
                framing = {"Transfer-Encoding": "chunked"} if answering.is_chunked else length
                for name, value in ({"Connection": "close"} | framing | answering.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    for piece in answering.pieces:
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if answering.is_chunked else piece)
                        answering.written += len(piece)
                    self.wfile.write(b"0\r\n\r\n" if answering.is_chunked else b"")
                except OSError:
                    pass  # nobody reads it any more

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def answering() -> Iterator[Answering]:
    head_end = Answering()
    yield head_end
    head_end.close()


@pytest.fixture
def client(answering: Answering) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=answering.url, auth=("mdus", "secret"), timeout=10, trust_env=False) as made:
        yield made


def get(client: httpx.Client, *, most: int = MOST, **named: Any) -> httpx.Response:
    bounds = Bounds(whose="city", most_bytes=most, setting="head_ends.city.max_answer_bytes", seconds=30)
    return call(client, named.pop("method", "GET"), "/", bounds=bounds, **named)


class TestAnAnswer:
    @pytest.mark.parametrize("is_chunked", [False, True], ids=["with its length", "in chunks"])
    @pytest.mark.parametrize("size", [0, MOST - 1, MOST])
    def test_that_is_as_large_as_it_may_be_is_whole(
        self, answering: Answering, client: httpx.Client, size: int, is_chunked: bool
    ) -> None:
        answering.is_chunked = is_chunked
        answering.pieces = [b"x" * each for each in (size // 2, size - size // 2) if each]
        answering.status = 503

        answer = get(client)

        assert (answer.status_code, answer.content) == (503, b"x" * size)

    def test_that_says_it_is_larger_is_not_read(self, answering: Answering, client: httpx.Client) -> None:
        answering.headers = {"Content-Length": str(10**12)}

        with pytest.raises(UncertainError) as error:
            get(client)

        assert str(error.value) == (
            "an answer of city has 1000000000000 bytes, and head_ends.city.max_answer_bytes is 1000: it was not read on"
        )

    def test_that_turns_out_larger_is_not_read_on(self, answering: Answering, client: httpx.Client) -> None:
        answering.is_chunked = True
        answering.pieces = [b"x" * 65536] * 10_000  # 625 MB

        with pytest.raises(UncertainError, match=r"of city has more than 1000 bytes, and .*max_answer_bytes is 1000"):
            get(client)

        client.close()
        assert answering.written < 100 * 1024 * 1024

    def test_by_one_byte_too_large_is_refused(self, answering: Answering, client: httpx.Client) -> None:
        answering.is_chunked = True
        answering.pieces = [b"x" * MOST, b"x"]

        with pytest.raises(UncertainError, match="more than 1000 bytes"):
            get(client)

    def test_is_asked_for_compressed_by_gzip_alone(self, answering: Answering, client: httpx.Client) -> None:
        get(client, method="POST", content=b"?", headers={"Content-Type": "text/xml"})

        (asked,) = answering.asked
        assert (asked["Accept-Encoding"], asked["Content-Type"]) == ("gzip", "text/xml")
        assert asked["Authorization"].startswith("Basic ")

    def test_is_asked_for_by_the_credentials_of_the_call_where_it_has_some(
        self, answering: Answering, client: httpx.Client
    ) -> None:
        get(client)
        get(client, auth=("p11", "w"))

        shown = [base64.b64decode(asked["Authorization"].removeprefix("Basic ")) for asked in answering.asked]
        assert shown == [b"mdus:secret", b"p11:w"]


class TestACompressedAnswer:
    @pytest.fixture(autouse=True)
    def compressed(self, answering: Answering) -> None:
        answering.headers = {"Content-Encoding": "gzip"}

    @pytest.mark.parametrize("size", [0, 1, MOST])
    def test_is_expanded(self, answering: Answering, client: httpx.Client, size: int) -> None:
        answering.pieces = [gzip.compress(b"x" * size)]

        assert get(client).content == b"x" * size

    def test_is_refused_as_soon_as_it_grows_too_large(self, answering: Answering, client: httpx.Client) -> None:
        answering.pieces = [gzip.compress(b"x" * (MOST + 1))]

        with pytest.raises(UncertainError, match="more than 1000 bytes"):
            get(client)

    def test_that_is_a_bomb_fills_no_memory(self, answering: Answering, client: httpx.Client) -> None:
        answering.pieces = [gzip.compress(b"\0" * 10_000_000)]
        assert len(answering.pieces[0]) < 20_000

        tracemalloc.start()
        try:
            with pytest.raises(UncertainError, match="more than 20000 bytes"):
                get(client, most=20_000)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert most < 1_000_000

    @pytest.mark.parametrize(
        ("pieces", "reason"),
        [
            pytest.param([b"no gzip"], "cannot be expanded", id="is none"),
            pytest.param([gzip.compress(b"x" * 500)[:-9]], "breaks off", id="cut off"),
        ],
    )
    def test_that_is_not_whole_is_unreadable(
        self, answering: Answering, client: httpx.Client, pieces: list[bytes], reason: str
    ) -> None:
        answering.pieces = pieces

        with pytest.raises(UncertainError, match=f"an answer of city {reason}"):
            get(client)

    @pytest.mark.parametrize(
        "pieces",
        [
            pytest.param([gzip.compress(b"x"), gzip.compress(b"y")], id="a second stream"),
            pytest.param([gzip.compress(b"x") + gzip.compress(b"y")], id="a second stream in the same piece"),
            pytest.param([gzip.compress(b"x"), b"\0"], id="anything else"),
        ],
    )
    def test_that_goes_on_behind_its_end_is_not_taken_in_part(
        self, answering: Answering, client: httpx.Client, pieces: list[bytes]
    ) -> None:
        answering.pieces = pieces[:1] if len(pieces) > 1 else [gzip.compress(b"x")]
        assert get(client).content == b"x"

        answering.pieces = pieces
        with pytest.raises(UncertainError, match="an answer of city goes on behind its compressed end"):
            get(client)

    def test_is_not_read_on_behind_its_end(self, answering: Answering, client: httpx.Client) -> None:
        answering.is_chunked = True
        answering.pieces = [gzip.compress(b"x"), *([b"\0" * 65536] * 10_000)]  # 625 MB

        with pytest.raises(UncertainError, match="an answer of city"):
            get(client, most=10**9)

        client.close()
        assert answering.written < 100 * 1024 * 1024

    @pytest.mark.parametrize("is_chunked", [False, True], ids=["with its length", "in chunks"])
    def test_is_bounded_as_it_is_sent_where_it_expands_to_nothing(
        self, answering: Answering, client: httpx.Client, is_chunked: bool
    ) -> None:
        answering.is_chunked = is_chunked
        empty = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
        answering.pieces = [empty.flush(zlib.Z_FULL_FLUSH), *([b"\0\0\0\xff\xff"] * 300), empty.flush()]
        sent = sum(map(len, answering.pieces))
        assert sent > MOST

        assert get(client, most=sent).content == b""
        with pytest.raises(UncertainError, match=f"an answer of city has .*max_answer_bytes is {sent - 1}"):
            get(client, most=sent - 1)

    def test_of_nothing_is_nothing(self, answering: Answering, client: httpx.Client) -> None:
        answering.status = 202

        assert get(client).content == b""

    @pytest.mark.parametrize("coding", ["gzip, gzip", "deflate", "br"])
    def test_in_another_coding_is_not_taken(self, answering: Answering, client: httpx.Client, coding: str) -> None:
        answering.headers = {"Content-Encoding": coding}
        answering.pieces = [gzip.compress(gzip.compress(b"x"))]

        with pytest.raises(UncertainError, match=f"in the coding '{coding}': only gzip is taken"):
            get(client)
