"""`python -m tests.conformance`: puts our own service through the conformance tester and writes docs/conformance.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.conformance.own_service import CHECKOUT, own_service
from tests.conformance.page import page

_PAGE = CHECKOUT / "docs" / "conformance.md"


def main() -> int:
    """Run, print what the tester prints, write the page, and return the tester's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep database, logs and report, and say where")
    parser.add_argument("rest", nargs="*", help="further arguments of mdus conformance, after --")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mdus-conformance-"))
    with own_service(folder) as service:
        matrix = folder / "matrix.md"
        done = service.test("--markdown", str(matrix), "--report", str(folder / "report.json"), *options.rest)
    print(done.stdout, done.stderr, sep="", end="")
    if options.keep:
        print(f"kept: {folder}")
    if done.returncode in (0, 1) and not options.rest:
        _PAGE.write_text(page(matrix.read_text(encoding="utf-8")), encoding="utf-8")
        print(f"written: {_PAGE.relative_to(CHECKOUT)}")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
