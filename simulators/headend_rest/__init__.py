"""A modern head end with a JSON API, by `docs/head_ends/rest.md`: a face on `simulators.fleet`.

Read in this order: `jobs` (what is submitted), `api` (/v1), `faults`, `face` (what is pushed), `__main__`.
"""

#: Ways to run it that the shared suite tries, by name: further options.
VARIANTS: dict[str, list[str]] = {"": []}

#: Its client learns from it which meters are behind which concentrator.
TELLS_OF_CONCENTRATORS = True
