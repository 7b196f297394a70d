"""Shows what a run found: the matrix on a terminal, JSON, JUnit, and a page in Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape as plain
from rich.table import Table

from simulators.conformance.contract import Row
from simulators.conformance.judging import described
from simulators.conformance.running import Outcome
from simulators.conformance.verdicts import State, Variant, Verdict

_MARKS: Mapping[State, str] = {
    State.PASSED: "[green]ok[/]",
    State.FAILED: "[bold red]FAILED[/]",
    State.NOT_TRIGGERED: "[yellow]no trigger[/]",
    State.NOT_APPLICABLE: "[dim]n/a[/]",
}
_PLAIN: Mapping[State, str] = {
    State.PASSED: "ok",
    State.FAILED: "**failed**",
    State.NOT_TRIGGERED: "not triggered",
    State.NOT_APPLICABLE: "n/a",
}

#: Characters of one message shown on a terminal; JSON and JUnit have them all.
_SHOWN = 1500
#: Messages of one cell shown on a terminal.
_MESSAGES = 4


def held(outcome: Outcome, *, untriggered_passes: bool) -> bool:
    """This will tell whether the run is passed: nothing failed, nothing was left untriggered unless that is allowed."""
    return not outcome.count(State.FAILED) and (untriggered_passes or not outcome.count(State.NOT_TRIGGERED))


def direction(row: Row) -> str:
    """This will print who sends a row's message."""
    return (
        "MDUS -> SAP"
        if not row.sent_by_sap or (row.answers and row.service.name == "time_series_query")
        else "SAP -> MDUS"
    )


# -- terminal ---------------------------------------------------------------------------------------------------------


def show(outcome: Outcome, console: Console) -> None:
    """This will print the matrix, then every cell that failed or was not triggered."""
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("message", overflow="fold")
    for variant in Variant:
        table.add_column(variant.value, justify="center", no_wrap=True)
    service = None
    for row in outcome.rows:
        if row.service.name != service:
            service = row.service.name
            table.add_section()
            table.add_row(f"[bold]{service}[/]")
        arrow = "<" if direction(row) == "MDUS -> SAP" else ">"
        table.add_row(f"{arrow} {row.root}", *(_MARKS[outcome.cells[row.root, variant].state] for variant in Variant))
    console.print(table)
    for row, variant, said in _cells(outcome):
        if said.state is State.FAILED:
            _show_failure(row, variant, said, console)
    _show_untriggered(outcome, console)
    console.print(
        f"{outcome.count(State.PASSED)} passed, {outcome.count(State.FAILED)} failed, "
        f"{outcome.count(State.NOT_TRIGGERED)} not triggered, {outcome.count(State.NOT_APPLICABLE)} n/a; "
        f"{outcome.sent} messages sent, {outcome.received} received, {outcome.seconds:.0f} s"
    )


def _show_failure(row: Row, variant: Variant, said: Verdict, console: Console) -> None:
    console.print(f"[bold red]FAILED[/] {row.root}: {variant.value}", highlight=False)
    for finding in list(dict.fromkeys(said.findings))[:10]:
        console.print(f"  expected {plain(finding.expected)}", highlight=False)
        console.print(f"  came     {plain(finding.came)}", highlight=False)
    messages = list(_exchange(said))
    for message in messages[:_MESSAGES]:
        console.print(f"  {message['at']:7.2f} s {message['direction']} {plain(message['what'])}", highlight=False)
        body = message["body"]
        shown = body if len(body) <= _SHOWN else f"{body[:_SHOWN]} ..."
        console.print("\n".join(f"      {line}" for line in shown.splitlines()), style="dim", markup=False)
    if len(messages) > _MESSAGES:
        console.print(f"  and {len(messages) - _MESSAGES} messages more: --report FILE has them all")


def _show_untriggered(outcome: Outcome, console: Console) -> None:
    reasons: dict[str, list[str]] = {}
    for row, variant, said in _cells(outcome):
        if said.state is State.NOT_TRIGGERED:
            reasons.setdefault(said.reason, []).append(f"{row.root} ({variant.value})")
    for reason, cells in reasons.items():
        more = f" and {len(cells) - 3} more" if len(cells) > 3 else ""
        console.print(f"[yellow]not triggered[/] {plain(reason)}: {', '.join(cells[:3])}{more}", highlight=False)


def _cells(outcome: Outcome) -> Iterator[tuple[Row, Variant, Verdict]]:
    for row in outcome.rows:
        for variant in Variant:
            yield row, variant, outcome.cells[row.root, variant]


# -- the exchange -----------------------------------------------------------------------------------------------------


def _exchange(said: Verdict) -> Iterator[dict[str, Any]]:
    """Every message of a cell in order, with how it was answered."""
    messages: list[dict[str, Any]] = []
    for posting in {id(one): one for one in said.postings}.values():
        spoiled = f", spoiled: {posting.spoiled}" if posting.spoiled else ""
        answers = "; ".join(described(answer) for answer in posting.answers) or "no answer"
        messages.append(
            {
                "at": posting.began,
                "direction": "SAP -> MDUS",
                "what": f"{posting.message.root}{spoiled}: {answers}",
                "body": _readable(posting.body),
            }
        )
        messages += [
            {
                "at": answer.at,
                "direction": "MDUS -> SAP",
                "what": f"answer {answer.status}",
                "body": _readable(answer.body),
            }
            for answer in posting.answers
            if answer.body
        ]
    for received in {one.number: one for one in said.received}.values():
        messages.append(
            {
                "at": received.at,
                "direction": "MDUS -> SAP",
                "what": f"{received.root or 'a body'} to {received.interface or '/'}, answered {received.status}",
                "body": _readable(received.body),
            }
        )
    yield from sorted(messages, key=lambda message: message["at"])


def _readable(body: bytes) -> str:
    try:
        element = etree.fromstring(
            body, etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=True)
        )
    except (etree.XMLSyntaxError, ValueError):
        return body.decode(errors="replace")
    return etree.tostring(element, pretty_print=True, encoding="unicode").rstrip()


# -- files ------------------------------------------------------------------------------------------------------------


def as_json(outcome: Outcome, *, about: Mapping[str, Any], untriggered_passes: bool) -> dict[str, Any]:
    """This will return the whole result: {passed, counts, rows: [{root, ..., cells: {variant: {state, ...}}}]}."""
    rows = []
    for row in outcome.rows:
        cells: dict[str, Any] = {}
        for variant in Variant:
            said = outcome.cells[row.root, variant]
            cell: dict[str, Any] = {"state": said.state.value}
            if said.reason:
                cell["reason"] = said.reason
            if said.findings:
                findings = dict.fromkeys(said.findings)
                cell["findings"] = [{"expected": one.expected, "came": one.came} for one in findings]
                cell["exchange"] = list(_exchange(said))
            cells[variant.value] = cell
        rows.append(
            {
                "message": row.root,
                "interface": row.interface,
                "service": row.service.name,
                "form": row.form.value,
                "direction": direction(row),
                "cells": cells,
            }
        )
    return {
        "passed": held(outcome, untriggered_passes=untriggered_passes),
        **about,
        "seconds": round(outcome.seconds, 1),
        "sent": outcome.sent,
        "received": outcome.received,
        "counts": {state.value: outcome.count(state) for state in State},
        "rows": rows,
    }


def as_junit(outcome: Outcome, *, untriggered_passes: bool) -> bytes:
    """This will return the result as JUnit XML: a suite per message, a case per variant; n/a is skipped."""
    suites = etree.Element("testsuites", name="mdus conformance", time=f"{outcome.seconds:.1f}")
    for row in outcome.rows:
        said = {variant: outcome.cells[row.root, variant] for variant in Variant}
        states = [one.state for one in said.values()]
        unmet = 0 if untriggered_passes else states.count(State.NOT_TRIGGERED)
        suite = etree.SubElement(
            suites,
            "testsuite",
            name=row.root,
            tests=str(len(states)),
            failures=str(states.count(State.FAILED)),
            errors=str(unmet),
            skipped=str(len(states) - states.count(State.FAILED) - states.count(State.PASSED) - unmet),
        )
        for variant, one in said.items():
            case = etree.SubElement(suite, "testcase", classname=f"{row.service.name}.{row.root}", name=variant.value)
            if one.state is State.FAILED:
                first = one.findings[0]
                failure = etree.SubElement(
                    case, "failure", message=_xml_text(f"expected {first.expected}; came {first.came}")
                )
                failure.text = _xml_text(_told(one))
            elif one.state is State.NOT_TRIGGERED:
                name = "skipped" if untriggered_passes else "error"
                etree.SubElement(case, name, message=_xml_text(f"not triggered: {one.reason}"))
            elif one.state is State.NOT_APPLICABLE:
                etree.SubElement(case, "skipped", message=_xml_text(f"n/a: {one.reason}"))
    return etree.tostring(suites, xml_declaration=True, encoding="utf-8", pretty_print=True)


def _told(said: Verdict) -> str:
    lines = [f"expected {one.expected}\ncame     {one.came}" for one in dict.fromkeys(said.findings)]
    messages = [f"{one['at']:.2f} s {one['direction']} {one['what']}\n{one['body']}" for one in _exchange(said)]
    return "\n\n".join((*lines, *messages))


def _xml_text(text: str) -> str:
    """XML cannot hold every character that a tested MDUS may have sent."""
    return "".join(
        one if one in "\t\n\r" or 0x20 <= ord(one) < 0xD800 or 0xE000 <= ord(one) < 0xFFFE else "?" for one in text
    )


def as_markdown(outcome: Outcome) -> str:
    """This will return the matrix and the reasons of what is not applicable; the same for the same result."""
    lines = []
    service = None
    for row in outcome.rows:
        if row.service.name != service:
            service = row.service.name
            title = service.replace("_", " ")
            lines += ["", f"## {title[:1].upper()}{title[1:]}", ""]
            lines.append(f"{row.service.kind.value}.")
            lines += ["", f"| Message | Sent by | {' | '.join(variant.value for variant in Variant)} |"]
            lines.append(f"|---|---|{'---|' * len(Variant)}")
        states = " | ".join(_PLAIN[outcome.cells[row.root, variant].state] for variant in Variant)
        lines.append(f"| `{row.root}` | {direction(row).split()[0]} | {states} |")
    reasons: dict[str, list[str]] = {}
    for row, variant, said in _cells(outcome):
        if said.state is State.NOT_APPLICABLE:
            reasons.setdefault(said.reason, []).append(f"{row.service.name.replace('_', ' ')}: {variant.value}")
    lines += ["", "## Not applicable", "", "| Because | Cells |", "|---|---|"]
    lines += [f"| {escape(reason)} | {'; '.join(dict.fromkeys(cells))} |" for reason, cells in reasons.items()]
    return "\n".join(lines).strip() + "\n"
