"""The trigger for the small MDUS of these tests: run as `broken_field.py FIELD_URL STIMULUS name=value ...`."""

from __future__ import annotations

import json
import sys
import urllib.request


def main() -> None:
    """Pass one stimulus on; meters there are as many as anybody wants."""
    url, stimulus, *pairs = sys.argv[1:]
    values = dict(pair.split("=", 1) for pair in pairs)
    if stimulus == "meters":
        print(json.dumps([{"serial": f"F{n:06d}", "material": "M"} for n in range(int(values["count"]))]))
        return
    request = urllib.request.Request(f"{url}/{stimulus}", data=json.dumps(values).encode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(request, timeout=10).close()


if __name__ == "__main__":
    main()
