"""The face of this kind: SOAP services, status callbacks, and what is told to subscribers."""

import argparse
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import httpx
from starlette.routing import BaseRoute

from simulators.clock import stamp
from simulators.fleet.callbacks import Completion
from simulators.fleet.deliveries import Push
from simulators.fleet.face import CallingFace, Kind
from simulators.headend_token_poll import soap
from simulators.headend_token_poll.contract import (
    DETECT,
    HEARD,
    INTERROGATE,
    OF_PUSHES,
    exception_of,
    meter_id,
    operation_of,
)
from simulators.headend_token_poll.detections import DETECTED, Detection
from simulators.headend_token_poll.documents import document
from simulators.headend_token_poll.faults import ANNOUNCEMENT, FAULTS, STATUS, TELLING
from simulators.headend_token_poll.results import AGAIN, add_head, add_results, operation
from simulators.headend_token_poll.service import Service
from simulators.headend_token_poll.subscriptions import Subscriptions

#: What is told to which subscribers.
_SUBSCRIBERS = {
    "readings": "Data",
    "intervals": "Data",
    AGAIN: "Data",
    "events": "Exceptions",
    "heard": "Exceptions",
}


class TokenPoll(CallingFace):
    """A head end that says when there is a result, or not even that, and is asked for it."""

    needs_address = False  # of results; all else goes where it was subscribed to

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.completion = Completion(options.completion)
        state: Path | None = options.state
        self.subscriptions = Subscriptions(
            None if state is None else state.with_suffix(f"{state.suffix}.subscriptions")
        )

    def row(self, url: str) -> dict[str, Any]:
        """This will give the row of config/head_ends.toml."""
        seconds = 0.5 if self.completion is Completion.POLL else 2.0
        options = {"finds_requests": True, "load_side_voltage": "blocks"}
        return {**super().row(url), "poll_seconds": seconds, "options": options}

    def routes(self) -> Sequence[BaseRoute]:
        """This will list the routes of the services."""
        return Service(self, user=self.options.user, password=self.options.password).routes()

    async def deliver(self, push: Push) -> bool:
        """This will call back, or tell the subscribers; what nobody has subscribed to is told to nobody."""
        if push.topic == "ready":
            return await self._call_back(push)
        if push.topic == DETECTED:
            return await self._tell_of(Detection.from_record(push.body))
        kind = _SUBSCRIBERS[push.topic]
        if self.subscriptions.of(kind) and await self.head_end.misfortune(TELLING, topic=push.topic) is not None:
            self.subscriptions.lose(kind)
        message = self._told(push)
        told = [await self._tell(each.address, message) for each in self.subscriptions.of(kind)]
        return all(told)

    async def _call_back(self, push: Push) -> bool:
        job = self.head_end.state.jobs.get(push.body["token"])
        name = operation_of(push.body["kind"], {}) if job is None else operation(job)
        if not push.to:
            return True
        if name == INTERROGATE:
            message = soap.Message(OF_PUSHES, "DataArrived")
            _add_request(message, push, name)
            return await self._tell(f"{push.to}/data", message.root)
        if await self.head_end.misfortune(STATUS) == "status_callback_lost":
            return True
        message = soap.Message(OF_PUSHES, "RequestStatusChanged")
        _add_request(message, push, name)
        message.add("Status", "PartiallyComplete" if push.body["more"] else "Complete")
        return await self._post(f"{push.to}/status", message.root)

    async def _tell_of(self, detection: Detection) -> bool:
        status, arrived = (soap.Message(OF_PUSHES, name) for name in ("RequestStatusChanged", "DataArrived"))
        for message in (status, arrived):
            add_head(message, detection.token, detection.reference)
            message.add("Operation", DETECT)
        status.add("Status", "Complete")
        detection.add_to(arrived)
        subscribed = self.subscriptions.of("Data") if detection.to_subscribers else ()
        told = [(detection.status_address, status), (detection.data_address, arrived)]
        told += [(each.address, arrived) for each in subscribed]
        return all([await self._post(address, message.root) for address, message in told if address])

    def _told(self, push: Push) -> soap.Element:
        rows = push.body
        if push.topic == AGAIN:
            message, job = soap.Message(OF_PUSHES, "DataArrived"), self.head_end.state.jobs[rows["token"]]
            add_head(message, job.token, job.correlation_id)
            message.add("Operation", operation(job))
            orders = [job.orders[result["reference"]] for result in rows["results"]]
            add_results(message, orders, rows["results"], now=self.head_end.clock.now())
            return message.root
        if push.topic in ("readings", "intervals"):
            message = soap.Message(OF_PUSHES, "DataArrived")
            now = stamp(self.head_end.clock.now())
            data = document(rows.get("readings", ()), rows.get("blocks", ()), created_at=now)
            message.add("Data").append(data)
            return message.root
        message = soap.Message(OF_PUSHES, "MeterExceptionsArrived")
        for each in rows.get("events", ()):
            sequence = str(int(each["event_id"].removeprefix("e-"), 16))
            exception = _add_exception(message, each, *exception_of(each["code"]), sequence)
            if each["properties"]:
                arguments = message.add("Arguments", to=exception)
                for argument, text in each["properties"].items():
                    message.add("Argument", text, to=arguments).set("Name", argument)
        for each in rows.get("meters", ()):
            _add_exception(message, each, *HEARD, "0")
        return message.root

    async def _tell(self, address: str, message: soap.Element) -> bool:
        is_data = soap.local(message) == "DataArrived"
        twice = is_data and await self.head_end.misfortune(ANNOUNCEMENT) == "data_announced_twice"
        return all([await self._post(address, message) for _ in range(2 if twice else 1)])

    async def _post(self, address: str, message: soap.Element) -> bool:
        headers = {
            "Content-Type": "text/xml; charset=utf-8",
            "SOAPAction": f'"{OF_PUSHES}/{soap.local(message)}"',
        }
        try:
            answer = await self._client.post(address, content=soap.envelope(message), headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return answer.is_success


def _add_request(message: soap.Message, push: Push, operation: str) -> None:
    add_head(message, push.body["token"], push.body["correlation_id"])
    message.add("Operation", operation)


def _add_exception(
    message: soap.Message, row: dict[str, Any], number: str, name: str, category: str, sequence: str
) -> soap.Element:
    exception = message.add("MeterException")
    for each, text in (
        ("ElectronicSerialNumber", meter_id(row["serial"])),
        ("ReceivedWhen", row["at"]),
        ("ExceptionCategory", category),
        ("Name", name),
        ("ID", number),
        ("Timestamp", row["at"]),
        ("SequenceNumber", sequence),
    ):
        message.add(each, text, to=exception)
    return exception


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--completion",
        choices=[Completion.READY.value, Completion.POLL.value],
        default=Completion.READY.value,
        help="whether it calls back when there are results, or is polled (default %(default)s)",
    )


def _never_shown(options: argparse.Namespace) -> Collection[str]:
    # Where nothing is told of requests, nothing of that can be lost.
    return {"status_callback_lost"} if options.completion == Completion.POLL else ()


KIND = Kind(
    name="token_poll",
    description="A simulated head end of tokens and results to be fetched (docs/head_ends/token_poll.md).",
    face=TokenPoll,
    faults=FAULTS,
    add_options=_add_options,
    port=9130,
    never_shown=_never_shown,
)
