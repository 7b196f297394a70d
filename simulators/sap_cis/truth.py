"""Compares results with what the meters truly showed, as told by the control API of the head end's simulator.

The wire has whole seconds, so a value is true if it lies between what the register showed at the second named and at
the next one. A local time that occurs twice is true if it is in one of the two hours.
"""

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx

from simulators.clock import stamp
from simulators.sap_cis.checks import reading_instants
from simulators.sap_cis.cis import Cis

_log = logging.getLogger(__name__)

_BATCH = 500
_NOT_FOUND = 404


def truth_urls(said: Iterable[str]) -> dict[str, str]:
    """This will read `[AMS=]URL`, as the command line says them, into URLs by metering system."""
    pairs = (each.partition("=") if "=" in each.partition("://")[0] else ("", "", each) for each in said)
    return {system: url.rstrip("/") for system, _, url in pairs}


class Truth:
    """This will verify the results `cis` has received, in a thread of its own, against `{url}/control/true`.

    `urls` are by the advanced metering system of a device; the one of "" is for those that are not named.
    """

    def __init__(self, cis: Cis, urls: Mapping[str, str]) -> None:
        self._cis = cis
        self._urls = urls
        self._client = httpx.Client(timeout=20.0, trust_env=False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="truth", daemon=True)

    def start(self) -> None:
        """This will begin with the results an earlier life of the process left unverified."""
        self._thread.start()

    def stop(self) -> None:
        """This will end after the batch at hand."""
        self._stop.set()
        with self._cis.changed:
            self._cis.changed.notify_all()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._cis.changed:
                if not self._cis.view.unverified:
                    self._cis.changed.wait(0.5)
                batch = list(self._cis.view.unverified)[:_BATCH]
            if not batch:
                continue
            try:
                self._verify(batch)
            except (httpx.HTTPError, ValueError) as error:
                _log.info("the truth cannot be had: %s", error)
                self._stop.wait(1.0)

    def _verify(self, orders: Sequence[str]) -> None:
        defects = []
        for url, some in self._by_url(orders).items():
            defects += self._defects(some, url=url)
        self._cis.record({"event": "verified", "orders": list(orders), "defects": defects})

    def _by_url(self, orders: Sequence[str]) -> dict[str, list[str]]:
        """Part orders by who knows what their meters show; those nobody is named for are taken as they are."""
        parts: dict[str, list[str]] = {}
        with self._cis.reading():
            for key in orders:
                device = self._cis.view.devices.get(self._cis.view.orders[key].device)
                url = self._urls.get("" if device is None else device.system, self._urls.get(""))
                if url is not None:
                    parts.setdefault(url, []).append(key)
        return parts

    def _defects(self, orders: Sequence[str], *, url: str) -> list[dict[str, str]]:
        queries: list[dict[str, str]] = []
        asked: list[tuple[str, Decimal, range]] = []
        for key in orders:
            fresh, value = self._queries(key)
            if value is not None:
                asked.append((key, value, range(len(queries), len(queries) + len(fresh))))
                queries += fresh
        shown = self._shown(queries, url=url)
        defects = []
        for key, value, places in asked:
            pairs = [(shown[place], shown[place + 1]) for place in places[::2]]
            if not any(low is not None and high is not None and low <= value <= high for low, high in pairs):
                defects.append(self._defect(key, value, queries[places.start], pairs[0][0]))
        return defects

    def _queries(self, key: str) -> tuple[list[dict[str, str]], Decimal | None]:
        """Two questions per instant the local time can mean; none where the judge has found no time or value."""
        with self._cis.reading():
            order = self._cis.view.orders[key]
            device = self._cis.view.devices.get(order.device)
            result = dict(order.result or {})
        try:
            value = Decimal(result["value"])
            instants = reading_instants(result["date"], result["time"], self._cis.options.zone)
        except (KeyError, ValueError, InvalidOperation):
            return [], None
        if device is None or not instants:
            return [], None
        ends = [end for instant in instants for end in (instant, instant + timedelta(seconds=1))]
        return [{"serial": device.serial, "obis": order.obis, "at": stamp(end)} for end in ends], value

    def _shown(self, queries: list[dict[str, str]], *, url: str) -> list[Decimal | None]:
        if not queries:
            return []
        response = self._client.post(f"{url}/control/true", json={"queries": queries})
        if response.status_code == _NOT_FOUND and len(queries) > 1:
            return [
                shown for query in queries for shown in self._shown([query], url=url)
            ]  # one register nobody has: find it
        if response.status_code == _NOT_FOUND:
            return [None]
        values: list[dict[str, Any]] = response.raise_for_status().json()["values"]
        return [Decimal(value["shown"]) for value in values]

    @staticmethod
    def _defect(key: str, value: Decimal, query: dict[str, str], shown: Decimal | None) -> dict[str, str]:
        detail = f"{value} instead of {shown} on {query['serial']} {query['obis']} at {query['at']}"
        return {"name": "value_not_true", "detail": detail, "root": "", "uuid": "", "key": key}
