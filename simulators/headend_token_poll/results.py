"""What has become of a request: as it is fetched, as it is told, and what a fault makes of it.

Of a fault of callbacks it is the first fetch of results that is spoiled; what is fetched later is right. A head end
that calls back spoils its callbacks instead, where they alone can show the fault.

| fault                                      | the first fetch                                                       |
|--------------------------------------------|-----------------------------------------------------------------------|
| split_callbacks                            | tells half of what is there                                           |
| wrong_meter_in_callback                    | names another meter                                                   |
| duplicate_callback_other_value             | is told again with other values, pushed and to whoever fetches it     |
| duplicate_callback, where it is polled     | is told again, pushed                                                 |
| callback_unknown_token, where polled       | is answered under a token and a reference that nobody gave            |
| callback_empty_correlation, where polled   | names no reference                                                    |

Which requests were fetched is forgotten with the process: after a kill one may be spoiled again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from simulators.clock import stamp
from simulators.fleet.callbacks import SPOILING, Completion, another, can_spoil
from simulators.fleet.jobs import Job, Order
from simulators.headend_token_poll import soap
from simulators.headend_token_poll.contract import STATES, WORDS, meter_id, operation_of
from simulators.headend_token_poll.documents import document

if TYPE_CHECKING:
    from simulators.headend_token_poll.face import TokenPoll

Result = dict[str, Any]

#: What is told again without being asked for.
AGAIN = "again"

_UNKNOWN = "j-unknown", "00000000-0000-4000-8000-000000000000"

#: Faults that a head end which calls back shows by fetches all the same.
_OF_FETCHES = ("split_callbacks", "wrong_meter_in_callback", "duplicate_callback_other_value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """What a fetch tells of a request: its results, and those that are told again afterwards."""

    token: str
    reference: str
    is_done: bool
    results: Sequence[Result]
    again: Sequence[Result] = ()


class Results:
    """This will tell what has become of requests, spoiled as their faults say."""

    def __init__(self, face: "TokenPoll") -> None:
        self._face = face
        self._fetched: dict[str, set[str]] = {}  # by token: of what the first fetch told, the references

    def fetch(self, job: Job, now: datetime) -> Fetched:
        """This will give what is known of a request to whoever fetches it."""
        token, reference, told = job.token, job.correlation_id, job.told(now)
        is_done, again = job.is_done(now), list[Result]()
        fault, hit = self._misfortune(job)
        if not told or fault is None or not can_spoil(fault, told):
            return Fetched(token=token, reference=reference, is_done=is_done, results=told)
        is_first = token not in self._fetched
        first = self._fetched.setdefault(token, {result["reference"] for result in told})
        match fault:
            case "duplicate_callback_other_value":
                others = [another(result) if result["reference"] in first else result for result in told]
                told, again = (told, others) if is_first else (others, again)
            case "duplicate_callback" if is_first:
                again = told
            case "split_callbacks" if is_first:
                told, is_done = told[: len(told) // 2], False
            case "wrong_meter_in_callback" if is_first and "stranger" in hit:
                wrong = {hit["serial"]: hit["stranger"]}
                told = [result | {"serial": wrong.get(result["serial"], result["serial"])} for result in told]
            case "callback_unknown_token" if is_first:
                token, reference = _UNKNOWN
            case "callback_empty_correlation" if is_first:
                reference = ""
        return Fetched(token=token, reference=reference, is_done=is_done, results=told, again=again)

    def _misfortune(self, job: Job) -> tuple[str | None, Mapping[str, Any]]:
        hits = self._face.head_end.state.faults.hits
        for name in SPOILING if self._face.completion is Completion.POLL else _OF_FETCHES:
            for hit in hits.get(name, ()):
                if hit.get("token") == job.token:
                    return name, hit
        return None, {}


def operation(job: Job) -> str:
    """This will return the operation that a job came by."""
    order = next(iter(job.orders.values()), None)
    return operation_of(job.kind, {} if order is None else order.wish)


def add_head(message: soap.Message, token: str, reference: str) -> None:
    """This will add whose results a message has."""
    message.add("RequestToken", token)
    if reference:
        message.add("CallerReference", reference)


def add_results(message: soap.Message, orders: Sequence[Order], results: Sequence[Result], *, now: datetime) -> None:
    """This will add what became of the meters of orders, pending where there is no result, and the values read."""
    endpoints = message.add("Endpoints")
    told = {result["reference"]: result for result in results}
    for order in orders:
        _add_endpoint(message, endpoints, order, told.get(order.reference))
    readings = [{"serial": each["serial"], **row} for each in results for row in each["readings"]]
    blocks = [{"serial": each["serial"], **row} for each in results for row in each["blocks"]]
    if readings or blocks:
        message.add("Data").append(document(readings, blocks, created_at=stamp(now)))


def _add_endpoint(message: soap.Message, endpoints: soap.Element, order: Order, result: Result | None) -> None:
    endpoint = message.add("Endpoint", to=endpoints)
    serial = order.serial if result is None else result["serial"]
    message.add("ElectronicSerialNumber", meter_id(serial), to=endpoint)
    if result is None:
        message.add("Outcome", "Pending", to=endpoint)
        return
    is_armed = result["code"] == "ARMED"
    message.add("Outcome", "Success" if result["status"] == "ok" or is_armed else "Failure", to=endpoint)
    if result["code"] is not None and not is_armed:
        message.add("Code", WORDS[result["code"]], to=endpoint)
    if result["text"]:
        message.add("Text", result["text"], to=endpoint)
    message.add("CompletedWhen", result["completed_at"], to=endpoint)
    if result["switch_state"] is not None:
        message.add("SwitchState", "Armed" if is_armed else STATES[result["switch_state"]], to=endpoint)
    if result["switched_at"] is not None:
        message.add("SwitchedWhen", result["switched_at"], to=endpoint)
