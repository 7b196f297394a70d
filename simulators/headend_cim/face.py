"""The face of this kind: /cim over HTTP, and messages to the client's reply address."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC

import httpx
from starlette.routing import BaseRoute

from simulators.clock import stamp
from simulators.fleet.deliveries import Push
from simulators.fleet.face import Call, CallingFace, Kind
from simulators.fleet.times import Times, add_times, zone_of
from simulators.headend_cim import payloads
from simulators.headend_cim.envelopes import Writer, is_positive
from simulators.headend_cim.faults import FAULTS, PARTS
from simulators.headend_cim.replies import READS, halves, told
from simulators.headend_cim.service import PATH, Service
from simulators.headend_cim.words import LAST_PART, MORE_FOLLOWS, RELAY, Spaces


class Cim(CallingFace):
    """A head end with results as replies to the address a request names."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        spaces = Spaces(options.namespaces)
        is_generic = options.style == "generic"
        self._zone = zone_of(options.times, options.time_zone)
        self._writer = Writer(spaces=spaces, is_generic=is_generic, times=Times(zone=self._zone or UTC))
        self._news = replace(self._writer, is_compressed=options.compressed)

    def row(self, url: str) -> dict[str, object]:
        """This will give the row of config/head_ends.toml that MDUS needs."""
        options = {
            "path": PATH,
            "style": self.options.style,
            "namespaces": self.options.namespaces,
            "switch_state_by": self.options.relay,
            "relay_reading_type": RELAY,
            "finds_calls": True,
        }
        if self._zone is not None:
            options["zone_of_local_times"] = self._zone.key
        return {**super().row(url), "options": options}

    def routes(self) -> Sequence[BaseRoute]:
        """This will list the routes of the service."""
        return Service(
            self.head_end,
            self._writer,
            relay=self.options.relay,
            periods=self.options.periods,
            user=self.options.user,
            password=self.options.password,
        ).routes()

    async def deliver(self, push: Push) -> bool:
        """This will POST it, in two parts where a fault says so."""
        if push.topic != "results" or push.body["kind"] not in READS:
            return await super().deliver(push)
        can_part = any(len(each["readings"]) + len(each["blocks"]) > 1 for each in push.body["results"])
        if not can_part or await self.head_end.misfortune(PARTS, token=push.body["token"]) != "partial_replies":
            return await super().deliver(push)
        for body in halves(push.body):
            part = Push(delivery_id=push.delivery_id, topic=push.topic, to=push.to, body=body)
            if not await super().deliver(part):
                return False
        return True

    def call(self, push: Push) -> Call:
        """This will make the message that tells a push."""
        url = push.to if push.to.endswith(PATH) else f"{push.to}{PATH}"
        return Call(url=url, content=self._message(push), headers={"Content-Type": "text/xml; charset=utf-8"})

    def is_taken(self, answer: httpx.Response) -> bool:
        """This will want a reply that says OK."""
        return answer.is_success and is_positive(answer.content)

    def _message(self, push: Push) -> bytes:
        at = stamp(self.head_end.clock.now())
        match push.topic:
            case "results":
                return self._results(push, at)
            case "events":
                return self._writer.event(
                    "EndDeviceEvents", at=at, payload=payloads.events(self._writer, push.body["events"])
                )
            case "heard":
                return self._writer.event(
                    "EndDeviceEvents", at=at, payload=payloads.heard(self._writer, push.body["meters"])
                )
        readings = payloads.MeterReadings(self._news, has_periods=self.options.periods)
        for row in push.body.get("readings", ()):
            readings.reading(row["serial"], row)
        for row in push.body.get("blocks", ()):
            readings.block(row["serial"], row)
        return self._news.event("MeterReadings", at=at, payload=readings.written())

    def _results(self, push: Push, at: str) -> bytes:
        body = push.body
        job = self.head_end.state.jobs.get(body["token"])
        found = told(
            self._writer,
            body,
            orders={} if job is None else job.orders,
            relay=self.options.relay,
            periods=self.options.periods,
        )
        result = "PARTIAL" if body["more"] or body.get("is_last_part") else found.result
        codes = [MORE_FOLLOWS] if body["more"] else [LAST_PART] if result == "PARTIAL" else []
        return self._writer.reply(
            found.noun,
            at=at,
            correlation=body["correlation_id"],
            result=result,
            codes=codes,
            failures=found.failures,
            payload=found.payload,
        )


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--style", choices=("typed", "generic"), default="typed", help="how it writes (default %(default)s)")
    add("--namespaces", choices=("2010", "2011"), default="2011", help="in which vintage (default %(default)s)")
    add(
        "--relay",
        choices=("EndDeviceConfig", "MeterReadings"),
        default="EndDeviceConfig",
        help="with what it tells where a breaker stands (default %(default)s)",
    )
    add_times(parser, "whether times say that they are UTC, or are local or standard time and do not say it")
    add("--periods", action="store_true", help="interval values have a timePeriod, too")
    add("--compressed", action="store_true", help="readings it tells by itself are compressed")


KIND = Kind(
    name="cim",
    description="A simulated head end with IEC 61968-100 messages (docs/head_ends/cim.md) and the meters behind it.",
    face=Cim,
    faults=FAULTS,
    add_options=_add_options,
    port=9140,
)
