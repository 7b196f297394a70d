"""Reads and merges the layers of settings, and reports all that is wrong with them together."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from mdus.settings.folders import data_folder
from mdus.settings.shapes import MASK, HeadEnd, Key, Offered, Sender, Settings, Shape, TableRow, masked

PREFIX: Final = "MDUS_"
ROWS: Final[Mapping[str, type[BaseModel]]] = {"senders": Sender, "head_ends": HeadEnd}


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing wrong with the settings: what, where it was said, and how to mend it."""

    what: str
    where: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}\n    where: {self.where}\n    mend:  {self.mend}"


class SettingsError(Exception):
    """The settings cannot be used; `problems` has all that is wrong, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


@dataclass(slots=True)
class _Draft:
    """The merged layers before they are checked. Tables of named rows are held as {name: row}."""

    values: dict[str, Any] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)
    origins: dict[Key, str] = field(default_factory=dict)
    inherited: set[Key] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def report(self, what: str, *, where: str, mend: str) -> None:
        self.problems.append(Problem(what=what, where=where, mend=mend))

    def put(self, key: Key, value: object, origin: str, *, folder: Path) -> None:
        """Merge one value, a section, or a table of named rows over what is there."""
        if len(key) == 1 and key[0] in self.tables and not _is_table(value):
            self.report(f"{key[0]} is not a table of rows", where=origin, mend=f"write each row as [[{key[0]}]]")
        elif isinstance(value, Mapping):
            for name, inner in value.items():
                self.put((*key, name), inner, origin, folder=folder)
            if not value:
                self._parent(key).setdefault(key[-1], {})
        elif len(key) == 1 and isinstance(value, list) and _is_table(value):
            self.tables.add(key[0])
            self.values.setdefault(key[0], {})
            self.origins[key] = origin
            for row in value:
                name = row.get("name")
                if not isinstance(name, str) or not name:
                    self.report(f"a row of {key[0]} has no name", where=origin, mend='give the row a name = "..."')
                    continue
                self.put((*key, name), row, origin, folder=folder)
        elif key[-1].endswith("_file") and _is_secret((*key[:-1], key[-1].removesuffix("_file"))):
            self._put_secret((*key[:-1], key[-1].removesuffix("_file")), folder / str(value), origin)
        else:
            self._parent(key)[key[-1]] = value
            self.origins[key] = origin

    def value(self, key: Key) -> Any:
        """Return what is said at `key`, or None."""
        inner: Any = self.values
        for name in key:
            inner = inner.get(name) if isinstance(inner, dict) else None
        return inner

    def inherit(self, row: Key, sources: Mapping[str, Key]) -> None:
        """Fill what a row does not say from other settings; a complaint about such a value is made at its source."""
        for name, source in sources.items():
            if self.value((*row, name)) is None and self.value(source) is not None:
                self._parent((*row, name))[name] = self.value(source)
                self.origins[*row, name] = f"{'.'.join(source)}: {self.origins[source]}"
                self.inherited.add((*row, name))

    def _put_secret(self, key: Key, file: Path, origin: str) -> None:
        try:
            text = file.read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            self.report(f"{'.'.join(key)} cannot be read: {error}", where=origin, mend="name a readable text file")
            return
        self._parent(key)[key[-1]] = text
        self.origins[key] = f"{origin}, from {file}"

    def _parent(self, key: Key) -> dict[str, Any]:
        inner = self.values
        for name in key[:-1]:
            below = inner.get(name)
            if not isinstance(below, dict):
                below = inner[name] = {}
            inner = below
        return inner


def _is_table(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(row, Mapping) for row in value)


def _shape_of(key: Key) -> type[BaseModel] | None:
    """Return the model a section's or row's keys belong to, or None where `config/` alone knows the table."""
    if key == ():
        return Settings
    if key[0] in ROWS:
        return ROWS[key[0]] if len(key) == 2 else None
    info = Settings.model_fields.get(key[0])
    shape = info.annotation if info is not None and len(key) == 1 else None
    return shape if isinstance(shape, type) and issubclass(shape, BaseModel) else None


def _is_secret(key: Key) -> bool:
    shape = _shape_of(key[:-1])
    info = shape.model_fields.get(key[-1]) if shape is not None else None
    return info is not None and "SecretStr" in str(info.annotation)


def _read_folder(draft: _Draft, folder: Path, label: str) -> None:
    said: dict[str, str] = {}
    for file in sorted(folder.glob("*.toml")):
        origin = label.format(file=file.name)
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            draft.report(f"{file.name} cannot be read: {error}", where=origin, mend="correct the file; it must be TOML")
            continue
        for name, value in content.items():
            if name in said:
                draft.report(f"{name} is said in two files", where=f"{said[name]}, {origin}", mend="keep one of them")
            said[name] = origin
            draft.put((name,), value, origin, folder=folder)


def _read_environment(draft: _Draft, environ: Mapping[str, str]) -> None:
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable == "MDUS_CONFIG":
            continue
        key = _key_of_variable(variable, draft)
        depth = 3 if key[0] in draft.tables else 1 if _shape_of(key[:1]) is None and key[0] != "time_zones" else 2
        is_option = depth == 3 and len(key) == 4 and key[2] == "options"  # a setting of a row's own kind
        if len(key) != depth and not is_option:
            mend = _nearest(variable, map(variable_of, draft.origins))
            draft.report(f"{variable} names no setting", where="environment", mend=mend)
            continue
        if depth == 3:
            draft.put((*key[:2], "name"), key[1], variable, folder=Path())
        draft.put(key, environ[variable], variable, folder=Path())


def _key_of_variable(variable: str, draft: _Draft) -> Key:
    """Return the key a variable names: small letters, but rows and time zone codes as they are written elsewhere."""
    first, *rest = variable.removeprefix(PREFIX).split("__")
    table = first.lower()
    if table == "time_zones":
        return (table, *rest)
    if table in draft.tables and rest:
        wanted = rest[0].lower()
        same = (name for name in draft.values[table] if name.lower().replace("-", "_") == wanted)
        rest[0] = next(same, wanted)
        return (table, rest[0], *(part.lower() for part in rest[1:]))
    return (table, *(part.lower() for part in rest))


def load_settings(
    environ: Mapping[str, str],
    *,
    tables: Mapping[str, type[BaseModel]] | None = None,
    offered: Mapping[str, Offered] | None = None,
    longest_texts: Mapping[str, int] | None = None,
) -> Settings:
    """Read the settings of this process from the installation, the folder `MDUS_CONFIG` and `environ`.

    `tables` gives the shape of each row of the tables that services own, so that these are checked too; `offered` the
    capabilities of a head end by its row, for each kind, for `Settings.offered_by`, `longest_texts` the characters of a
    text that its meters can show, for `Settings.longest_text_of`. Raises `SettingsError` with every problem found in
    all layers.
    """
    draft = _Draft()
    _read_folder(draft, data_folder("config"), "default, config/{file}")
    known_tables = frozenset(draft.tables)
    if named := environ.get("MDUS_CONFIG"):
        folder = Path(named)
        if folder.is_dir():
            _read_folder(draft, folder, str(folder / "{file}"))
        else:
            mend = "name the folder that has your .toml files"
            draft.report(f"{named} is not a folder", where="MDUS_CONFIG", mend=mend)
    _read_environment(draft, environ)

    _complete_rows(draft)

    extra = {name: tuple(draft.values.pop(name).values()) for name in sorted(known_tables - set(Settings.model_fields))}
    values = {name: list(value.values()) if name in ROWS else value for name, value in draft.values.items()}
    settings = _checked(Settings, values, (), draft)
    for name, shape in (tables or {}).items():
        rows = [_checked(shape, row, (name, row["name"]), draft) for row in extra.get(name, ())]
        if issubclass(shape, TableRow):
            right = [row for row in rows if isinstance(row, shape)]
            draft.problems.extend(
                Problem(what=f"{name}: {what}", where=f"config/{name}.toml", mend="change one of them")
                for what in shape.contradictions(right)
            )
    if settings is not None:
        draft.problems.extend(_contradictions(settings))
    if draft.problems or settings is None:
        raise SettingsError(draft.problems)
    settings._tables = MappingProxyType(
        {name: tuple(MappingProxyType(row) for row in rows) for name, rows in extra.items()}
    )
    settings._offered = MappingProxyType(dict(offered or {}))
    settings._longest_texts = MappingProxyType(dict(longest_texts or {}))
    settings._origins = MappingProxyType(draft.origins)
    return settings


# What a row leaves out, and the setting it has it from.
_SENDER_HAS: Final[Mapping[str, Key]] = {"answer_status": ("http", "answer_status"), "time_zone": ("time_zone",)}
_DELIVERY_HAS: Final[Mapping[str, Key]] = {
    "url": ("cis", "url"),
    "url_user": ("cis", "user"),
    "url_password": ("cis", "password"),
}
_ONLY_SENDER_HAS: Final[Mapping[str, Key]] = {
    "user": ("auth", "user"),
    "password": ("auth", "password"),
    "default_system": ("auth", "default_system"),
}
_HEAD_END_HAS: Final[Mapping[str, Key]] = {"time_zone": ("time_zone",)}


def _complete_rows(draft: _Draft) -> None:
    """Give the rows of senders and head ends what they leave to the sections; see `Sender`."""
    if not draft.values["senders"] and draft.value(("auth", "user")) and draft.value(("auth", "password")):
        draft.put(("senders", "default"), {"name": "default", "systems": ("*",)}, "no row of senders", folder=Path())
        draft.inherit(("senders", "default"), _ONLY_SENDER_HAS)
    for name, row in draft.values["senders"].items():
        draft.inherit(("senders", name), _SENDER_HAS)
        if "url" not in row:
            draft.inherit(("senders", name), _DELIVERY_HAS)
    for name in draft.values["head_ends"]:
        draft.inherit(("head_ends", name), _HEAD_END_HAS)


def _checked(shape: type[Shape], values: Mapping[str, Any], at: Key, draft: _Draft) -> Shape | None:
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_context=False):
            key = _key_of_error((*at, *(str(part) for part in found["loc"])), found["loc"], values)
            if key in draft.inherited:
                continue
            name, where = ".".join(key), _origin(key, draft)
            if found["type"] == "missing":
                draft.report(f"{name} is missing", where=where, mend=f"set {name} or {variable_of(key)}")
            elif found["type"] == "extra_forbidden":
                owner = _shape_of(key[:-1]) or shape
                mend = _nearest(key[-1], [*owner.model_fields, *(draft.tables if key[:-1] == () else ())])
                draft.report(f"{name} is not a setting", where=where, mend=mend)
            else:
                value = MASK if _is_secret(key) else masked(repr(found["input"]))
                what = found["msg"].removeprefix("Value error, ")
                mend = f"correct {name} (its meaning stands beside its default in config/)"
                draft.report(f"{name} = {value}: {what}", where=where, mend=mend)
        return None


def _key_of_error(key: Key, loc: tuple[int | str, ...], values: Mapping[str, Any]) -> Key:
    """Return the key of a complaint: the place of a row in its list becomes the row's name."""
    if len(loc) >= 2 and loc[0] in ROWS and isinstance(loc[1], int):
        return (str(loc[0]), values[str(loc[0])][loc[1]]["name"], *(str(part) for part in loc[2:3]))
    return key


def _origin(key: Key, draft: _Draft) -> str:
    if key in draft.origins:
        return draft.origins[key]
    below = {origin for said, origin in draft.origins.items() if said[: len(key)] == key}
    beside = {origin for said, origin in draft.origins.items() if said[:-1] == key[:-1]}
    return ", ".join(sorted(below or beside)) or "not set"


def _contradictions(settings: Settings) -> Iterable[Problem]:
    auth, http = settings.auth, settings.http
    if (auth.user is None) != (auth.password is None):
        mend = "set both MDUS_AUTH__USER and MDUS_AUTH__PASSWORD, or neither"
        yield Problem(what="auth has only one of user and password", where="auth", mend=mend)
    if http.small_message_bytes > http.max_body_bytes:
        mend = "raise http.max_body_bytes or lower http.small_message_bytes"
        yield Problem(what="http.small_message_bytes is above http.max_body_bytes", where="http", mend=mend)
    yield from _said_twice("senders", "user", [(sender.user, sender.name) for sender in settings.senders])
    for sender in settings.senders:
        if not sender.may_send_for(sender.default_system):
            what = f"senders.{sender.name}.default_system is not one of its systems"
            yield Problem(what=what, where=f"senders.{sender.name}", mend="add it to systems")
    served = [(ams_id, head_end.name) for head_end in settings.head_ends for ams_id in head_end.ams_ids]
    yield from _said_twice("head_ends", "ams_ids", served)


def _said_twice(table: str, column: str, pairs: Sequence[tuple[str, str]]) -> Iterable[Problem]:
    owners: dict[str, list[str]] = {}
    for value, row in pairs:
        owners.setdefault(value, []).append(row)
    for value, rows in owners.items():
        if len(rows) > 1:
            what = f"{table}: {column} {value!r} stands in several rows"
            yield Problem(what=what, where=", ".join(rows), mend="leave it in one row")


def variable_of(key: Key) -> str:
    """Return the environment variable that sets `key`."""
    return PREFIX + "__".join(part.upper().replace("-", "_") for part in key)


def _nearest(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, [other for other in known if other != name], n=1)
    return f"did you mean {found[0]}?" if found else "remove it; `mdus check --show` lists all settings"
