"""Speaks to a head end of kind `rest` over HTTP. What a broken call means is decided here, once.

```
not connected, 401, 403, 404, 408, 429, 503   nothing was done         -> TransientError
sent, but no readable answer; other 5xx       it may have been done    -> UncertainError
400, 413, 422 ...                             this batch never passes  -> every command rejected, with the reason
202                                           token and rejections     -> Submission
```
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import TypeVar

import httpx

from mdus.domain.capability import Capability
from mdus.domain.command import CommandKind
from mdus.domain.head_end import (
    Batch,
    FieldMeter,
    HeadEndKind,
    Probe,
    RawDelivery,
    Rejection,
    SilentHeadEnd,
    Submission,
)
from mdus.headends._http import call
from mdus.headends._trust import trust, unreachable
from mdus.headends.rest import codec
from mdus.messaging.retry import TransientError, UncertainError
from mdus.settings import HeadEnd as Row
from mdus.settings import Settings

#: Seconds to reach the head end at all; for the answer the row's `timeout_seconds` counts.
_CONNECT_SECONDS = 5.0

#: Answers by which the head end says that it did nothing, and that another time it might. A refused login or a wrong
#: address is among them: an operator mends it, and no order of SAP should fail for it meanwhile.
_NOT_NOW = frozenset({401, 403, 404, 405, 408, 429, 503})

#: Failures of the transport before anything was sent.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)

#: Asked for on a page: most rows it may have, and of interval values, where a row is a meter's day, what makes a
#: delivery that is quickly taken in.
_PAGE = 1000
_DAYS_ON_PAGE = 200

T = TypeVar("T")


class RestHeadEnd(SilentHeadEnd):
    """One head end of kind `rest`; may be used by several threads at once."""

    def __init__(self, row: Row) -> None:
        self.name = row.name
        self._row = row
        self.batch_size = min(row.devices_per_call, 1000)
        self._callback_url = row.callback_url
        timeout = httpx.Timeout(row.timeout_seconds, connect=min(_CONNECT_SECONDS, row.timeout_seconds))
        password = row.password.get_secret_value() if row.password is not None else ""
        auth = httpx.BasicAuth(row.user, password) if row.user is not None else None
        self._reading = httpx.Client(base_url=row.url or "", auth=auth, timeout=timeout, verify=trust(row))
        # A kept connection may be closed by the other side in the moment it is used again; the call would then be
        # uncertain for nothing. Jobs are few: each gets a connection of its own.
        fresh = httpx.Limits(max_keepalive_connections=0)
        self._acting = httpx.Client(base_url=row.url or "", auth=auth, timeout=timeout, verify=trust(row), limits=fresh)

    def submit(self, batch: Batch) -> Submission:
        """Give the batch to the head end as one job.

        A meter to be provisioned without a register, or with registers of no one commodity, is rejected here.
        """
        refused = _refused_here(batch)
        named = {rejection.command_key for rejection in refused}
        sent = [command for command in batch.commands if command.command_key not in named]
        if not sent:
            return Submission(token="", rejections=tuple(refused))
        body = codec.job(
            sent,
            kind=batch.kind,
            correlation=batch.correlation,
            callback_url=self._callback_url,
            devices=batch.devices,
            registers=batch.registers,
        )
        answer = self._post_job(body)
        if answer.status_code == httpx.codes.ACCEPTED:
            try:
                taken = codec.submission(answer.content)
            except ValueError as error:
                raise UncertainError(f"{self.name} accepted, but its answer is unreadable: {error}") from error
            return Submission(token=taken.token, rejections=(*refused, *taken.rejections))
        text = f"HTTP {answer.status_code}: {codec.problem(answer.content)}"
        if answer.status_code in _NOT_NOW:
            raise TransientError(f"{self.name} takes nothing now: {text}")
        if not answer.is_client_error:
            raise UncertainError(f"{self.name} answered {text}")
        rejections = [Rejection(command_key=each.command_key, code="BATCH_REFUSED", text=text) for each in sent]
        return Submission(token="", rejections=(*refused, *rejections))

    def find(self, correlation: str) -> Submission | None:
        """Look for the job of a call whose answer was lost."""
        body = self._get("/v1/jobs", {"correlation_id": correlation})
        found = _read(codec.jobs_found, body, self.name)
        return found[0] if found else None

    def results(self, token: str) -> Iterable[RawDelivery]:
        """Fetch a job with the results known so far; nothing while it has none."""
        body = self._get(f"/v1/jobs/{token}", {})
        correlation, some = _read(codec.results_known, body, self.name)
        return [RawDelivery(topic="job", correlation=correlation, body=body)] if some else []

    def snapshots(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Fetch the daily register snapshots of a period, page by page."""
        return self._told("/v1/snapshots", "readings", period_from, period_to)

    def intervals(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Fetch the interval values collected of a period, page by page."""
        return self._told("/v1/intervals", "intervals", period_from, period_to, limit=_DAYS_ON_PAGE)

    def events(self, *, period_from: datetime, period_to: datetime) -> Iterator[RawDelivery]:
        """Fetch the events of a period, page by page."""
        return self._told("/v1/events", "events", period_from, period_to)

    def meters(self) -> Iterator[FieldMeter]:
        """Fetch the head end's registry, page by page."""
        cursor: str | None = None
        while True:
            page = _read(codec.meters_page, self._get("/v1/meters", _page({}, cursor)), self.name)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def probe(self) -> Probe:
        """Ask for the kinds of jobs it takes; one that does not know the question says nothing of them."""
        answer = self._ask("/v1/capabilities", {})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return Probe(text="it does not say what it takes")
        return _read(codec.capabilities, self._content(answer, "/v1/capabilities"), self.name)

    def close(self) -> None:
        """Close all connections."""
        self._reading.close()
        self._acting.close()

    def _told(
        self, path: str, topic: str, period_from: datetime, period_to: datetime, *, limit: int = _PAGE
    ) -> Iterator[RawDelivery]:
        period = {"from": codec.stamp(period_from), "to": codec.stamp(period_to)}
        cursor: str | None = None
        while True:
            body = self._get(path, _page(period, cursor, limit=limit))
            page = _read(partial(codec.told_page, member=codec.MEMBER_OF[topic]), body, self.name)
            if page.items:
                yield RawDelivery(topic=topic, correlation="", body=body)
            cursor = page.next_cursor
            if cursor is None:
                return

    def _post_job(self, body: bytes) -> httpx.Response:
        try:
            headers = {"Content-Type": "application/json"}
            return call(self._acting, "POST", "/v1/jobs", row=self._row, content=body, headers=headers)
        except _NEVER_SENT as error:
            raise TransientError(unreachable(self.name, error)) from error
        except httpx.RequestError as error:
            raise UncertainError(f"the call to {self.name} broke off: {error!r}") from error

    def _get(self, path: str, query: Mapping[str, str]) -> bytes:
        return self._content(self._ask(path, query), path)

    def _ask(self, path: str, query: Mapping[str, str]) -> httpx.Response:
        try:
            return call(self._reading, "GET", path, row=self._row, params=query)
        except _NEVER_SENT as error:
            raise TransientError(unreachable(self.name, error)) from error
        except httpx.RequestError as error:
            raise TransientError(f"{self.name} did not answer: {error!r}") from error
        except UncertainError as error:
            raise TransientError(str(error)) from error

    def _content(self, answer: httpx.Response, path: str) -> bytes:
        if answer.status_code != httpx.codes.OK:
            text = codec.problem(answer.content)
            raise TransientError(f"{self.name} answered HTTP {answer.status_code} to {path}: {text}")
        return answer.content


def connect(settings: Settings, row: Row) -> RestHeadEnd:
    """Return the head end that a row of config/head_ends.toml describes; nothing is called yet."""
    del settings  # its channels are OBIS codes, both ways
    return RestHeadEnd(row)


def _refused_here(batch: Batch) -> list[Rejection]:
    if batch.kind is not CommandKind.PROVISION:
        return []
    refused = []
    for command in batch.commands:
        key = (command.sender_system, command.device_id)
        known = key in batch.devices
        reason = codec.can_provision(batch.registers.get(key, ())) if known else "the device is not known any more"
        if reason is not None:
            refused.append(Rejection(command_key=command.command_key, code="NOT_PROVISIONABLE", text=reason))
    return refused


def _read(reader: Callable[[bytes], T], body: bytes, name: str) -> T:
    try:
        return reader(body)
    except ValueError as error:
        raise TransientError(f"an answer of {name} is unreadable: {error}") from error


def _page(query: Mapping[str, str], cursor: str | None, *, limit: int = _PAGE) -> dict[str, str]:
    return {**query, "limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})


HEAD_END = HeadEndKind(
    name="rest",
    capabilities=frozenset(CommandKind),
    connect=connect,
    decoder=lambda _settings, _row: lambda raw: codec.decode(raw.topic, raw.body),
    tells=frozenset({Capability.REMOTE_READING, Capability.LOAD_PROFILE, Capability.EVENTS}),
    longest_text=200,
)
