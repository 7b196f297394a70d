"""A head end that answers with a token and is asked for the result, by `docs/head_ends/token_poll.md`.

A face on `simulators.fleet`. Read in this order: `soap` (envelopes and faults), `contract` (services, actions, words),
`requests` (what is asked for), `documents` (values), `results` (what became of it), `detections`, `subscriptions`,
`service` (the answers), `faults`, `face` (what is pushed), `__main__`.
"""

#: Ways to run it that the shared suite tries, by name: further options.
VARIANTS: dict[str, list[str]] = {
    "ready": ["--completion", "ready"],
    "poll": ["--completion", "poll"],
}
