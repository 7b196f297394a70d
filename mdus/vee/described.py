"""Describes rules and methods to staff: what their files say of them, and the parameters that a rule set may state."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_jsonable_python

from mdus.vee.method import Method
from mdus.vee.rule import Rule
from mdus.vee.rule_set import Tools


@dataclass(frozen=True, kw_only=True, slots=True)
class ParameterDescription:
    """A limit: what may be given, and what counts where a rule set says nothing."""

    name: str
    type: str
    default: Any
    description: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolDescription:
    """A rule or method as its file describes it; `title` is the first line, `description` all of it."""

    name: str
    number: str
    title: str
    description: str
    parameters: tuple[ParameterDescription, ...]
    needs: tuple[str, ...]


def described_rules(tools: Tools) -> list[ToolDescription]:
    """Return the rules there are, by their numbers."""
    return sorted((_described(rule, rule.check) for rule in tools.rules.values()), key=_order)


def described_methods(tools: Tools) -> list[ToolDescription]:
    """Return the methods of estimation there are, by their numbers."""
    return sorted((_described(method, method.estimate) for method in tools.methods.values()), key=_order)


def _described(tool: Rule | Method, does: Any) -> ToolDescription:
    module = sys.modules[getattr(does, "__module__", type(tool).__module__)]
    text = inspect.cleandoc(module.__doc__ or "")
    title, _, rest = text.partition("\n\n")
    return ToolDescription(
        name=tool.name,
        number=tool.number,
        title=" ".join(title.split()),
        description=" ".join(rest.split()),
        parameters=tuple(_parameters(tool)),
        needs=tuple(sorted(fact.value for fact in tool.needs)),
    )


def _parameters(tool: Rule | Method) -> Iterator[ParameterDescription]:
    together = " ".join((tool.parameters.__doc__ or "").split())
    schema = tool.parameters.model_json_schema().get("properties", {})
    for name, field in tool.parameters.model_fields.items():
        bounds = {key: value for key, value in schema[name].items() if key not in ("title", "default", "description")}
        yield ParameterDescription(
            name=name,
            type=json.dumps(bounds),
            default=None if field.is_required() else to_jsonable_python(field.get_default(call_default_factory=True)),
            description=field.description or together,
        )


def _order(tool: ToolDescription) -> tuple[int, str]:
    digits = "".join(each for each in tool.number[1:] if each.isdigit())
    return int(digits or 0), tool.number
