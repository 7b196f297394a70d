"""The JSON of concentrators, by `docs/head_ends/mqtt.md`: commands read, tellings of the fleet written."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from simulators.clock import instant
from simulators.fleet.jobs import KINDS
from simulators.fleet.meters import CONNECTED, DISCONNECTED

VERSION = 1

#: The medium of an OBIS code, by its value group A.
_COMMODITIES = {"1": "electricity", "7": "gas", "8": "water", "9": "water"}


class NotUnderstood(Exception):
    """A command that cannot be read; `reply_to` and `cid` are there where at least these can."""

    def __init__(self, reason: str, *, reply_to: str | None = None, cid: str | None = None) -> None:
        super().__init__(reason)
        self.reply_to = reply_to
        self.cid = cid


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A command as the broker delivered it: MQTT 5 says beside the body where and under which name to answer."""

    device: str  # by the topic
    body: bytes
    response_topic: str | None
    correlation: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ordered:
    """A command that was read."""

    key: str
    meter: str
    kind: str
    wish: dict[str, Any]
    expires_at: datetime | None
    reply_to: str
    cid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """A message to be published; `cid` is that of the command it answers."""

    topic: str
    body: dict[str, Any]
    cid: str | None = None
    retain: bool = False


def read(told: Told) -> Ordered:
    """This will read a command; NotUnderstood with the reason."""
    try:
        body = json.loads(told.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise NotUnderstood("not a JSON object", reply_to=told.response_topic, cid=told.correlation)
    reply_to, cid = told.response_topic or body.get("replyTo"), told.correlation or body.get("cid")
    if not isinstance(reply_to, str) or not isinstance(cid, str):
        raise NotUnderstood("nobody says where to answer")
    try:
        kind, meter = body["cmd"], body["meter"]
        if body.get("v", VERSION) != VERSION or kind not in KINDS or meter != told.device:
            raise ValueError(f"v {body.get('v')}, cmd {kind}, meter {meter} under the topic of {told.device}")
        wish = _wish(kind, body.get("args") or {}) | {"reply_to": reply_to, "cid": cid}
        expires = body.get("expires")
        return Ordered(
            key=str(body["id"]),
            meter=meter,
            kind=kind,
            wish=wish,
            expires_at=None if expires is None else instant(expires),
            reply_to=reply_to,
            cid=cid,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NotUnderstood(f"{type(error).__name__}: {error}", reply_to=reply_to, cid=cid) from error


def _wish(kind: str, args: dict[str, Any]) -> dict[str, Any]:
    match kind:
        case "provision":
            registers = [dict(register) for register in args["registers"]]
            media = {_COMMODITIES.get(register["obis"][:1]) for register in registers}
            return {
                "device_id": args["device_id"],
                "commodity": media.pop() if len(media) == 1 else None,
                "registers": registers,
            }
        case "read_registers" | "read_intervals":
            if instant(args["from"]) >= instant(args["to"]):
                raise ValueError("the period is empty")
            return {"period": {"from": args["from"], "to": args["to"]}}
        case "switch":
            if args["state"] not in (CONNECTED, DISCONNECTED):
                raise ValueError(f"state {args['state']}")
            return {"state": args["state"]}
        case "limit_demand":
            return {"limit_kw": args.get("limit_kw")}
        case "show_text":
            return {"text": args["text"]}
        case "control_load":
            raise ValueError("concentrators do not control load")
        case _:
            return {}


def response(result: dict[str, Any], *, kind: str) -> dict[str, Any]:
    """This will write what became of a command, from the fleet's result."""
    is_switched = kind == "switch" and result["status"] == "ok"
    return {
        "status": result["status"],
        "code": result["code"],
        "text": result["text"],
        "at": result["switched_at"] if is_switched else result["completed_at"],
        "reads": [reading(row) for row in result["readings"]],
        "blocks": [block(row) for row in result["blocks"]],
        "state": result["switch_state"],
        "final": True,
    }


def can_part(body: dict[str, Any]) -> bool:
    """This will tell whether a response has values enough for two messages."""
    return max(len(body["reads"]), len(body["blocks"])) > 1


def parts(body: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """This will part the values of a response into two messages, of which the second is final."""
    for number, is_final in enumerate((False, True), start=1):
        part = body | {"id": f"{body['id']}-{number}", "final": is_final}
        for name in ("reads", "blocks"):
            middle = (len(body[name]) + 1) // 2
            part[name] = body[name][middle:] if is_final else body[name][:middle]
        yield part


def refusal(code: str, text: str, at: str) -> dict[str, Any]:
    """This will write that a command is not carried out."""
    return {"status": "failed", "code": code, "text": text, "at": at, "reads": [], "blocks": [], "final": True}


def reading(row: dict[str, Any]) -> dict[str, Any]:
    """This will write a register reading."""
    return {"obis": row["obis"], "value": row["value"], "unit": row["unit"], "ts": row["at"], "q": None}


def block(row: dict[str, Any]) -> dict[str, Any]:
    """This will write a block of interval values."""
    return {
        "obis": row["obis"],
        "unit": row["unit"],
        "minutes": row["interval_minutes"],
        "start": row["start"],
        "values": row["values"],
        "q": row.get("quality") or [],
    }


def event(row: dict[str, Any]) -> dict[str, Any]:
    """This will write an event."""
    return {
        "id": row["event_id"],
        "code": row["code"],
        "ts": row["at"],
        "text": row["text"],
        "props": row["properties"],
    }


def told_of_meters(topic: str, body: dict[str, Any]) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """This will write a telling of the fleet as messages: the serial number, the kind of message, its content.

    What was collected of a meter is one message, each event one of its own: it is told as it happens.
    """
    if topic == "events":
        return [(row["serial"], "evt", {"events": [event(row)]}) for row in body["events"]]
    by_meter: dict[str, dict[str, Any]] = {}
    match topic:
        case "readings":
            for row in body["readings"]:
                by_meter.setdefault(row["serial"], {"reads": []})["reads"].append(reading(row))
        case "intervals":
            for row in body["blocks"]:
                by_meter.setdefault(row["serial"], {"blocks": []})["blocks"].append(block(row))
        case "heard":
            for row in body["meters"]:
                by_meter[row["serial"]] = {"heard": row["at"]}
        case _:
            raise ValueError(f"concentrators tell nothing under {topic}")
    return [(serial, "rdg", content) for serial, content in by_meter.items()]
