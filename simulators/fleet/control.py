"""The control API, for whoever plays the landscape or judges it.

It is answered to the loopback only, needs no credentials, and is no part of the contract with the client.
"""

import ipaddress
import json
import re
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.clock import instant, stamp
from simulators.fleet.events import event
from simulators.fleet.field import OUTCOMES
from simulators.fleet.headend import HeadEnd
from simulators.fleet.intervals import printed
from simulators.fleet.jobs import KINDS
from simulators.fleet.meters import Kind, exact, midnight
from simulators.fleet.problem import Problem
from simulators.fleet.resources import controls, history, meter_resource, own_channels, own_registers

_EVENT_TYPE = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)


class Control:
    """This will answer /control for a head end."""

    def __init__(self, head_end: HeadEnd) -> None:
        self._head_end = head_end

    def routes(self) -> list[Route]:
        """This will list the routes."""
        table = (
            ("GET", "activity", self.activity),
            ("GET", "meters", self.meters),
            ("GET", "true", self.true),
            ("POST", "true", self.true_values),
            ("GET", "switches", self.switches),
            ("GET", "switch_counts", self.switch_counts),
            ("GET", "commands", self.commands),
            ("GET", "faults", self.faults),
            ("POST", "faults", self.arm),
            ("POST", "script", self.script),
            ("POST", "hear", self.hear),
            ("POST", "leave", self.leave),
            ("POST", "snapshot", self.snapshot),
            ("GET", "intervals", self.intervals),
            ("POST", "intervals", self.push_intervals),
            ("POST", "irregular", self.irregular),
            ("GET", "events", self.events),
            ("POST", "event", self.event),
            ("POST", "storm", self.storm),
            ("GET", "concentrators", self.concentrators),
            ("POST", "concentrators", self.set_concentrator),
        )
        return [Route(f"/control/{name}", _local(endpoint), methods=[method]) for method, name, endpoint in table]

    async def activity(self, _: Request) -> Response:
        """This will tell what is going on now and when something will next: {in_flight, next_due, now, ...}."""
        return JSONResponse(self._head_end.activity())

    async def meters(self, request: Request) -> Response:
        """This will list all meters with material, registers that count and `channels`, the interval registers.

        With `at`, registers have their true and shown values, too.
        """
        at = instant(request.query_params["at"]) if "at" in request.query_params else None
        only = request.query_params.get("serial")
        rows = []
        for meter in self._head_end.state.meters.values():
            if only is not None and meter.serial != only:
                continue
            registers = own_registers(meter)
            if at is not None:
                for row, register in zip(registers, meter.registers, strict=True):
                    true = meter.true(register, at)
                    row |= {"true": format(exact(true), "f"), "shown": register.shown(true)}
            row = {"material": meter.material, "registers": registers, "channels": own_channels(meter)}
            rows.append({**meter_resource(meter), **controls(meter), **history(meter), **row})
        return JSONResponse(
            {
                "seed": self._head_end.behaviour.seed,
                "time_zone": self._head_end.behaviour.zone.key,
                "now": stamp(self._head_end.clock.now()),
                "meters": rows,
            }
        )

    async def true(self, request: Request) -> Response:
        """This will tell what one register truly holds at an instant (default now), and what it shows."""
        return JSONResponse(self._true(dict(request.query_params)))

    async def true_values(self, request: Request) -> Response:
        """This will tell many true values at once: {queries: [{serial, obis, at}]} -> {values: [...]}, in order."""
        body = await _object(request)
        return JSONResponse({"values": [self._true(query) for query in body.get("queries", [])]})

    async def switches(self, _: Request) -> Response:
        """This will tell where every breaker stands: {serial: {state, switched_at, operations}}."""
        return JSONResponse(
            {
                meter.serial: {
                    "state": meter.breaker.state,
                    "switched_at": None if meter.breaker.switched_at is None else stamp(meter.breaker.switched_at),
                }
                for meter in self._head_end.state.meters.values()
                if meter.breaker is not None
            }
        )

    async def switch_counts(self, request: Request) -> Response:
        """This will tell, per reference, how often a switch command was received, executed, and lost unanswered."""
        only = request.query_params.get("reference")
        return JSONResponse(
            {
                reference: asdict(count)
                for reference, count in self._head_end.state.switch_counts.items()
                if only in (None, reference)
            }
        )

    async def commands(self, request: Request) -> Response:
        """This will list the device orders taken, oldest first; `kind`, `serial` and `reference` narrow the list."""
        wanted = {name: request.query_params.get(name) for name in ("kind", "serial", "reference")}
        rows = []
        for job in self._head_end.state.jobs.values():
            if wanted["kind"] not in (None, job.kind):
                continue
            for order in job.orders.values():
                if wanted["serial"] not in (None, order.serial) or wanted["reference"] not in (None, order.reference):
                    continue
                rows.append(
                    {
                        "token": job.token,
                        "correlation_id": job.correlation_id,
                        "kind": job.kind,
                        "serial": order.serial,
                        "reference": order.reference,
                        "state": order.wish.get("state"),
                        "received_at": stamp(job.submitted_at),
                        "outcome": order.outcome,
                        "result": order.result,
                    }
                )
        return JSONResponse({"commands": rows})

    async def faults(self, _: Request) -> Response:
        """This will tell which faults fired how often and on what, and which are still to fire."""
        plan = self._head_end.state.faults
        return JSONResponse(
            {
                "fired": {name: {"count": len(hits), "hits": hits} for name, hits in plan.hits.items()},
                "remaining": plan.remaining,
                "descriptions": {name: fault.description for name, fault in plan.table.items()},
            }
        )

    async def arm(self, request: Request) -> Response:
        """This will make a fault fire more often: {name, times}."""
        body = await _object(request)
        name, times = body.get("name"), body.get("times", 1)
        faults = self._head_end.state.faults.table
        if name not in faults or not isinstance(times, int) or times < 1:
            raise Problem(422, "No such fault", f"name is one of {', '.join(faults)}; times is a number from 1")
        await self._head_end.arm(name, times)
        return JSONResponse({"remaining": self._head_end.state.faults.remaining})

    async def script(self, request: Request) -> Response:
        """This will make the next device orders of a meter end as told: {serial, kind?, outcomes: [...]}."""
        body = await _object(request)
        self._known([body.get("serial")])
        kind, outcomes = body.get("kind"), body.get("outcomes")
        if kind not in (None, *KINDS):
            raise Problem(422, "No such kind", f"kind is one of {', '.join(KINDS)}")
        if not isinstance(outcomes, list) or not all(_is_outcome(outcome) for outcome in outcomes):
            raise Problem(422, "No such outcome", f"outcomes are {', '.join(OUTCOMES)}")
        await self._head_end.script(body["serial"], kind, outcomes)
        return Response(status_code=204)

    async def hear(self, request: Request) -> Response:
        """This will let meters communicate for the first time: {serials: [...] | "all", at?}; `at` defaults to now."""
        body = await _object(request)
        serials = body.get("serials", "all")
        serials = list(self._head_end.state.meters) if serials == "all" else serials
        self._known(serials)
        now = await self._head_end.clock.refresh()
        await self._head_end.face.serve(serials)
        await self._head_end.collecting.hear_from(serials, instant(body["at"]) if body.get("at") else now)
        return Response(status_code=204)

    async def leave(self, request: Request) -> Response:
        """This will let meters go over to another head end: {serials}; from now on this one has them in stock only."""
        body = await _object(request)
        self._known(body.get("serials", ()))
        await self._head_end.collecting.let_go(body.get("serials", ()))
        return Response(status_code=204)

    async def snapshot(self, request: Request) -> Response:
        """This will push registers now: {at?, serials?}; `at` defaults to the last local midnight."""
        body = await _object(request)
        now = await self._head_end.clock.refresh()
        zone = self._head_end.behaviour.zone
        at = instant(body["at"]) if body.get("at") else midnight(now.astimezone(zone).date(), zone)
        if at > now + timedelta(seconds=1):
            raise Problem(422, "Not yet", "at is in the future")
        if body.get("serials") is not None:
            self._known(body["serials"])
        meters = await self._head_end.collecting.push_snapshots(at, body.get("serials"))
        return JSONResponse({"at": stamp(at), "meters": meters})

    async def intervals(self, request: Request) -> Response:
        """This will tell what truly passed in the ended intervals of a meter's local day: `serial`, `day`.

        {channels: [{obis, unit, interval_minutes, register, start, values, sum, told_from, told_until,
        told_again_until}]}: the values add up to the advance of the register exactly. What is told by itself is that of
        intervals that start from `told_from` (null: never) to before `told_until`, as far as it is collected by now;
        what was late, or estimated at first, is told again of those before `told_again_until`.
        """
        self._known([request.query_params.get("serial", "")])
        meter = self._head_end.state.meters[request.query_params["serial"]]
        day = date.fromisoformat(request.query_params.get("day", ""))
        zone, now = self._head_end.behaviour.zone, await self._head_end.clock.refresh()
        begin, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
        once, twice = self._head_end.profiles.collected(meter, day, now=now)
        channels = []
        for channel in meter.channels:
            since = self._head_end.profiles.delivering(meter, channel)
            passed = self._head_end.profiles.true(meter, channel, begin, end)
            ended = [true for start, true in passed if start + channel.length <= now]
            channels.append(
                {
                    "obis": channel.obis,
                    "unit": channel.unit,
                    "interval_minutes": channel.minutes,
                    "register": channel.register.obis,
                    "start": stamp(begin),
                    "values": [printed(true) for true in ended],
                    "sum": printed(sum(ended)),
                    "told_from": None if since is None else stamp(since),
                    "told_until": stamp(once),
                    "told_again_until": stamp(twice),
                }
            )
        return JSONResponse({"serial": meter.serial, "day": day.isoformat(), "channels": channels})

    async def push_intervals(self, request: Request) -> Response:
        """This will push what meters have stored: {from?, to?, serials?, estimated?}, by default of the last local day.

        With `estimated` the head end's own estimates of it are pushed instead, which differ.
        """
        body = await _object(request)
        now = await self._head_end.clock.refresh()
        begin, end = self._period(body, now=now)
        if body.get("serials") is not None:
            self._known(body["serials"])
        estimated = body.get("estimated") is True
        meters = await self._head_end.collecting.push_intervals(begin, end, body.get("serials"), estimated=estimated)
        return JSONResponse({"from": stamp(begin), "to": stamp(end), "meters": meters})

    async def irregular(self, request: Request) -> Response:
        """This will make something be wrong with a meter's interval values: {serial, from, to, kind}.

        Kinds: `late`, `gap`, `lost`, `revised`, `multiplied`; of intervals that start in the period and are not
        collected yet.
        """
        body = await _object(request)
        self._known([body.get("serial")])
        if body.get("kind") not in list(Kind):
            raise Problem(422, "No such kind", f"kind is one of {', '.join(Kind)}")
        begin, end = self._period(body, now=await self._head_end.clock.refresh())
        await self._head_end.collecting.make_irregular(body["serial"], begin, end, Kind(body["kind"]))
        return Response(status_code=204)

    async def event(self, request: Request) -> Response:
        """This will have a meter tell an event now: {serial, code, at?, text?, properties?, event_id?}."""
        body = await _object(request)
        self._known([body.get("serial")])
        if not isinstance(body.get("code"), str) or not _EVENT_TYPE.fullmatch(body["code"]):
            raise Problem(422, "No such code", "code is an EndDeviceEventType d.d.d.d")
        at = instant(body["at"]) if body.get("at") else await self._head_end.clock.refresh()
        made = event(body["serial"], body["code"], at, text=body.get("text"), properties=body.get("properties"))
        made["event_id"] = body.get("event_id", made["event_id"])
        await self._head_end.happenings.raise_at_once([made])
        return JSONResponse(made)

    async def events(self, _: Request) -> Response:
        """This will list the events it has heard of, and told, in the order they happened: {events: [...]}."""
        return JSONResponse({"events": self._head_end.state.log.all()})

    async def storm(self, request: Request) -> Response:
        """This will let an area lose power: {meters, serial?, seconds?}, as many neighbours from `serial` on.

        They tell it within a minute, and that power is back after `seconds` (600) to one and a half times that.
        """
        body = await _object(request)
        serials = list(self._head_end.state.meters)
        size, seconds = body.get("meters"), body.get("seconds", 600)
        if not isinstance(size, int) or not isinstance(seconds, int) or size < 1 or seconds < 1:
            raise Problem(422, "No such storm", "meters and seconds are numbers from 1")
        first = body.get("serial", serials[0])
        self._known([first])
        begin = serials.index(first)
        now = await self._head_end.clock.refresh()
        await self._head_end.happenings.storm(serials[begin : begin + size], seconds=seconds, at=now)
        return JSONResponse({"at": stamp(now), "serials": serials[begin : begin + size]})

    async def concentrators(self, _: Request) -> Response:
        """This will tell of every concentrator how many orders are under way: {name: {under_way, most_under_way, ...}}.

        `limit` is what a client should keep to; more are taken, and counted.
        """
        concentrators = self._head_end.state.concentrators.values()
        return JSONResponse({each.name: each.resource() for each in concentrators})

    async def set_concentrator(self, request: Request) -> Response:
        """This will take a concentrator offline, or bring it back: {name, online}."""
        body = await _object(request)
        if body.get("name") not in self._head_end.state.concentrators:
            raise Problem(404, "No such concentrator", str(body.get("name")))
        if not isinstance(body.get("online"), bool):
            raise Problem(422, "Online or not?", "online is true or false")
        await self._head_end.set_concentrator(body["name"], is_online=body["online"])
        return Response(status_code=204)

    def _period(self, body: dict[str, Any], *, now: datetime) -> tuple[datetime, datetime]:
        zone = self._head_end.behaviour.zone
        today = now.astimezone(zone).date()
        begin = instant(body["from"]) if body.get("from") else midnight(today - timedelta(days=1), zone)
        end = instant(body["to"]) if body.get("to") else midnight(today, zone)
        return begin, end

    def _true(self, query: dict[str, Any]) -> dict[str, str]:
        meter = self._head_end.state.meters.get(query.get("serial", ""))
        register = None if meter is None else meter.register(query.get("obis", ""))
        if meter is None or register is None:
            raise Problem(404, "No such register", f"{query.get('serial')} {query.get('obis')}")
        at = instant(query["at"]) if query.get("at") else self._head_end.clock.now()
        true = meter.true(register, at)
        return {
            "serial": meter.serial,
            "obis": register.obis,
            "at": stamp(at),
            "true": format(exact(true), "f"),
            "shown": register.shown(true),
            "unit": register.unit,
        }

    def _known(self, serials: Any) -> None:
        unknown = [serial for serial in serials if serial not in self._head_end.state.meters]
        if unknown:
            raise Problem(404, "No such meter", ", ".join(map(str, unknown[:5])))


def _is_outcome(outcome: object) -> bool:
    if not isinstance(outcome, str):
        return False
    if outcome.startswith("late:"):
        return outcome.removeprefix("late:").isdigit()
    return outcome in OUTCOMES


def _local(endpoint: Any) -> Any:
    async def local(request: Request) -> Response:
        if request.client is None or not ipaddress.ip_address(request.client.host).is_loopback:
            raise Problem(403, "Forbidden", "control is answered to the loopback only")
        try:
            return await endpoint(request)  # type: ignore[no-any-return]
        except ValueError as error:
            raise Problem(400, "Unreadable", str(error)) from error

    return local


async def _object(request: Request) -> dict[str, Any]:
    body = json.loads(await request.body() or b"{}")
    if not isinstance(body, dict):
        raise Problem(400, "Unreadable", "the body is not an object")
    return body
