"""What the landscape asks its processes: the control APIs of the simulators, and MDUS's REST API and clock."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx

from simulators.clock import instant, stamp
from simulators.landscape.processes import Layout


class ControlRefused(Exception):
    """A control API did not do what was asked; the text quotes its answer."""

    def __init__(self, text: str, *, status: int) -> None:
        super().__init__(text)
        self.status = status


class Client:
    """One process's HTTP side; patient with a process that is being started again."""

    def __init__(self, url: str, *, user: str | None = None, password: str | None = None) -> None:
        transport = httpx.HTTPTransport(retries=3)
        auth = (user, password or "") if user else None
        self._http = httpx.Client(base_url=url, auth=auth, timeout=60.0, trust_env=False, transport=transport)

    def get(self, path: str, **query: Any) -> Any:
        """This will return the JSON of a GET; raises ControlRefused or httpx.HTTPError."""
        return self._json(self._http.get(path, params=query))

    def post(self, path: str, **body: Any) -> Any:
        """This will return the JSON of a POST; raises ControlRefused or httpx.HTTPError."""
        return self._json(self._http.post(path, json=body))

    def pages(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """This will yield all rows of a paged list of MDUS's REST API."""
        cursor = None
        while True:
            page = self.get(path, limit=500, **query, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page.get("next")
            if not cursor:
                return

    def close(self) -> None:
        """This will close the connections."""
        self._http.close()

    @staticmethod
    def _json(answer: httpx.Response) -> Any:
        if answer.status_code >= 400:
            raise ControlRefused(
                f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text[:500]}",
                status=answer.status_code,
            )
        return answer.json() if answer.content else None


class Clients:
    """The processes of one landscape; `field` is the head end as MDUS sees it, `further` are the others by name."""

    def __init__(self, layout: Layout) -> None:
        self.mdus = Client(layout.mdus_url, user="sap", password=layout.sap_password)
        self.sap = Client(layout.sap_url)
        self.head_end = Client(layout.head_end_url)
        self.field = Client(layout.head_end_url, user="mdus", password=layout.head_end_password)
        self.further = {share.head_end.name: Client(share.url) for share in layout.shares}

    def close(self) -> None:
        """This will close all connections."""
        for client in (self.mdus, self.sap, self.head_end, self.field, *self.further.values()):
            client.close()


def earliest(*instants: str | None) -> datetime | None:
    """This will return the earliest of some RFC 3339 instants, None when there is none."""
    known = [instant(text) for text in instants if text]
    return min(known) if known else None


__all__ = ["Client", "Clients", "ControlRefused", "earliest", "stamp"]
