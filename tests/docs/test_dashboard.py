"""The dashboard and the alerts ask for metrics and labels that MDUS has; docs/operations/metrics.md explains each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mdus.billing.determinant import DeterminantStatus, Gate, VersionCause
from mdus.domain.end_device_control import ControlCategory, ControlStatus
from mdus.domain.meter_reading_document import DocumentStatus
from mdus.settings import load_settings
from mdus.storage.mending import Kind
from mdus.telemetry.metrics import described
from mdus.workers.clock import JOBS, LEADER

FOLDER = Path(__file__).parents[2] / "docs" / "operations"
PAGE = (FOLDER / "metrics.md").read_text()
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
RULES = re.findall(r"^```yaml\n(# rules.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)[0]

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
#: What can be asked for: the samples' names, and the labels of each.
SAMPLES: dict[str, set[str]] = {
    name + suffix: set(labels) | ({"le"} if suffix == "_bucket" else set())
    for name, kind, labels in described()
    for suffix in _SUFFIXES[kind]
}
#: Prometheus adds these to what it scrapes, and has this one by itself.
SAMPLES |= {"up": set()}
TARGET = {"job", "instance"}

FUNCTIONS = {"absent", "by", "histogram_quantile", "increase", "max", "min", "or", "rate", "sum"}

#: The values that a label of a metric can have, where an expression names one.
VALUES: dict[tuple[str, str], set[str]] = {
    ("mdus_dead", "kind"): {kind.value for kind in Kind},
    ("mdus_lease", "name"): {LEADER},
    ("mdus_devices", "state"): {"registered", "unregistered", "never_heard", "silent"},
    ("mdus_switch_orders", "status"): {status.value for status in ControlStatus},
    ("mdus_switch_orders", "category"): {category.name.lower() for category in ControlCategory},
    ("mdus_reading_documents", "status"): {status.value for status in DocumentStatus},
    ("mdus_determinants_total", "status"): {status.value for status in DeterminantStatus},
    ("mdus_determinants_total", "cause"): {cause.value for cause in VersionCause},
    ("mdus_items_total", "outcome"): {"done", "failed", "awaiting", "parked", "error"},
    ("mdus_sap_call_seconds_count", "result"): {"delivered", "refused", "unreachable"},
    ("mdus_head_end_call_seconds_count", "result"): {"ok", "transient", "uncertain", "error"},
    ("mdus_job_age_seconds", "job"): set(JOBS),
    ("up", "job"): {"mdus"},
}


def expressions_of_the_dashboard() -> Iterator[tuple[str, str, str]]:
    """Yield (panel, expression, legend)."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]


def expressions_of_the_rules() -> Iterator[tuple[str, str, str]]:
    """Yield (alert, expression, summary)."""
    for rule in RULES.split("      - alert: ")[1:]:
        name = rule.partition("\n")[0]
        (expr,) = re.findall(r"^ +expr: (?:\|\n)?((?:.|\n)+?)\n {8}\w", rule, flags=re.MULTILINE)
        (summary,) = re.findall(r'summary: "(.*)"', rule)
        yield name, " ".join(expr.split()), re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"{{\1}}", summary)


EXPRESSIONS = [*expressions_of_the_dashboard(), *expressions_of_the_rules()]


def wrong_with(expr: str, legend: str) -> list[str]:
    """Return what is wrong with an expression and the labels its legend shows."""
    wrong = []
    asked: set[str] = set()
    for name, matchers in re.findall(r"\b([a-z_]+)\{([^}]*)\}", expr):
        for label, value in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', matchers):
            if label not in SAMPLES.get(name, set()) | TARGET:
                wrong.append(f"{name} has no label {label}")
            elif label != "instance" and (name, label) in VALUES and not set(value.split("|")) <= VALUES[name, label]:
                wrong.append(f"{label} of {name} is never {value}")
            elif label != "instance" and (name, label) not in VALUES:
                wrong.append(f"the test does not know the values of {label} of {name}")
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", " ", expr)
    grouped = [set(re.findall(r"\w+", labels)) for labels in re.findall(r"\bby\s*\(([^)]*)\)", bare)]
    for name in set(re.findall(r"\b[a-z_]+\b", re.sub(r"\bby\s*\([^)]*\)", " ", bare))) - FUNCTIONS - {"e"}:
        if name in SAMPLES:
            asked.add(name)
        else:
            wrong.append(f"there is no metric {name}")
    known = set().union(*(SAMPLES[name] for name in asked)) | TARGET
    wrong += [f"nothing asked for has a label {label}" for labels in grouped for label in sorted(labels - known)]
    kept = grouped[0] if grouped else set()
    wrong += [
        f"{label} is shown and summed away" for label in re.findall(r"\{\{(\w+)\}\}", legend) if label not in kept
    ]
    if any(expr.count(left) != expr.count(right) for left, right in ("()", "{}", "[]")):
        wrong.append("a bracket is not closed")
    return wrong


@pytest.mark.parametrize(("where", "expr", "legend"), EXPRESSIONS, ids=[where for where, _, _ in EXPRESSIONS])
def test_expressions_ask_for_what_there_is(where: str, expr: str, legend: str) -> None:
    assert wrong_with(expr, legend) == []


@pytest.mark.parametrize(
    ("expr", "legend", "said"),
    [
        ("sum(mdus_nonsense)", "", "no metric mdus_nonsense"),
        ("rate(mdus_items[5m])", "", "no metric mdus_items"),
        ('mdus_dead{colour="red"}', "", "no label colour"),
        ('mdus_dead{kind="cat"}', "", "is never cat"),
        ("sum by (colour) (mdus_dead)", "", "a label colour"),
        ("sum by (kind) (mdus_open_cases)", "{{service}}", "summed away"),
        ("sum(mdus_dead", "", "not closed"),
    ],
)
def test_the_check_finds_what_is_wrong(expr: str, legend: str, said: str) -> None:
    (found,) = wrong_with(expr, legend)
    assert said in found


class TestTheDashboard:
    def test_is_for_grafana_10_and_any_data_source(self) -> None:
        assert DASHBOARD["schemaVersion"] >= 38
        variables = {variable["name"]: variable["type"] for variable in DASHBOARD["templating"]["list"]}
        assert variables == {"datasource": "datasource", "instance": "query"}
        sources = [place["datasource"] for place in places(DASHBOARD) if "datasource" in place]
        assert len(sources) > 30
        assert {source["uid"] for source in sources} == {"${datasource}"}

    def test_has_panels_that_do_not_overlap(self) -> None:
        taken: set[tuple[int, int]] = set()
        for panel in DASHBOARD["panels"]:
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            assert not cells & taken, panel["title"]
            assert at["x"] + at["w"] <= 24
            taken |= cells
        numbers = [panel["id"] for panel in DASHBOARD["panels"]]
        assert len(numbers) == len(set(numbers))

    def test_shows_every_metric(self) -> None:
        shown = {name for _, expr, _ in expressions_of_the_dashboard() for name in re.findall(r"\bmdus_\w+", expr)}
        lacking = [name for name, kind, _ in described() if not {name + end for end in _SUFFIXES[kind]} & shown]
        assert lacking == []


class TestThePage:
    def test_names_every_gate(self) -> None:
        (row,) = re.findall(r"^\| `mdus_determinants_held` .*$", PAGE, flags=re.MULTILINE)
        assert {gate.value for gate in Gate} == set(re.findall(r"`(\w+)`", row.split("|")[3]))

    def test_explains_every_metric_with_its_labels(self) -> None:
        rows = re.findall(r"^\| `(mdus_\w+)` \| ([^|]*)\| [^|]+ \| [^|]+ \|$", PAGE, flags=re.MULTILINE)
        explained = {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
        told = {name + ("_total" if kind == "counter" else ""): labels for name, kind, labels in described()}
        assert explained == told

    def test_names_settings_that_are_there(self) -> None:
        known = {shown.key for shown in load_settings({}).shown()}
        named = set(re.findall(r"`((?:telemetry|database)\.\w+)`", PAGE))
        assert {"telemetry.queue_minutes", "telemetry.disk_free_megabytes"} <= named <= known

    def test_alerts_on_every_kind_of_trouble(self) -> None:
        assert len(list(expressions_of_the_rules())) == RULES.count("- alert:") >= 10
        assert RULES.count("summary:") == RULES.count("severity:") == RULES.count("- alert:")


def places(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a document."""
    if isinstance(tree, dict):
        yield tree
    for below in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from places(below)


def test_labels_are_bounded() -> None:
    ids = {"device_id", "serial_id", "uuid", "message_id", "item_id", "token", "correlation", "id", "key"}
    assert [name for name, _, labels in described() if ids & set(labels)] == []
