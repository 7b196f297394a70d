"""The bodies of all formats into events, by the tables and the options of a head end's feed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from mdus.domain.channel_map import ChannelMap
from mdus.domain.event_map import EventMap
from mdus.domain.head_end import Decode, FieldEvent, RawDelivery, options_of
from mdus.headends.file_drop import cmep, document, event_csv, interval_csv, register_csv, result_csv
from mdus.headends.file_drop.cmep_tables import CmepTables
from mdus.headends.file_drop.compressed import expanded
from mdus.headends.file_drop.formats import Format, format_of
from mdus.headends.file_drop.options import Options
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings


def decoder(settings: Settings, row: Row) -> Decode:
    """Return what reads the bodies of a head end, compressed or not."""
    options = options_of(row, Options)
    channels = ChannelMap.of(settings, head_end=row)
    tables = CmepTables.of(settings, channels, options)
    registers = register_csv.RegisterFeed(channels=channels, time_format=options.reading_time_format)
    documents = document.DocumentFeed.of(settings, row, options, channels)
    readers: Mapping[Format, Callable[[bytes], Iterator[FieldEvent]]] = {
        Format.CSV: interval_csv.decode,
        Format.REGISTERS: partial(register_csv.decode, feed=registers),
        Format.DOCUMENT: partial(document.decode, feed=documents),
        Format.EVENTS: partial(event_csv.decode, events=EventMap.of(settings, head_end=row)),
        Format.RESULTS: result_csv.decode,
    }

    def decode(raw: RawDelivery) -> Iterator[FieldEvent]:
        body = expanded(raw.body)
        found = format_of(raw.topic, body)
        return cmep.decode(body, tables, came_at=raw.received_at) if found is Format.CMEP else readers[found](body)

    return decode
