"""The row of the head end and its messages, that the tests of this kind share."""

from __future__ import annotations

from typing import Any

from mdus.domain.channel_map import ChannelMap
from mdus.settings import HeadEnd as Row
from tests.head_ends import field
from tests.unit.headends.samples import CORRELATION, SERIAL

#: A head end that calls channels by their OBIS codes.
CHANNELS = ChannelMap(())

METER = f"2.16.840.1.114416.0.{SERIAL}"
SOAP = "http://schemas.xmlsoap.org/soap/envelope/"


def row(url: str = "http://127.0.0.1:1", *, options: dict[str, Any] | None = None, **changes: Any) -> Row:
    """Return the configured head end `city`."""
    return field.row(url, kind="token_poll", options=options or {}, **changes)


def message(name: str, inside: str, *, namespace: str = "urn:any") -> bytes:
    """Return a message in an envelope."""
    body = f'<{name} xmlns="{namespace}">{inside}</{name}>'
    return f'<s:Envelope xmlns:s="{SOAP}"><s:Body>{body}</s:Body></s:Envelope>'.encode()


def endpoint(meter: str = METER, outcome: str = "Success", **texts: str) -> str:
    """Return what became of a meter."""
    inside = "".join(f"<{name}>{text}</{name}>" for name, text in texts.items())
    return (
        f"<Endpoint><ElectronicSerialNumber>{meter}</ElectronicSerialNumber><Outcome>{outcome}</Outcome>{inside}"
        "</Endpoint>"
    )


def result(operation: str, *endpoints: str, data: str = "", token: str = "7f1c", reference: str = CORRELATION) -> bytes:
    """Return the result of a request."""
    inside = f"<RequestToken>{token}</RequestToken><CallerReference>{reference}</CallerReference>"
    inside += f"<Status>Complete</Status><Endpoints>{''.join(endpoints)}</Endpoints>"
    return message(f"Get{operation}ResultResponse", inside + (f"<Data>{data}</Data>" if data else ""))
