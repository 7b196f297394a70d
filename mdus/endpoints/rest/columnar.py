"""Readings and interval values as Arrow streams and Parquet files, batch by batch: for analytics.

Instants are timestamps in UTC, values decimals with 14 places (the most SAP has) that lose no digit, and texts that
repeat are dictionaries. A value with more places or digits than its column holds is null there and exact in
`value_text`. pyarrow comes with `mdus[arrow]`; nothing of it is touched before somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mdus.billing.determinant_file import COLUMNS
from mdus.domain.interval_block import IntervalBlock
from mdus.domain.reading_quality import QualitySet
from mdus.endpoints.rest.negotiation import ARROW, PARQUET

if TYPE_CHECKING:
    import pyarrow

_INSTALL: Final = "install it where MDUS runs, with `pip install 'mdus[arrow]'`, or ask for another form"

#: Decimal digits of a value, and those of them behind the point.
DIGITS: Final = 38
PLACES: Final = 14

#: Rows of a Parquet file that are held until they make a row group.
_ROW_GROUP: Final = 65_536

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def missing_forms() -> dict[str, str]:
    """Return the forms that cannot be answered because pyarrow is not there, with how to add it."""
    return {} if find_spec("pyarrow") else {ARROW: _INSTALL, PARQUET: _INSTALL}


def written(form: str, schema: pyarrow.Schema, batches: Iterable[pyarrow.RecordBatch]) -> Iterator[bytes]:
    """Yield batches of one schema as the bytes of a stream (ARROW) or a file (PARQUET), as they become ready."""
    return _arrow(schema, batches) if form == ARROW else _parquet(schema, batches)


def interval_schema(sender_system: str) -> pyarrow.Schema:
    """Return the columns of interval values of a system's devices."""
    import pyarrow as pa

    word, instant = pa.dictionary(pa.int32(), pa.string()), pa.timestamp("us", tz="UTC")
    columns = [
        pa.field("device_id", word, nullable=False),
        pa.field("reading_type", word, nullable=False),
        pa.field("start", instant, nullable=False),
        pa.field("end", instant, nullable=False),
        pa.field("value", pa.decimal128(DIGITS, PLACES)),
        pa.field("value_text", pa.string()),
        pa.field("unit", word, nullable=False),
        pa.field("qualities", word, nullable=False),
    ]
    return pa.schema(columns, metadata={"sender_system": sender_system})


def reading_schema(sender_system: str) -> pyarrow.Schema:
    """Return the columns of register readings of a system's device."""
    import pyarrow as pa

    word, instant = pa.dictionary(pa.int32(), pa.string()), pa.timestamp("us", tz="UTC")
    columns = [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("device_id", word, nullable=False),
        pa.field("reading_type", word, nullable=False),
        pa.field("measured_at", instant, nullable=False),
        pa.field("value", pa.decimal128(DIGITS, PLACES)),
        pa.field("value_text", pa.string()),
        pa.field("unit", word),
        pa.field("origin", word, nullable=False),
        pa.field("received_at", instant, nullable=False),
    ]
    return pa.schema(columns, metadata={"sender_system": sender_system})


def determinant_schema() -> pyarrow.Schema:
    """Return the columns of versions of determinants: those of a file, and whether each is the newest."""
    import pyarrow as pa

    word, count = pa.dictionary(pa.int32(), pa.string()), pa.int32()
    instant, day = pa.timestamp("us", tz="UTC"), pa.date32()
    kinds = {
        "id": pa.int64(),
        "period_from": day,
        "period_to": day,
        "version": count,
        "quantity": pa.decimal128(DIGITS, PLACES),
        "peak_at": instant,
        "intervals": count,
        "missing": count,
        "estimated": count,
        "made_at": instant,
        "replaces": pa.int64(),
        "is_newest": pa.bool_(),
    }
    empty = ("peak_at", "gate_reason", "replaces")
    return pa.schema(
        [pa.field(name, kinds.get(name, word), nullable=name in empty) for name in (*COLUMNS, "is_newest")]
    )


def determinant_batch(schema: pyarrow.Schema, rows: Sequence[Any]) -> pyarrow.RecordBatch:
    """Return versions of determinants as a batch."""
    import pyarrow as pa

    columns = {name: [getattr(row, name) for row in rows] for name in schema.names}
    for name in ("status", "cause"):
        columns[name] = [each.value for each in columns[name]]
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def interval_batch(
    schema: pyarrow.Schema, blocks: Sequence[IntervalBlock], qualities: Mapping[int, QualitySet]
) -> pyarrow.RecordBatch:
    """Return the values of blocks, in their order, as a batch; a gap has no row. `qualities` are by their number."""
    import pyarrow as pa

    parts = [_Part(block) for block in blocks]
    counts = [part.count for part in parts]
    marks = np.concatenate([part.marks for part in parts]) if parts else np.zeros(0, dtype=np.uint16)
    arrays = {
        "device_id": _words([block.channel.device_id for block in blocks], counts),
        "reading_type": _words([block.channel.reading_type for block in blocks], counts),
        "start": _instants([part.starts for part in parts]),
        "end": _instants([part.ends for part in parts]),
        "value": _chained([part.values() for part in parts], schema.field("value").type),
        "value_text": _chained([part.texts() for part in parts], pa.string()),
        "unit": _words([block.channel.unit for block in blocks], counts),
        "qualities": _sets(marks, qualities),
    }
    return pa.record_batch([arrays[name] for name in schema.names], schema=schema)


def reading_batch(schema: pyarrow.Schema, rows: Sequence[Any]) -> pyarrow.RecordBatch:
    """Return register readings as a batch."""
    import pyarrow as pa

    fits = [fitting(row.value) for row in rows]
    columns = {
        "id": [row.id for row in rows],
        "device_id": [row.device_id for row in rows],
        "reading_type": [row.reading_type for row in rows],
        "measured_at": [row.measured_at for row in rows],
        "value": fits,
        "value_text": [None if fit is not None else str(row.value) for row, fit in zip(rows, fits, strict=True)],
        "unit": [row.unit for row in rows],
        "origin": [row.origin.value for row in rows],
        "received_at": [row.received_at for row in rows],
    }
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.record_batch(arrays, schema=schema)


def fitting(value: Decimal) -> Decimal | None:
    """Return a value where its column holds it exactly, None where it has too many places or digits."""
    if not value.is_finite():
        return None
    scaled = value.scaleb(PLACES)
    whole = scaled.to_integral_value()
    return value if whole == scaled and abs(whole) < 10**DIGITS else None


class _Part:
    """The intervals of one block that have a value, fit for the array or not."""

    def __init__(self, block: IntervalBlock) -> None:
        self._block = block
        there = block.present.copy()
        there[list(block.unfit)] = True
        self._places = np.flatnonzero(there)
        self._grid = block.channel.day(block.day)

    @property
    def count(self) -> int:
        return len(self._places)

    @property
    def marks(self) -> Any:
        return self._block.qualities[self._places]

    @property
    def starts(self) -> Any:
        """Return when they begin, in microseconds since 1970."""
        return _micros(self._grid.start) + self._places.astype(np.int64) * self._grid.minutes * 60_000_000

    @property
    def ends(self) -> Any:
        """Return when they end; the last interval of a day ends with it."""
        ends = self.starts + self._grid.minutes * 60_000_000
        return np.where(self._places == self._grid.count - 1, _micros(self._grid.end), ends)

    def values(self) -> Any:
        """Return their values as decimals, null where one does not fit."""
        import pyarrow as pa

        channel, given = self._block.channel, self._block.values[self._places]
        if self._block.unfit:
            known = [self._value(place) for place in self._places.tolist()]
            return pa.array([fitting(value) for value in known], pa.decimal128(DIGITS, PLACES))
        # An int64 is the lower half of a decimal128, its sign the upper one.
        halves = np.ascontiguousarray(np.stack([given, given >> 63], axis=1), dtype="<i8")
        exact = pa.Array.from_buffers(
            pa.decimal128(DIGITS, channel.decimals), len(given), [None, pa.py_buffer(halves.tobytes())]
        )
        return exact.cast(pa.decimal128(DIGITS, PLACES))

    def texts(self) -> Any:
        """Return the texts of those values that do not fit, null for the others."""
        import pyarrow as pa

        if not self._block.unfit:
            return pa.nulls(self.count, pa.string())
        known = [self._value(place) for place in self._places.tolist()]
        return pa.array([None if fitting(value) is not None else str(value) for value in known], pa.string())

    def _value(self, place: int) -> Decimal:
        value = self._block.channel.quantity(int(self._block.values[place]))
        return Decimal(self._block.unfit[place]) if value is None else value


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _words(texts: Sequence[str], counts: Sequence[int]) -> Any:
    """Return texts, each as often as its count, as a dictionary."""
    import pyarrow as pa

    distinct = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    indices = np.repeat(np.array([distinct[text] for text in texts], dtype=np.int32), np.array(counts, dtype=np.int64))
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(list(distinct), pa.string()))


def _sets(marks: Any, qualities: Mapping[int, QualitySet]) -> Any:
    """Return the quality sets that values name, as a dictionary of their codes."""
    import pyarrow as pa

    distinct, indices = np.unique(marks, return_inverse=True)
    texts = [str(qualities[int(mark)]) for mark in distinct]
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(texts, pa.string()))


def _instants(parts: Sequence[Any]) -> Any:
    import pyarrow as pa

    joined = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
    return pa.array(joined, pa.int64()).cast(pa.timestamp("us", tz="UTC"))


def _chained(arrays: Sequence[Any], kind: Any) -> Any:
    import pyarrow as pa

    return pa.concat_arrays(arrays) if arrays else pa.array([], kind)


class _Sink:
    """A file that is read while it is written: `taken` returns what was written since it was last asked."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at = 0

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._at += len(part)
        return len(part)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data


def _arrow(schema: Any, batches: Iterable[Any]) -> Iterator[bytes]:
    import pyarrow as pa

    sink = _Sink()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


def _parquet(schema: Any, batches: Iterable[Any]) -> Iterator[bytes]:
    import pyarrow as pa
    from pyarrow import parquet

    sink, held, count = _Sink(), [], 0
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in batches:
            held.append(batch)
            count += batch.num_rows
            if count >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(held, schema))
                held, count = [], 0
                yield sink.taken()
        if count:
            writer.write_table(pa.Table.from_batches(held, schema))
    yield sink.taken()
