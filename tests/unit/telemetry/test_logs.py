"""Log lines: one form for all, correlated by message, never a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from mdus.telemetry.logs import REDACTED, configure, correlated, logger


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, configured = root.handlers, root.level, structlog.get_config()
    structlog.reset_defaults()
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**configured)


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


class TestConfigure:
    def test_writes_one_json_object_per_line(self, stream: io.StringIO) -> None:
        configure(form="json", level="info", stream=stream)
        logger("mdus.x").info("message_received", items=3)
        (line,) = lines(stream)
        assert (line["event"], line["items"], line["level"], line["logger"]) == (
            "message_received",
            3,
            "info",
            "mdus.x",
        )
        assert line["at"].endswith("Z")

    def test_writes_for_people_on_the_console(self, stream: io.StringIO) -> None:
        configure(form="console", level="info", stream=stream)
        logger("mdus.x").info("message_received", items=3)
        assert "message_received" in stream.getvalue()
        assert "items=3" in stream.getvalue()

    def test_leaves_out_what_is_below_the_level(self, stream: io.StringIO) -> None:
        configure(form="json", level="warning", stream=stream)
        logger("mdus.x").info("quiet")
        logger("mdus.x").warning("loud")
        assert [line["event"] for line in lines(stream)] == ["loud"]

    def test_gives_lines_of_libraries_the_same_form(self, stream: io.StringIO) -> None:
        configure(form="json", level="info", stream=stream)
        logging.getLogger("a.library").info("started on %s", 8080)
        assert lines(stream)[0]["event"] == "started on 8080"


class TestCorrelated:
    def test_adds_the_message_to_every_line_inside_and_to_none_outside(self, stream: io.StringIO) -> None:
        configure(form="json", level="info", stream=stream)
        with correlated(message_uuid="u-1"):
            logger("mdus.x").info("inside")
            logging.getLogger("a.library").info("library inside")
        logger("mdus.x").info("outside")
        assert [line.get("message_uuid") for line in lines(stream)] == ["u-1", "u-1", None]


class TestRedaction:
    @pytest.mark.parametrize(
        "key", ["password", "callback_password", "Authorization", "client_secret", "street", "city"]
    )
    def test_hides_what_is_secret_or_personal_by_its_key(self, stream: io.StringIO, key: str) -> None:
        configure(form="json", level="info", stream=stream)
        logger("mdus.x").info("event_name", **{key: "open sesame"})
        assert lines(stream)[0][key] == REDACTED

    @pytest.mark.parametrize("key", ["device_id", "token", "head_end"])
    def test_leaves_ids_as_they_are(self, stream: io.StringIO, key: str) -> None:
        configure(form="json", level="info", stream=stream)
        logger("mdus.x").info("event_name", **{key: "0000123"})
        assert lines(stream)[0][key] == "0000123"

    def test_hides_the_password_of_an_address(self, stream: io.StringIO) -> None:
        configure(form="json", level="info", stream=stream)
        logger("mdus.x").info("connected", url="postgresql://mdus:sesame@db/mdus")
        assert lines(stream)[0]["url"] == f"postgresql://mdus:{REDACTED}@db/mdus"

    def test_hides_a_known_secret_wherever_it_stands(self, stream: io.StringIO) -> None:
        configure(form="json", level="info", secrets=["open sesame"], stream=stream)
        try:
            raise ValueError("refused: open sesame")
        except ValueError:
            logger("mdus.x").exception("failed", rows=[{"text": "say open sesame"}])
        assert "sesame" not in stream.getvalue()
        assert "ValueError: refused" in lines(stream)[0]["exception"]

    def test_does_not_blank_out_lines_for_a_secret_too_short_to_be_one(self, stream: io.StringIO) -> None:
        configure(form="json", level="info", secrets=["a"], stream=stream)
        logger("mdus.x").info("plain")
        assert lines(stream)[0]["event"] == "plain"
