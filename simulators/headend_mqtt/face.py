"""The face of this kind: concentrators that speak for themselves, each a client of the broker.

```
command --> read, known? --no--> job of the fleet, journalled --> acknowledged to the broker
              |                        |
              | told already           +-- rejected: answered, then acknowledged
              v                        +-- ended: published as the fleet delivers it, until the broker has it
            answered once more
```
"""

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from simulators.clock import stamp
from simulators.fleet.core import chunks
from simulators.fleet.deliveries import Push
from simulators.fleet.face import Face, Kind
from simulators.fleet.headend import Overloaded
from simulators.fleet.jobs import TEXTS, Job, Order, Submission
from simulators.fleet.tasks import ends_all
from simulators.headend_mqtt import messages
from simulators.headend_mqtt.brokers import broker
from simulators.headend_mqtt.concentrator import Concentrator, Topics
from simulators.headend_mqtt.faults import BIRTH, FAULTS, RESPONSE, TELLING, VALUES
from simulators.headend_mqtt.messages import Message, NotUnderstood, Ordered, Told

_BORN_AGAIN = timedelta(minutes=5)  # after a birth message that was lost
_TOGETHER = 200  # commands in one job of the fleet
_AT_ONCE = 20  # messages of one telling on their way to the broker
_BIRTH = "birth"  # the task of a birth message


#: A message, and the meter whose concentrator publishes it.
Written = tuple[str, Message]


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A command that came, and what acknowledges it to the broker."""

    concentrator: str
    told: Told
    acknowledge: Callable[[], Any]


class Mqtt(Face):
    """Concentrators at a broker."""

    needs_address = False
    concentrators_speak = True

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        if options.concentrators is not None and options.concentrators < 1:
            raise ValueError("without concentrators nobody is at the broker")
        self._broker = broker(options.broker, port=options.broker_port, state=options.state)
        self._topics = Topics(head_end=options.head_end)
        self._concentrators: dict[str, Concentrator] = {}
        self._received: asyncio.Queue[Received] = asyncio.Queue()
        self._jobs: dict[str, Job] = {}  # by the key of a command
        self._written: dict[str, list[Written]] = {}  # tellings that were tried, lest the next try says something else
        self._tasks: set[asyncio.Task[None]] = set()

    def row(self, url: str) -> dict[str, Any]:
        """This will give the row: the address is the broker's."""
        del url
        return {
            "kind": "mqtt",
            "url": f"mqtt://{self._broker.host}:{self._broker.port}",
            "user": self.options.user,
            "options": {"version": self.options.version, "headend": self.options.head_end},
        }

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """This will start the broker and bring all concentrators there that are not away."""
        for job in self.head_end.state.jobs.values():
            self._remember(job)
        await self._broker.start()
        for name in self.head_end.state.concentrators:
            self._concentrators[name] = Concentrator(
                name,
                broker=self._broker,
                version=self.options.version,
                topics=self._topics,
                commanded=lambda of, told, acknowledge: self._received.put_nowait(
                    Received(concentrator=of, told=told, acknowledge=acknowledge)
                ),
                arrived=lambda of: self._begin(self._be_born(of), name=_BIRTH),
            )
        self._begin(self._obey(), name="obeying")
        there = [each.name for each in self.head_end.state.concentrators.values() if each.is_online]
        await asyncio.gather(*(self._concentrators[name].come() for name in there))
        # Who is told that we are here finds the birth messages at the broker.
        await asyncio.gather(*(task for task in self._tasks if task.get_name() == _BIRTH))

    async def stop(self) -> None:
        """This will disconnect all, and end the broker."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*(each.leave(politely=True) for each in self._concentrators.values()))
        await self._broker.stop()

    async def concentrator_changed(self, name: str, *, is_online: bool) -> None:
        """This will let a concentrator lose its connection, or come back."""
        if is_online:
            await self._concentrators[name].come()
        else:
            await self._concentrators[name].leave()

    async def _be_born(self, name: str) -> None:
        if await self.head_end.misfortune(BIRTH, concentrator=name) == "birth_lost":
            self._begin(self._be_born_later(name), name="second birth")
        else:
            await self._say_birth(name)

    async def _be_born_later(self, name: str) -> None:
        await self.head_end.clock.sleep_until(self.head_end.clock.now() + _BORN_AGAIN)
        await self._say_birth(name)

    async def _say_birth(self, name: str) -> None:
        meters = [meter.serial for meter in self.head_end.state.meters.values() if meter.concentrator == name]
        birth = self._body(name, f"birth-{uuid4().hex}") | {"state": "online", "protocol": "ami/v1", "meters": meters}
        await self._concentrators[name].publish(Message(topic=self._topics.state(name), body=birth, retain=True))

    def _begin(self, what: Coroutine[Any, Any, None], *, name: str) -> None:
        task = asyncio.create_task(what, name=name)
        self._tasks.add(task)
        task.add_done_callback(ends_all)
        task.add_done_callback(self._tasks.discard)

    # --- commands -----------------------------------------------------------------------------------------------------

    async def _obey(self) -> None:
        most = min(_TOGETHER, self.head_end.behaviour.network.batch or _TOGETHER)
        while True:
            some = [await self._received.get()]
            with self.head_end.answering():
                while len(some) < most and not self._received.empty():
                    some.append(self._received.get_nowait())
                await self._take(some)

    async def _take(self, some: Sequence[Received]) -> None:
        new: defaultdict[tuple[str, str, Any], dict[str, tuple[Received, Ordered]]] = defaultdict(dict)
        for each in some:
            try:
                ordered = messages.read(each.told)
            except NotUnderstood as error:
                await self._not_understood(each, error)
                continue
            group = new[each.concentrator, ordered.kind, ordered.expires_at]
            if ordered.key in self._jobs:
                await self._answer_again(each, ordered)
            elif ordered.key in group:
                each.acknowledge()
            else:
                group[ordered.key] = (each, ordered)
        for (_, kind, expires_at), group in new.items():
            if group:
                await self._submit(kind, expires_at, list(group.values()))

    async def _submit(self, kind: str, expires_at: Any, group: Sequence[tuple[Received, Ordered]]) -> None:
        orders = [Order(serial=each.meter, reference=each.key, wish=each.wish) for _, each in group]
        try:
            job = await self.head_end.submit(
                Submission(correlation_id=str(uuid4()), kind=kind, orders=orders, expires_at=expires_at)
            )
        except Overloaded:
            for received, ordered in group:
                await self._refuse(received, ordered, "BUSY")
            return
        self._remember(job)
        rejected = {rejection["reference"]: rejection["code"] for rejection in job.rejected}
        for received, ordered in group:
            if ordered.key in rejected:
                await self._refuse(received, ordered, rejected[ordered.key])
            else:
                received.acknowledge()

    def _remember(self, job: Job) -> None:
        self._jobs.update(dict.fromkeys(job.orders, job))
        self._jobs.update(dict.fromkeys((rejection["reference"] for rejection in job.rejected), job))

    async def _answer_again(self, received: Received, ordered: Ordered) -> None:
        """This will not do a second time what was ordered once; what became of it may be asked for."""
        job = self._jobs[ordered.key]
        rejected = {rejection["reference"]: rejection["code"] for rejection in job.rejected}
        told = {result["reference"]: result for result in job.told(self.head_end.clock.now())}
        if ordered.key in rejected:
            await self._refuse(received, ordered, rejected[ordered.key])
        elif ordered.key in told:
            content = messages.response(told[ordered.key], kind=job.kind)
            await self._respond(received, ordered.meter, ordered.reply_to, ordered.cid, content)
        else:
            received.acknowledge()

    async def _refuse(self, received: Received, ordered: Ordered, code: str) -> None:
        content = messages.refusal(code, TEXTS[code], stamp(self.head_end.clock.now()))
        await self._respond(received, ordered.meter, ordered.reply_to, ordered.cid, content)

    async def _not_understood(self, received: Received, error: NotUnderstood) -> None:
        if error.reply_to is None or error.cid is None:
            received.acknowledge()  # nobody to complain to
            return
        content = messages.refusal("NOT_UNDERSTOOD", str(error), stamp(self.head_end.clock.now()))
        await self._respond(received, received.told.device, error.reply_to, error.cid, content)

    async def _respond(self, received: Received, meter: str, topic: str, cid: str, content: dict[str, Any]) -> None:
        """This will answer, and then acknowledge the command: without an answer at the broker it comes again."""
        body = self._body(received.concentrator, f"answer-{uuid4().hex}", meter) | content
        if await self._concentrators[received.concentrator].publish(Message(topic=topic, body=body, cid=cid)):
            received.acknowledge()

    # --- tellings -----------------------------------------------------------------------------------------------------

    async def deliver(self, push: Push) -> bool:
        """This will publish what meters told, on the connections of their concentrators."""
        if push.delivery_id not in self._written:
            fault = await self.head_end.misfortune(TELLING, concentrator=push.concentrator)
            if fault == "broker_restarted":
                await self._broker.stop()
                await self._broker.start()
            written = await self._write(push)
            self._written[push.delivery_id] = written + written[: fault == "duplicate_message"]
        # In a flood there are ten thousand: each has its time to be acknowledged from when it leaves.
        for some in chunks(self._written[push.delivery_id], _AT_ONCE):
            if not all(await asyncio.gather(*(self._of(meter).publish(message) for meter, message in some))):
                return False
        self._written.pop(push.delivery_id)
        return True

    async def _write(self, push: Push) -> list[Written]:
        now = stamp(self.head_end.clock.now())
        if push.topic == "results":
            return [each for result in push.body["results"] for each in await self._responses(push, result, now)]
        return [
            (meter, self._message(meter, kind, content, id_=f"{push.delivery_id}-{number}", now=now))
            for number, (meter, kind, content) in enumerate(messages.told_of_meters(push.topic, push.body))
        ]

    async def _responses(self, push: Push, result: dict[str, Any], now: str) -> list[Written]:
        """This will write the response of a command, spoiled by what a fault makes of it."""
        job = self.head_end.state.jobs[push.body["token"]]
        order = job.orders[result["reference"]]
        content = messages.response(result, kind=job.kind)
        id_ = f"{push.delivery_id}-{order.reference}"
        body = self._body(self._of(order.serial).name, id_, result["serial"], now=now) | content
        message = Message(topic=order.wish["reply_to"], body=body, cid=order.wish["cid"])
        hit = {"references": [order.reference], "serial": order.serial}
        if messages.can_part(body) and await self.head_end.misfortune(VALUES, **hit) == "response_in_parts":
            return [(order.serial, replace(message, body=part)) for part in messages.parts(body)]
        match await self.head_end.misfortune(RESPONSE, **hit):
            case "message_without_cid":
                return [(order.serial, replace(message, cid=None))]
            case "response_to_unknown_cid":
                unknown = replace(message, body=body | {"id": f"{id_}-unknown"}, cid=str(uuid4()))
                return [(order.serial, unknown), (order.serial, message)]
            case "retained_old_response":
                return [(order.serial, replace(message, retain=True))]
            case _:
                return [(order.serial, message)]

    def _message(self, meter: str, kind: str, content: dict[str, Any], *, id_: str, now: str) -> Message:
        name = self._of(meter).name
        return Message(topic=self._topics.of(name, meter, kind), body=self._body(name, id_, meter, now=now) | content)

    def _of(self, serial: str) -> Concentrator:
        return self._concentrators[self.head_end.state.meters[serial].concentrator or ""]

    def _body(self, concentrator: str, id_: str, meter: str | None = None, *, now: str | None = None) -> dict[str, Any]:
        body: dict[str, Any] = {
            "v": messages.VERSION,
            "id": id_,
            "ts": now or stamp(self.head_end.clock.now()),
            "src": concentrator,
        }
        return body if meter is None else body | {"meter": meter}


def add_options(parser: argparse.ArgumentParser) -> None:
    """This will add what only this kind has."""
    parser.set_defaults(concentrators=2)
    add = parser.add_argument
    add(
        "--broker",
        default="mosquitto",
        metavar="mosquitto|amqtt|URL",
        help="start one of these, or use mqtt://host:port (default %(default)s)",
    )
    add("--broker-port", type=int, default=0, help="of a broker started here, 0 for a free one (default %(default)s)")
    add("--version", choices=("5", "3.1.1"), default="5", help="of MQTT (default %(default)s)")
    add("--head-end", default="field", metavar="NAME", help="the head end in the topics (default %(default)s)")


KIND = Kind(
    name="mqtt",
    description="Simulated data concentrators at a broker (docs/head_ends/mqtt.md) and the meters behind them.",
    face=Mqtt,
    faults=FAULTS,
    add_options=add_options,
    needs_password=False,
)
