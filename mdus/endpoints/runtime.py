"""What the endpoints work with; made once by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mdus.contracts.catalog import Catalog
from mdus.domain.clock import Clock
from mdus.domain.command import CommandKind
from mdus.domain.head_end import Callbacks, HeadEnd, PartFile
from mdus.messaging.patterns import Service
from mdus.settings import Settings
from mdus.storage.session import Database
from mdus.vee.comparing import Comparison
from mdus.vee.rule_set import Tools


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """The parts of one running process: services by their name, head ends by theirs.

    `commands` are the kinds of commands that each head end takes, `part_files` part what head ends that deliver files
    push, `callbacks` say how what each pushes is received, all by the names of head ends.
    `tools` are the rules and methods of validation; `preview` tries a changed rule set on past days, as
    `workers.rule_set_preview` does. `simulated_clock` allows business time to be steered (`/clock`); a utility never
    sets it.
    """

    settings: Settings
    database: Database
    clock: Clock
    catalog: Catalog
    services: Mapping[str, Service]
    head_ends: Mapping[str, HeadEnd] = field(default_factory=dict)
    commands: Mapping[str, frozenset[CommandKind]] = field(default_factory=dict)
    part_files: Mapping[str, PartFile] = field(default_factory=dict)
    callbacks: Mapping[str, Callbacks] = field(default_factory=dict)
    tools: Tools = field(default_factory=lambda: Tools(rules={}, methods={}))
    preview: Callable[..., Comparison] | None = None
    simulated_clock: bool = False
