"""The services of docs/head_ends/token_poll.md, their actions, and the words of their bodies."""

from typing import Any, NamedTuple

from simulators.fleet.meters import CONNECTED, DISCONNECTED

#: By path: the namespace of a service.
NAMESPACES = {
    "SessionService": "urn:mdus:token-poll:session",
    "ControlService": "http://www.itron.com/ami/2008/10/control",
    "DataService": "http://www.itron.com/ami/2008/10/data",
    "DiagnosticService": "http://www.itron.com/ami/2012/03/control/diagnostic",
    "ProvisioningService": "http://www.itron.com/ami/2009/08/provisioning",
    "SubscriptionService": "http://www.itron.com/ami/2009/08/subscriptions",
}

#: What is pushed has no service behind it.
OF_PUSHES = "urn:mdus:token-poll:callbacks"


class Asked(NamedTuple):
    """An operation that gives a token: its service, and the kind of job and the wish of its orders."""

    service: str
    kind: str
    wish: dict[str, Any]


OPERATIONS = {
    "ReconnectMeter": Asked("ControlService", "switch", {"state": CONNECTED}),
    "DisconnectMeter": Asked("ControlService", "switch", {"state": DISCONNECTED}),
    "ReadDisconnectState": Asked("ControlService", "switch_state", {}),
    "ContingencyReadByEndpoints": Asked("DataService", "read_on_demand", {}),
    "PingByEndpoints": Asked("DiagnosticService", "ping", {}),
    "AddMeterDefinitions": Asked("ProvisioningService", "provision", {}),
}

#: By what is to be read: the kind of job of an interrogation.
INTERROGATIONS = {"Registers": "read_registers", "Intervals": "read_intervals"}
INTERROGATE = "InterrogateByEndpoints"
DETECT = "DetectLoadSideVoltageByMeter"

#: Codes of the fleet in words of this head end.
WORDS = {
    "UNKNOWN_METER": "EndpointNotFound",
    "NOT_PROVISIONED": "EndpointNotRegistered",
    "REGISTER_MISMATCH": "DefinitionMismatch",
    "NO_BREAKER": "NoDisconnectSwitch",
    "NOT_SUPPORTED": "OperationNotSupported",
    "BUSY": "EndpointBusy",
    "NO_RESPONSE": "EndpointDidNotRespond",
    "RELAY_STUCK": "SwitchDidNotMove",
    "LOW_CREDIT": "CreditExhausted",
    "LOAD_SIDE_VOLTAGE": "LoadSideVoltagePresent",
    "DISCONNECT_REFUSED": "DisconnectLocked",
    "NO_DATA": "NoDataAvailable",
    "EXPIRED": "RequestExpired",
}
STATES = {CONNECTED: "Connected", DISCONNECTED: "Disconnected"}
MARKETS = {"electricity": "Electric", "gas": "Gas", "water": "Water"}

#: Exceptions that have a number and a name in public: of power that is lost and back.
EXCEPTIONS = {
    "3.26.0.85": ("18001", "Primary Power Down", "PowerOutageOrRestoration"),
    "3.26.0.216": ("18002", "Primary Power Up", "PowerOutageOrRestoration"),
}

#: The category of any other, by the domain of its code, and the first of the numbers they have here.
CATEGORIES = {"7": "Configuration", "31": "CommonOperation"}
OTHER_CATEGORY = "StatusEvent"
FIRST_NUMBER = 20000
HEARD = ("18000", "Endpoint Registered", "Communication")

#: Status codes of readings by the qualities of the fleet.
STATUSES = {"2.5.259": "MISSING", "1.2.32": "POWER", "2.8.0": "EST"}

_ID = "2.16.840.1.114416.0."


def meter_id(serial: str) -> str:
    """This will return the id of a meter: an object identifier that ends in its serial number."""
    return f"{_ID}{serial}"


def serial_of(meter_id: str) -> str:
    """This will return the serial number of an id; of one made otherwise, the id: no meter has it."""
    return meter_id.removeprefix(_ID)


def exception_of(code: str) -> tuple[str, str, str]:
    """This will return number, name and category of an event: one without a public name is called by its code."""
    if code in EXCEPTIONS:
        return EXCEPTIONS[code]
    device, domain, sub_domain, action = (int(part) for part in code.split("."))
    number = FIRST_NUMBER + 1000 * domain + action + device + sub_domain
    return str(number), code, CATEGORIES.get(str(domain), OTHER_CATEGORY)


def operation_of(kind: str, wish: dict[str, Any]) -> str:
    """This will return the operation that a job came by."""
    if kind in INTERROGATIONS.values():
        return INTERROGATE
    for name, asked in OPERATIONS.items():
        if asked.kind == kind and asked.wish.get("state") == wish.get("state"):
            return name
    return "DisconnectMeter"  # of a switch that nobody knows
