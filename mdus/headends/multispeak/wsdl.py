"""The description of our side: the callbacks of both versions in one WSDL, a service each.

The types are callbacks_3_0.xsd and callbacks_4_1.xsd; what may be called is listed here, and answered by GetMethods.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final
from xml.sax.saxutils import quoteattr

from mdus.headends.multispeak.soap import HEADER, NAMESPACES

#: What is read here, by version.
METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "3.0": (
        "PingURL",
        "GetMethods",
        "ReadingChangedNotification",
        "CDStateChangedNotification",
        "ODEventNotification",
        "HistoryLogChangedNotification",
        "IntervalDataNotification",
        "FormattedBlockNotification",
    ),
    "4.1": (
        "PingURL",
        "GetMethods",
        "ReadingChangedNotification",
        "CDStateChangedNotification",
        "CDStatesChangedNotification",
        "MeterEventNotification",
        "ODEventNotification",
        "HistoryLogChangedNotification",
        "IntervalDataNotification",
        "FormattedBlockNotification",
    ),
}

_OWN: Final = "urn:mdus:multispeak:callbacks"
_DECLARATION: Final = b"?>"


def description(address: str) -> bytes:
    """Return the WSDL of the callbacks at an address."""
    return _template().replace("$address$", quoteattr(address)).encode()


@cache
def _template() -> str:
    types, parts = [], []
    for version in NAMESPACES:
        schema = (files(__package__) / f"callbacks_{version.replace('.', '_')}.xsd").read_bytes()
        types.append(schema.partition(_DECLARATION)[2].decode())
        parts.append(_service(version))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"'
        f' xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:tns="{_OWN}" targetNamespace="{_OWN}">\n'
        f"<wsdl:types>{''.join(types)}</wsdl:types>\n{_ordered(parts)}</wsdl:definitions>\n"
    )


def _ordered(parts: list[dict[str, str]]) -> str:
    """Return the parts of all services in the order that WSDL has them in."""
    return "".join(part[name] for name in ("messages", "port_type", "binding", "service") for part in parts)


def _service(version: str) -> dict[str, str]:
    name, namespace, methods = f"MultiSpeak_{version.replace('.', '_')}", NAMESPACES[version], METHODS[version]
    bodies = [body for method in methods for body in (method, f"{method}Response")]
    messages = [(body, "body") for body in bodies] + [(HEADER, "header")]
    header = f'<soap:header message="tns:{name}.{HEADER}" part="header" use="literal"/>'
    side = f'<soap:body use="literal"/>{header}'
    return {
        "messages": "".join(
            f'<wsdl:message name="{name}.{element}"><wsdl:part name="{part}" xmlns:m="{namespace}"'
            f' element="m:{element}"/></wsdl:message>\n'
            for element, part in messages
        ),
        "port_type": f'<wsdl:portType name="{name}">\n'
        + "".join(
            f'<wsdl:operation name="{method}"><wsdl:input message="tns:{name}.{method}"/>'
            f'<wsdl:output message="tns:{name}.{method}Response"/></wsdl:operation>\n'
            for method in methods
        )
        + "</wsdl:portType>\n",
        "binding": f'<wsdl:binding name="{name}" type="tns:{name}">\n'
        '<soap:binding transport="http://schemas.xmlsoap.org/soap/http" style="document"/>\n'
        + "".join(
            f'<wsdl:operation name="{method}"><soap:operation soapAction="{namespace}/{method}"/>'
            f"<wsdl:input>{side}</wsdl:input><wsdl:output>{side}</wsdl:output></wsdl:operation>\n"
            for method in methods
        )
        + "</wsdl:binding>\n",
        "service": f'<wsdl:service name="{name}"><wsdl:port name="{name}" binding="tns:{name}">'
        "<soap:address location=$address$/></wsdl:port></wsdl:service>\n",
    }
