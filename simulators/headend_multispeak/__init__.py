"""A head end of MultiSpeak 3.0 or 4.1, by docs/head_ends/multispeak.md: a face on `simulators.fleet`.

Read in this order: `wire` (SOAP and names of the versions), `requests` (what is asked), `answers` (what is answered at
once), `tellings` (what is called back), `faults`, `face`, `__main__`. The WSDL files are what clients are given.
"""

#: Ways to run it that the shared suite tries, by name: further options.
VARIANTS: dict[str, list[str]] = {"3.0": ["--version", "3.0"], "4.1": ["--version", "4.1"]}
