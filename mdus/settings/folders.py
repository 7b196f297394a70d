"""The folders shipped beside the code: in a checkout next to the package, in a wheel inside it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DATA_FOLDERS: Final = frozenset({"wsdl", "xsd", "migrations", "config"})


def data_folder(name: str) -> Path:
    """Return the folder `name` (wsdl, xsd, migrations or config) of this installation.

    A wheel carries the folders inside the package (`mdus/_data/<name>`); in a checkout they stand beside the package.
    Raises `ValueError` for another name and `FileNotFoundError` when the installation lacks the folder.
    """
    if name not in DATA_FOLDERS:
        raise ValueError(f"{name!r} is not a data folder; there are {', '.join(sorted(DATA_FOLDERS))}")
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_data" / name, package.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation of mdus lacks the folder {name!r}: install it again")
