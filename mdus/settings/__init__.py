"""Settings of an MDUS process: read once, frozen, each value with its origin.

Three layers, the later wins: `config/*.toml` of this installation < the folder `MDUS_CONFIG` < the environment
(`MDUS_<SECTION>__<SETTING>`, `MDUS_<TABLE>__<ROW>__<SETTING>`). Sections merge per key, tables of named rows per row
and key, lists are replaced. Every setting is described beside its default, in `config/`.
"""

from mdus.settings.folders import DATA_FOLDERS, data_folder
from mdus.settings.loading import Problem, SettingsError, load_settings, variable_of
from mdus.settings.shapes import (
    LONGEST_TEXT,
    CaFile,
    Cis,
    HeadEnd,
    HttpUrl,
    Section,
    Sender,
    Settings,
    Shown,
    TableRow,
    Texts,
    Zone,
)

__all__ = [
    "DATA_FOLDERS",
    "LONGEST_TEXT",
    "CaFile",
    "Cis",
    "HeadEnd",
    "HttpUrl",
    "Problem",
    "Section",
    "Sender",
    "Settings",
    "SettingsError",
    "Shown",
    "TableRow",
    "Texts",
    "Zone",
    "data_folder",
    "load_settings",
    "variable_of",
]
