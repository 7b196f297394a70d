"""The trigger for the simulated head end of the kind `rest`: `python -m simulators.conformance.headend_rest --url URL`.

It knows the head end's control API and nothing of MDUS: that interval values are uploaded soon is up to that.
"""

import argparse
import json
import sys
import urllib.error
import urllib.request
from typing import Any

_UNITS = {"kWh": "KWH", "m3": "M3"}
_DIVISIONS = {"electricity": "1", "gas": "2", "water": "3"}
_SECONDS = 30.0

#: EndDeviceEventType (IEC 61968-9).
_COVER_OPENED = "3.12.29.39"


class CannotDo(Exception):
    """The head end cannot be stimulated so; the text says why."""


class HeadEnd:
    """The control API of one simulated head end."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        # Proxies of the machine do not stand between neighbours.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """This will GET, or POST where there is a body, and return the JSON answered."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}/control/{path}", data=data)
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                said = answer.read()
        except urllib.error.HTTPError as error:
            raise CannotDo(f"{path}: {error.code} {error.read().decode(errors='replace')[:200]}") from error
        except OSError as error:
            raise CannotDo(f"{path}: {error}") from error
        return json.loads(said) if said else None


def meters(head_end: HeadEnd, count: int) -> list[dict[str, Any]]:
    """This will return meters with a breaker that nobody has provisioned."""
    found = []
    for row in head_end.ask("meters")["meters"]:
        if row["provisioned"] or not row["has_breaker"]:
            continue
        register = row["registers"][0]
        found.append(
            {
                "serial": row["serial"],
                "material": row["material"],
                "division": _DIVISIONS[row["commodity"]],
                "obis": register["obis"],
                "unit": _UNITS[register["unit"]],
                "digits": register["digits"],
                "decimals": register["decimals"],
            }
        )
    return found[:count]


def stimulate(head_end: HeadEnd, stimulus: str, values: dict[str, str]) -> str:
    """This will do what a stimulus says and return what is to be printed; CannotDo when it cannot."""
    match stimulus:
        case "meters":
            return json.dumps(meters(head_end, int(values["count"])))
        case "seen":
            head_end.ask("hear", {"serials": [values["serial"]]})
        case "reading":
            pass  # meters of this head end answer by themselves
        case "event":
            head_end.ask("event", {"serial": values["serial"], "code": _COVER_OPENED})
        case "interval_values" | "interval_correction":
            # A correction: the head end's estimates take the place of what was measured.
            period = {"from": values["from"], "to": values["to"], "serials": [values["serial"]]}
            head_end.ask("intervals", {**period, "estimated": stimulus == "interval_correction"})
        case _:
            raise CannotDo(f"this head end has no {stimulus.replace('_', ' ')}")
    return ""


def main(argv: list[str] | None = None) -> int:
    """This will do one stimulus: 0 done, 3 not."""
    parser = argparse.ArgumentParser(prog="python -m simulators.conformance.headend_rest", description=__doc__)
    parser.add_argument("--url", required=True, help="the head end")
    parser.add_argument("stimulus")
    parser.add_argument("values", nargs="*", metavar="name=value")
    options = parser.parse_args(argv)
    try:
        values = dict(value.split("=", 1) for value in options.values)
        print(stimulate(HeadEnd(options.url), options.stimulus, values))
    except CannotDo as error:
        print(error, file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
