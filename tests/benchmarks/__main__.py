"""`python -m tests.benchmarks`: runs all benchmarks, prints a table and writes bench.json.

A benchmark that misses its aim is shown as such and ends the run with 0 all the same: what a busy machine does is no
mistake. One that cannot be completed, for example because an order was lost, ends it with 1.
"""

from __future__ import annotations

import argparse
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from tests.benchmarks.billing_ready import billing_ready
from tests.benchmarks.chain import chain
from tests.benchmarks.figure import Figure, show, write
from tests.benchmarks.fleet import reads_on_demand
from tests.benchmarks.intake import intake
from tests.benchmarks.landscape import postgresql, sqlite
from tests.benchmarks.memory import memory
from tests.benchmarks.searching import searching
from tests.benchmarks.truth.run import truth
from tests.benchmarks.validating import validating

Benchmark = Callable[[Path, argparse.Namespace], Iterator[Figure]]


def _intake_sqlite(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    with sqlite(folder) as store:
        yield from intake(store, folder, items=options.bulk)


def _intake_postgresql(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    with postgresql(folder) as store:
        yield from intake(store, folder, items=options.bulk)


def _memory(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    with sqlite(folder) as store:
        yield from memory(store, folder, megabytes=options.megabytes)


def _chain_sqlite(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    with sqlite(folder) as store:
        yield from chain(store, folder, items=options.orders, bulk_size=options.bulk)


def _chain_postgresql(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    with postgresql(folder) as store:
        yield from chain(store, folder, items=options.orders, bulk_size=options.bulk)


def _billing_sqlite(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    with sqlite(folder) as store:
        yield from billing_ready(store, folder, meters=options.meters)


def _billing_postgresql(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    with postgresql(folder) as store:
        yield from billing_ready(store, folder, meters=options.meters)


def _search_sqlite(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    with sqlite(folder) as store:
        yield from searching(store, folder, messages=options.messages)


def _search_postgresql(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    with postgresql(folder) as store:
        yield from searching(store, folder, messages=options.messages)


def _fleet(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    with sqlite(folder) as store:
        yield from reads_on_demand(store, folder, reads=options.reads)


def _validating(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    del folder, options
    yield from validating()


def _truth(folder: Path, options: argparse.Namespace) -> Iterator[Figure]:
    yield from truth(folder, meters=options.city, through_sap=100)


_BENCHMARKS: dict[str, Benchmark] = {
    "intake-sqlite": _intake_sqlite,
    "intake-postgresql": _intake_postgresql,
    "memory": _memory,
    "chain-sqlite": _chain_sqlite,
    "chain-postgresql": _chain_postgresql,
    "billing-sqlite": _billing_sqlite,
    "billing-postgresql": _billing_postgresql,
    "search-sqlite": _search_sqlite,
    "search-postgresql": _search_postgresql,
    "fleet": _fleet,
    "validating": _validating,
    "truth": _truth,
}


def main() -> int:
    """This will run the benchmarks and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"run only these: {', '.join(_BENCHMARKS)}")
    parser.add_argument("--orders", type=int, default=20_000, help="reading orders of the whole chain")
    parser.add_argument("--bulk", type=int, default=5_000, help="reading orders in one bulk")
    parser.add_argument("--megabytes", type=int, default=50, help="size of the bulk that memory is watched with")
    parser.add_argument(
        "--meters", type=int, default=30_000, help="meters whose day is made ready to bill; a third first"
    )
    parser.add_argument("--messages", type=int, default=1_000_000, help="messages in the database that is searched")
    parser.add_argument("--reads", type=int, default=10_000, help="meters of a mixed fleet that are read on demand")
    parser.add_argument("--city", type=int, default=2_000, help="meters whose true consumption is known")
    parser.add_argument("--output", type=Path, default=Path("bench.json"))
    options = parser.parse_args()
    if unknown := set(options.only) - _BENCHMARKS.keys():
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    console = Console()
    figures: list[Figure] = []
    complete = True
    with tempfile.TemporaryDirectory(prefix="mdus-bench-") as folder:
        # The server of a test PostgreSQL runs under a user of its own and must get in.
        Path(folder).chmod(0o755)
        for name, benchmark in _BENCHMARKS.items():
            if options.only and name not in options.only:
                continue
            console.print(f"{name} ...")
            try:
                figures += benchmark(Path(folder) / name, options)
            except Exception:  # noqa: BLE001 - the others go on, and the run ends with 1
                complete = False
                console.print(traceback.format_exc(), markup=False, highlight=False)
    show(figures, console=console)
    write(figures, options.output)
    console.print(f"written to {options.output}")
    return 0 if complete else 1


if __name__ == "__main__":
    raise SystemExit(main())
