"""The head end behind the kind `files`: it takes no commands and is never asked; what it tells comes as files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from mdus.domain.capability import Capability
from mdus.domain.command import Command, CommandKind
from mdus.domain.end_device import EndDevice
from mdus.domain.head_end import FieldMeter, HeadEndKind, RawDelivery, Rejection, Submission
from mdus.domain.register import Register
from mdus.headends.files import codec
from mdus.settings import HeadEnd as Row


class FilesHeadEnd:
    """One head end of kind `files`."""

    def __init__(self, row: Row) -> None:
        self.name = row.name
        self.batch_size = row.devices_per_call

    def submit(
        self,
        commands: Sequence[Command],
        *,
        kind: CommandKind,
        correlation: str,
        devices: Mapping[tuple[str, str], EndDevice],
        registers: Mapping[tuple[str, str], Sequence[Register]],
    ) -> Submission:
        """Reject every command: there is nobody to take it."""
        del correlation, devices, registers
        text = f"{self.name} delivers files and takes no command {kind.value}"
        return Submission(
            token="",
            rejections=tuple(
                Rejection(command_key=each.command_key, code="NOT_SUPPORTED", text=text) for each in commands
            ),
        )

    def find(self, correlation: str) -> Submission | None:
        """Return None: no call was ever made."""
        del correlation
        return None

    def results(self, token: str) -> Iterable[RawDelivery]:
        """Return nothing."""
        del token
        return ()

    def snapshots(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Return nothing: what it has comes as a file."""
        del period_from, period_to
        return iter(())

    def intervals(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Return nothing: what it has comes as a file."""
        del period_from, period_to
        return iter(())

    def events(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Return nothing: what it has comes as a file."""
        del period_from, period_to
        return iter(())

    def meters(self) -> Iterator[FieldMeter]:
        """Return nothing: it has no registry to ask for."""
        return iter(())


def connect(row: Row) -> FilesHeadEnd:
    """Return the head end that a row of config/head_ends.toml describes."""
    return FilesHeadEnd(row)


HEAD_END = HeadEndKind(
    name="files",
    capabilities=frozenset(),
    connect=connect,
    decoder=codec.decoder,
    tells=frozenset({Capability.LOAD_PROFILE}),
    answers=False,
    part_file=codec.part_file,
)
