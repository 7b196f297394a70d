"""A head end that leaves files in a folder and takes requests from another: a face on `simulators.fleet`.

By `docs/head_ends/file_drop.md`, in the ways vendors write files. Read in this order: `faults`, `requests` (what it is
asked), `manners`, `cmep`, `neutral`, `register_reads` and `documents` (how values are written), `leaving` (how files
are left, and what goes wrong with that), `face`, `__main__`.
"""

#: Ways to run it that the shared suite tries, by name: further options.
VARIANTS: dict[str, list[str]] = {name: ["--format", name, "--serve", "heard"] for name in ("cmep", "csv", "document")}
