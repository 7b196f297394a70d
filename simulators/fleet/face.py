"""What a kind of head end adds to the fleet: its protocol. `docs/head_ends/simulators.md` shows how to write one."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from starlette.routing import BaseRoute

from simulators.fleet.callbacks import Completion
from simulators.fleet.deliveries import Push
from simulators.fleet.faults import Fault

if TYPE_CHECKING:
    from simulators.fleet.headend import HeadEnd


class Face:
    """The protocol of one kind of head end: subclass it, and name the class in the kind's `Kind`.

    `head_end` is there once everything is wired, so not yet in `__init__`.
    """

    #: How clients come to the results of their jobs; an instance may set its own by its options.
    completion: Completion = Completion.CALLBACK

    #: Whether a telling needs a place to go to (--callback-url or the job's own) and is not made without one.
    needs_address: ClassVar[bool] = True

    #: Whether concentrators themselves talk to the client, with no head end above them: what an offline one was asked
    #: ends in silence, not in NO_RESPONSE, and the results of orders wait with it as its other tellings do.
    concentrators_speak: ClassVar[bool] = False

    head_end: HeadEnd

    def __init__(self, options: argparse.Namespace) -> None:
        """This will take the command line; ValueError where it is wrong."""
        self.options = options

    def row(self, url: str) -> dict[str, Any]:
        """This will give the row of config/head_ends.toml that MDUS needs, but name, zone and credentials."""
        return {"kind": self.options.kind, "url": url}

    def routes(self) -> Sequence[BaseRoute]:
        """This will list the routes of its protocol, where that is HTTP."""
        return []

    async def deliver(self, push: Push) -> bool:
        """This will tell the client, in the form of the kind, and return whether it is safely there.

        After False it is asked again, later; what raises anything ends the simulator.
        """
        raise NotImplementedError

    async def concentrator_changed(self, name: str, *, is_online: bool) -> None:
        """This will tell that a concentrator is there or gone, before what it kept back is told; here: nothing."""

    async def serve(self, serials: Sequence[str]) -> None:
        """This will begin to serve meters that a test lets be heard, where clients cannot ask for it; here: nothing."""

    def under_way(self) -> int:
        """This will count what lies between head end and client and is nobody's: here nothing."""
        return 0

    async def start(self) -> None:
        """This will begin, before anything is told; `row` is asked afterwards."""

    async def stop(self) -> None:
        """This will end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One POST to the client."""

    url: str
    content: bytes
    headers: Mapping[str, str]


class CallingFace(Face):
    """A face that tells by POST, with the callback credentials: `call` gives a push its form."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        auth = httpx.BasicAuth(options.callback_user, options.callback_password)
        self._client = httpx.AsyncClient(auth=auth, timeout=10.0, trust_env=False)

    def call(self, push: Push) -> Call:
        """This will make the request that tells a push."""
        raise NotImplementedError

    def is_taken(self, answer: httpx.Response) -> bool:
        """This will say whether the client has taken a push, by its answer."""
        return answer.is_success

    async def deliver(self, push: Push) -> bool:
        """This will POST it."""
        call = self.call(push)
        try:
            answer = await self._client.post(call.url, content=call.content, headers=dict(call.headers))
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return self.is_taken(answer)

    async def stop(self) -> None:
        """This will close its connections."""
        await self._client.aclose()


def _no_options(_: argparse.ArgumentParser) -> None:
    pass


def _none(_: argparse.Namespace) -> Collection[str]:
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of head end, as the command line runs it."""

    name: str  # as in config/head_ends.toml and simulators/headend_<name>
    description: str
    face: Callable[[argparse.Namespace], Face]
    faults: Mapping[str, Fault]
    add_options: Callable[[argparse.ArgumentParser], object] = _no_options
    port: int = 9100
    needs_password: bool = True
    never_shown: Callable[[argparse.Namespace], Collection[str]] = _none  # of its faults those that options rule out

    def faults_with(self, options: argparse.Namespace) -> dict[str, Fault]:
        """This will make the table of the faults that it can show as its options are."""
        ruled_out = self.never_shown(options)
        return {name: fault for name, fault in self.faults.items() if name not in ruled_out}

    @property
    def speaks_http(self) -> bool:
        """Whether its protocol is HTTP."""
        return getattr(self.face, "routes", None) is not Face.routes
