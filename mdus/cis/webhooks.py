"""Posts news to clients' webhooks, signed so that they can tell them from anybody else's.

```
MDUS-Webhook-Id: <UUID of the message>             the same in each attempt: whoever has seen it may leave it out
MDUS-Signature:  t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>" with the webhook's secret, hexadecimal>
```
Delivered is any 2xx answer that can be read to its end: one that is too large, or takes too long, is told again.
"""

from __future__ import annotations

import hashlib
import hmac
import time

import httpx

from mdus.cis.client import Delivery, bounds
from mdus.contracts.printable import printable
from mdus.messaging.bounded_call import call
from mdus.messaging.retry import UncertainError
from mdus.settings import Cis
from mdus.settings.authorities import trusting


class WebhookClient:
    """One client for all webhooks; safe to share between threads."""

    def __init__(self, cis: Cis) -> None:
        """Wait for answers, and read them, as far as for SAP's."""
        self._bounds = bounds(cis, of="the webhook")
        self._client = httpx.Client(timeout=cis.timeout_seconds, follow_redirects=False, verify=trusting(None))

    def post(self, body: bytes, *, url: str, secret: str, uuid: str) -> Delivery:
        """Post once; never raises for what the other side does."""
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "MDUS-Webhook-Id": uuid,
            "MDUS-Signature": signature(body, secret=secret, at=int(time.time())),
        }
        try:
            answer = call(self._client, "POST", url, bounds=self._bounds, content=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Delivery(delivered=False, error=f"{type(error).__name__}: {error}"[:500])
        except UncertainError as error:
            return Delivery(delivered=False, error=printable(str(error))[:500])
        if answer.is_success:
            return Delivery(delivered=True)
        told = printable(" ".join(answer.text[:300].split()))
        return Delivery(delivered=False, error=f"HTTP {answer.status_code}: {told}")

    def close(self) -> None:
        """Close all connections."""
        self._client.close()


def signature(body: bytes, *, secret: str, at: int) -> str:
    """Return the signature of a body at an instant, in seconds since 1970."""
    made = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={made}"
