"""Posts messages to SAP's interfaces and tells what became of each.

Delivered is a 2xx answer with an empty body or an empty SOAP Body, nothing else: a proxy that answers 200 with a page
of HTML has delivered nothing. Whatever is not delivered is sent again under the same UUID; SAP de-duplicates on it. An
answer that is too large, or takes too long to its end, tells nothing: SAP may have the message, and is sent it again.
"""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass

import httpx
from lxml import etree

from mdus.contracts.envelope import BODY
from mdus.contracts.printable import printable
from mdus.messaging.bounded_call import Bounds, call
from mdus.messaging.retry import UncertainError
from mdus.settings import Cis, HttpUrl, Section, Settings
from mdus.settings.authorities import trusting, why_not_trusted
from mdus.telemetry.metrics import SAP_CALL_SECONDS

#: SAP's constant SOAPAction, the same for every operation.
_SOAP_ACTION = '"http://sap.com/xi/WebService/soap1.1"'

_HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": _SOAP_ACTION}


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """How one attempt ended: delivered, or why not. `error` is for people."""

    delivered: bool
    error: str | None = None


class InterfaceRow(Section):
    """A row of config/interfaces.toml: one interface of SAP that has an address of its own.

    `sender` is a row of senders, without it the address is every sender's. The credentials stay the sender's.
    """

    name: str
    interface: str
    url: HttpUrl
    sender: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where messages of one interface go for one sender system, and our credentials there."""

    url: str
    user: str | None
    password: str | None


class NoTarget(Exception):
    """No URL is configured for this sender system."""


class CisClient:
    """One client for all SAP systems of the installation; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._own_urls = {(row.sender, row.interface): row.url for row in settings.rows("interfaces", InterfaceRow)}
        self._client = httpx.Client(
            timeout=settings.cis.timeout_seconds,
            verify=trust(settings),
            limits=httpx.Limits(max_connections=settings.cis.connections * 2),
            follow_redirects=False,
        )

    def post(self, body: bytes, *, interface: str, sender_system: str) -> Delivery:
        """Post one message; never raises for what the other side does."""
        try:
            target = self.target_of(sender_system, interface=interface)
        except NoTarget as error:
            return Delivery(delivered=False, error=str(error))
        began = time.perf_counter()
        delivery, result = self._posted(body, target)
        SAP_CALL_SECONDS.labels(interface, result).observe(time.perf_counter() - began)
        return delivery

    def _posted(self, body: bytes, target: Target) -> tuple[Delivery, str]:
        """Post one message; returns what became of it, and the word it is counted by."""
        credentials = None if target.user is None else (target.user, target.password or "")
        try:
            answer = call(
                self._client,
                "POST",
                target.url,
                bounds=bounds(self._settings.cis, of="SAP"),
                content=body,
                headers=_HEADERS,
                auth=credentials,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Delivery(delivered=False, error=_unreachable(error)[:500]), "unreachable"
        except UncertainError as error:
            return Delivery(delivered=False, error=printable(str(error))[:500]), "refused"
        delivery = judge(answer.status_code, answer.content)
        return delivery, "delivered" if delivery.delivered else "refused"

    def target_of(self, sender_system: str, *, interface: str) -> Target:
        """Return where messages of an interface go for this system; raises NoTarget with what to set."""
        cis = self._settings.cis
        sender = self._settings.sender_for(sender_system)
        url, user, password = cis.url, cis.user, cis.password
        if sender is not None and sender.url is not None:
            url, user, password = sender.url, sender.url_user, sender.url_password
        of_all = self._own_urls.get((None, interface), url)
        url = of_all if sender is None else self._own_urls.get((sender.name, interface), of_all)
        if url is None:
            raise NoTarget(f"no URL for {sender_system}: set MDUS_CIS__URL or `url` of its row in senders.toml")
        secret = None if password is None else password.get_secret_value()
        return Target(url=url.replace("{interface}", interface), user=user, password=secret)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def bounds(cis: Cis, *, of: str) -> Bounds:
    """Return what a call to SAP, or whoever else is told what it is, may take."""
    return Bounds(
        whose=of, most_bytes=cis.max_answer_bytes, setting="cis.max_answer_bytes", seconds=cis.timeout_seconds
    )


def trust(settings: Settings) -> ssl.SSLContext:
    """Return which certificate authorities SAP's certificate may be from: those of `cis.ca_file`, else the system's."""
    return trusting(settings.cis.ca_file)


def _unreachable(error: Exception) -> str:
    reason = why_not_trusted(error, ca_file="cis.ca_file")
    return f"{type(error).__name__}: {error}" if reason is None else f"the certificate there is not trusted: {reason}"


def judge(status: int, body: bytes) -> Delivery:
    """Return whether an answer means that SAP has persisted the message."""
    if not 200 <= status < 300:
        return Delivery(delivered=False, error=f"HTTP {status}: {_excerpt(body)}")
    if not body.strip() or _is_empty_envelope(body):
        return Delivery(delivered=True)
    return Delivery(delivered=False, error=f"HTTP {status}, but not an empty answer: {_excerpt(body)}")


def _is_empty_envelope(body: bytes) -> bool:
    try:
        envelope = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return False
    soap_body = envelope.find(BODY)
    return soap_body is not None and len(soap_body) == 0 and not (soap_body.text or "").strip()


def _excerpt(body: bytes) -> str:
    return printable(" ".join(body[:300].decode("utf-8", "replace").split()))
