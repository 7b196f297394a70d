"""Data concentrators at a broker, by `docs/head_ends/mqtt.md`: a face on `simulators.fleet`.

Read in this order: `messages` (commands read, tellings written), `concentrator` (one of them at the broker), `brokers`
(the brokers it can start), `faults`, `face`, `__main__`.
"""

#: Ways to run it that the shared suite tries, by name: further options.
VARIANTS: dict[str, list[str]] = {
    "5": ["--broker", "mosquitto", "--version", "5"],
    "3.1.1": ["--broker", "amqtt", "--version", "3.1.1"],
}

#: The programs that variants need beside Python.
PROGRAMS: dict[str, str] = {"5": "mosquitto"}

#: Its client learns from it which meters are behind which concentrator.
TELLS_OF_CONCENTRATORS = True
