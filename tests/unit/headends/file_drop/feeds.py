"""Feeds of files as a row of config/head_ends.toml describes them, and what is decoded of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mdus.bootstrap.discovery import discover
from mdus.domain.head_end import Decode, FieldEvent, RawDelivery, UnreadableLine
from mdus.headends.file_drop import HEAD_END
from mdus.settings import HeadEnd as Row
from mdus.settings import load_settings


def row(**options: Any) -> Row:
    """Return the head end `files` with these options."""
    return Row(name="files", kind="file_drop", time_zone="Europe/Berlin", options=options)


def decoder(tables: str = "", **options: Any) -> Decode:
    """Return what decodes the files of a feed with these options, under tables of the utility's own (TOML)."""
    with TemporaryDirectory() as folder:
        Path(folder, "own.toml").write_text(tables)
        settings = load_settings({"MDUS_CONFIG": folder}, tables=discover().tables)
    return HEAD_END.decoder(settings, row(**options))


def told(
    decode: Decode, topic: str, body: bytes, *, came_at: datetime | None = None
) -> tuple[list[Any], list[tuple[int, str]]]:
    """Return what a body that came at an instant tells, and the lines of it that cannot be read."""
    raw = RawDelivery(topic=topic, correlation="", body=body, received_at=came_at)
    events: list[FieldEvent] = list(decode(raw))
    wrong = [(event.line, event.reason) for event in events if isinstance(event, UnreadableLine)]
    return [event for event in events if not isinstance(event, UnreadableLine)], wrong


def csv(*rows: str, newline: str = "\n") -> bytes:
    """Return rows as a file."""
    return "".join(f"{row}{newline}" for row in rows).encode()
