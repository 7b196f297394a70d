"""Calls a SOAP service with suds, from its WSDL; a process of its own, for suds is under the LGPL.

Reads one JSON object from standard input (wsdl, service, method, namespace, header, arguments) and prints what came of
it: {"answer": ...} or {"fault": text}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import suds
from suds.client import Client
from suds.sax.element import Element
from suds.sudsobject import Factory


def plain(value: Any) -> Any:
    """Return what suds has read as JSON would have it."""
    if isinstance(value, suds.sudsobject.Object):
        return {name: plain(each) for name, each in value}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return None if value is None else str(value)


def built(value: Any) -> Any:
    """Return arguments as suds wants them: `#` is the text of an element that has attributes."""
    if isinstance(value, dict) and "#" in value:
        text = Factory.property("text", value["#"])
        for name, each in value.items():
            if name != "#":
                setattr(text, name, each)
        return text
    if isinstance(value, dict):
        return {name: built(each) for name, each in value.items()}
    return [built(each) for each in value] if isinstance(value, list) else value


def main() -> None:
    asked = json.load(sys.stdin)
    client = Client(asked["wsdl"], cache=None, timeout=20)
    header = Element("MultiSpeakMsgHeader", ns=("ms", asked["namespace"]))
    for name, text in asked["header"].items():
        header.set(name, text)
    client.set_options(soapheaders=header)
    method = getattr(client.service[asked["service"]][asked["service"]], asked["method"])
    try:
        told = {"answer": plain(method(**built(asked["arguments"])))}
    except suds.WebFault as error:
        told = {"fault": str(error.fault.faultstring)}
    except Exception as error:  # noqa: BLE001  # with HTTP 401 it reads no fault
        told = {"fault": str(error)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
