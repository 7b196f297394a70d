"""Subscriptions: what of its meters the head end pushes, and where. What is missing is made, what is wrong replaced."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import structlog
from lxml import etree

from mdus.headends.token_poll import requests
from mdus.headends.token_poll.actions import Operation, Options
from mdus.headends.token_poll.calls import Calls, Refused
from mdus.messaging.retry import TransientError, UncertainError

log = structlog.get_logger(__name__)

#: The kinds of subscriptions: the topic that is pushed to, and how one is made and ended.
_KINDS: Final = {
    "Data": ("data", Operation.SUBSCRIBE_DATA, Operation.CANCEL_DATA),
    "Exceptions": ("exceptions", Operation.SUBSCRIBE_EXCEPTIONS, Operation.CANCEL_EXCEPTIONS),
}

#: What one is called whose making was answered without its name: any but the name it will be listed by.
_MADE: Final = "just made"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """One subscription of ours, as the head end has it."""

    id: str
    kind: str
    address: str
    groups: frozenset[str]
    categories: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Renewal:
    """What was done about subscriptions, for people, and the name of the one that data is told by."""

    text: str
    of_data: str | None = None


class Subscriptions:
    """Our subscriptions at one head end."""

    def __init__(self, calls: Calls, options: Options, *, callback_url: str | None) -> None:
        self._calls = calls
        self._options = options
        self._callback_url = callback_url

    def renewed(self) -> Renewal:
        """Make what is missing and end what is of no use.

        Done again it does nothing. Raises TransientError.
        """
        if self._callback_url is None:
            return Renewal(text="nothing is subscribed to: its row has no callback_url")
        there = self.there()
        made, ended = 0, 0
        names: dict[str, str] = {}
        for kind, (topic, subscribe, cancel) in _KINDS.items():
            wanted = f"{self._callback_url}/{topic}"
            of_kind = [each for each in there if each.kind == kind]
            fitting = [each for each in of_kind if self._fits(each, wanted)]
            if fitting:
                names[kind] = fitting[0].id
            else:
                answer = self._act(subscribe, requests.subscribe(subscribe, wanted, options=self._options))
                names[kind] = (answer.findtext("{*}SubscriptionID") or _MADE).strip()
                made += 1
            # Made first: between the two something might be told that nobody would hear.
            for each in of_kind:
                if each not in fitting[:1]:
                    self._act(cancel, requests.cancel(cancel, each.id, options=self._options))
                    ended += 1
        if made or ended:
            log.info("subscriptions_renewed", made=made, ended=ended, address=self._callback_url)
        return Renewal(text=f"{made} subscriptions made, {ended} ended", of_data=names["Data"])

    def _fits(self, each: Subscription, address: str) -> bool:
        categories = frozenset(self._options.exception_categories) if each.kind == "Exceptions" else frozenset()
        return (
            each.address == address and each.groups >= frozenset(self._options.groups) and each.categories >= categories
        )

    def there(self) -> list[Subscription]:
        """Return what the head end has. Raises TransientError."""
        operation = Operation.SUBSCRIPTIONS
        body = requests.list_subscriptions(self._options)
        return list(_read(self._calls.ask(operation, operation.action, body).message))

    def _act(self, operation: Operation, body: etree._Element) -> etree._Element:
        try:
            return self._calls.act(operation, body).message
        except (UncertainError, Refused) as error:
            raise TransientError(f"the subscriptions are not as they should be: {error}") from error


def _read(answer: etree._Element) -> Iterator[Subscription]:
    for each in answer.iterfind(".//{*}Subscription"):
        told = {etree.QName(child).localname: (child.text or "").strip() for child in each}
        yield Subscription(
            id=told.get("SubscriptionID", ""),
            kind=told.get("Kind", ""),
            address=told.get("Address", ""),
            groups=frozenset(_texts(each, "Group")),
            categories=frozenset(_texts(each, "ExceptionCategory")),
        )


def _texts(element: etree._Element, name: str) -> list[str]:
    return [(each.text or "").strip() for each in element.iterfind(f".//{{*}}{name}")]
