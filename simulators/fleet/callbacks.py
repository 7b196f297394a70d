"""How the results of a job are told, and what a fault makes of the telling."""

import copy
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any

from simulators.fleet.deliveries import Push
from simulators.fleet.jobs import Job

Result = dict[str, Any]

#: Faults that spoil a telling of results, of which the hit says whose they were.
SPOILING = (
    "duplicate_callback",
    "duplicate_callback_other_value",
    "split_callbacks",
    "callback_unknown_token",
    "callback_empty_correlation",
    "wrong_meter_in_callback",
)


class Completion(StrEnum):
    """How the client of a face comes to the results of its jobs."""

    CALLBACK = "callback"  # they are told, topic `results`
    POLL = "poll"  # the client asks with the token; nothing is told
    READY = "ready"  # topic `ready` tells that there are some, without them; the client fetches them with the token
    SYNCHRONOUS = "synchronous"  # in the answer of the submit; the face waits for them (`HeadEnd.ended`)
    FILE = "file"  # they are told, topic `results`, and the face writes files


def tellings(
    job: Job, results: Sequence[Result], *, delivery_id: str, completion: Completion, stranger: str, has_more: bool
) -> list[Push]:
    """This will make the pushes of these results, spoiled as the job's fault says; `stranger` is another meter."""
    if completion in (Completion.POLL, Completion.SYNCHRONOUS):
        return []
    base = {"token": job.token, "correlation_id": job.correlation_id, "kind": job.kind}

    def push(told: Sequence[Result], number: int = 0, *, copies: int = 1, more: bool = has_more, **of: str) -> Push:
        its_id = delivery_id if number == 0 else f"{delivery_id}-{number}"
        body: dict[str, Any] = {"delivery_id": its_id, **base, **of, "more": more}
        if completion is Completion.READY:
            return Push(
                delivery_id=its_id,
                topic="ready",
                to=job.callback_url,
                body=body | {"references": [result["reference"] for result in told]},
                copies=copies,
            )
        return Push(
            delivery_id=its_id, topic="results", to=job.callback_url, body=body | {"results": told}, copies=copies
        )

    match job.callback_fault if can_spoil(job.callback_fault, results) else None:
        case "duplicate_callback":
            return [push(results, copies=2)]
        case "duplicate_callback_other_value":
            return [push(results), push([another(result) for result in results], 1)]
        case "split_callbacks":
            middle = len(results) // 2
            return [push(results[:middle], more=True), push(results[middle:], 1)]
        case "callback_unknown_token":
            unknown = {"token": "j-unknown", "correlation_id": "00000000-0000-4000-8000-000000000000"}
            return [push(results, 1, **unknown), push(results)]
        case "callback_empty_correlation":
            return [push(results, correlation_id="")]
        case "wrong_meter_in_callback":
            return [push([results[0] | {"serial": stranger}, *results[1:]])]
        case _:
            return [push(results)]


def can_spoil(fault: str | None, results: Sequence[Result]) -> bool:
    """This will tell whether a fault finds in these results what it spoils; others of their job may have it."""
    match fault:
        case "split_callbacks":
            return len(results) > 1
        case "duplicate_callback_other_value":
            return any(result["readings"] for result in results)
        case _:
            return True


def another(result: Result) -> Result:
    """This will make a result with other values of the same instants."""
    other = copy.deepcopy(result)
    for reading in other["readings"]:
        value = Decimal(reading["value"])
        reading["value"] = str(value + Decimal(1).scaleb(int(value.as_tuple().exponent)))
    return other
