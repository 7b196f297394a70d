"""A head end that exchanges IEC 61968-100 messages over SOAP: a face on `simulators.fleet`.

Read in this order: `words` (names and codes), `envelopes` (messages), `orders` (what is asked for), `payloads` and
`replies` (what is told), `service` (/cim), `faults`, `face` (what is pushed). Written from the standards' facts.
"""

#: Ways to run it that the shared suite tries, by name: further options.
VARIANTS: dict[str, list[str]] = {
    "typed": ["--style", "typed"],
    "generic": [
        *("--style", "generic", "--namespaces", "2010"),
        *("--relay", "MeterReadings", "--periods", "--compressed"),
    ],
}
