"""The names of IEC 61968-100 messages: two vintages of namespaces, two styles of roots.

```
                 generic                        typed
get              RequestMessage                 GetMeterReadings            in <base>/GetMeterReadingsMessage
create           RequestMessage                 CreateEndDeviceControls     in <base>/EndDeviceControlsMessage
reply            ResponseMessage                MeterReadingsResponseMessage
created          EventMessage                   CreatedEndDeviceEvents
(a fault)        FaultMessage                   MeterReadingsFaultMessage
```

Header, Request, Reply and Payload are of the root's namespace, what is in them of `<base>/schema/message`. Payloads are
of `<base>/<Noun>#`. What comes in is read by local name: any vintage will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from lxml import etree


class Vintage(StrEnum):
    """The namespaces of one edition of the schemas."""

    OF_2010 = "2010"
    OF_2011 = "2011"


class Style(StrEnum):
    """Whether a message's root names what it is about, or its header alone."""

    TYPED = "typed"
    GENERIC = "generic"


class Noun(StrEnum):
    """What a message is about."""

    END_DEVICE_CONTROLS = "EndDeviceControls"
    END_DEVICE_EVENTS = "EndDeviceEvents"
    END_DEVICE_CONFIG = "EndDeviceConfig"
    METER_READINGS = "MeterReadings"
    METER_CONFIG = "MeterConfig"


#: What all namespaces of a vintage begin with.
_BASES: Final[Mapping[Vintage, str]] = {
    Vintage.OF_2010: "http://www.iec.ch/TC57/2010",
    Vintage.OF_2011: "http://iec.ch/TC57/2011",
}


@dataclass(frozen=True, slots=True)
class Names:
    """The qualified names of one vintage."""

    vintage: Vintage

    @property
    def base(self) -> str:
        """Return what all its namespaces begin with."""
        return _BASES[self.vintage]

    @property
    def message(self) -> str:
        """Return the namespace of headers, requests and replies."""
        return f"{self.base}/schema/message"

    def payload(self, noun: str) -> str:
        """Return the namespace of a noun's payload."""
        return f"{self.base}/{noun}#"

    def root(self, style: Style, *, verb: str, noun: str) -> str:
        """Return the qualified root of a request."""
        if style is Style.GENERIC:
            return f"{{{self.message}}}RequestMessage"
        operation = f"{verb.capitalize()}{noun}"
        of = f"Get{noun}" if verb == "get" else noun
        return f"{{{self.base}/{of}Message}}{operation}"

    def action(self, style: Style, *, verb: str, noun: str) -> str:
        """Return the SOAPAction of a request."""
        if style is Style.GENERIC:
            return f"{self.message}/Request"
        operation = f"{verb.capitalize()}{noun}"
        return f"{self.base}/{'Get' if verb == 'get' else ''}{noun}/{operation}"


def local(element: etree._Element) -> str:
    """Return an element's name without its namespace."""
    tag: str = element.tag
    return tag.rpartition("}")[2]


def namespace(element: etree._Element) -> str:
    """Return an element's namespace, empty where it has none."""
    tag: str = element.tag
    return tag[1:].partition("}")[0] if tag.startswith("{") else ""
