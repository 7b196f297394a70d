"""The head end behind the kind `file_drop`: it takes no commands and is never asked; what it tells comes as files."""

from __future__ import annotations

from mdus.domain.capability import Capability
from mdus.domain.head_end import Batch, Decode, HeadEndKind, Rejection, SilentHeadEnd, Submission
from mdus.headends.file_drop import codec
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings


class FileDropHeadEnd(SilentHeadEnd):
    """One head end of kind `file_drop`."""

    def __init__(self, row: Row) -> None:
        self.name = row.name
        self.batch_size = row.devices_per_call

    def submit(self, batch: Batch) -> Submission:
        """Reject every command: there is nobody to take it."""
        text = f"{self.name} delivers files and takes no command {batch.kind.value}"
        return Submission(
            token="",
            rejections=tuple(
                Rejection(command_key=each.command_key, code="NOT_SUPPORTED", text=text) for each in batch.commands
            ),
        )


def _decoder(settings: Settings, row: Row) -> Decode:
    del row
    decode = codec.decoder(settings)
    return lambda raw: decode(raw.topic, raw.body)


def connect(row: Row) -> FileDropHeadEnd:
    """Return the head end that a row of config/head_ends.toml describes."""
    return FileDropHeadEnd(row)


HEAD_END = HeadEndKind(
    name="file_drop",
    capabilities=frozenset(),
    connect=connect,
    decoder=_decoder,
    tells=frozenset({Capability.LOAD_PROFILE}),
    answers=False,
    part_file=codec.part_file,
)
