"""The services of such a head end and what they are asked for: addresses, SOAP actions, and the words of its answers.

The roots of the SOAP actions are public, the bodies are not: ours are the least that does it, described in
docs/head_ends/token_poll.md. What an installation has otherwise stands in the options of its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from mdus.domain.command import CommandKind
from mdus.domain.end_device import SwitchState
from mdus.headends.token_poll.meter_id import MeterIds
from mdus.settings import Section, Texts

_ROOT: Final = "http://www.itron.com/ami"

#: Where services listen below the head end's address, and in which namespace their actions and bodies are. That of
#: sessions is ours: how one logs in is not public.
_SERVICES: Final[Mapping[str, tuple[str, str]]] = {
    "session": ("/SessionService", "urn:mdus:token-poll:session"),
    "control": ("/ControlService", f"{_ROOT}/2008/10/control"),
    "data": ("/DataService", f"{_ROOT}/2008/10/data"),
    "diagnostic": ("/DiagnosticService", f"{_ROOT}/2012/03/control/diagnostic"),
    "provisioning": ("/ProvisioningService", f"{_ROOT}/2009/08/provisioning"),
    "subscriptions": ("/SubscriptionService", f"{_ROOT}/2009/08/subscriptions"),
}


class Operation(Enum):
    """What is asked for; its value is the service and the name of the action."""

    LOGIN = ("session", "Login")
    RECONNECT = ("control", "ReconnectMeter")
    DISCONNECT = ("control", "DisconnectMeter")
    READ_SWITCH = ("control", "ReadDisconnectState")
    DETECT_VOLTAGE = ("control", "DetectLoadSideVoltageByMeter")
    READ_NOW = ("data", "ContingencyReadByEndpoints")
    INTERROGATE = ("data", "InterrogateByEndpoints")
    PING = ("diagnostic", "PingByEndpoints")
    ADD_METERS = ("provisioning", "AddMeterDefinitions")
    FIND_REQUEST = ("control", "RetrieveRequestByCallerReference")
    SUBSCRIPTIONS = ("subscriptions", "RetrieveSubscriptionsBySystemName")
    SUBSCRIBE_DATA = ("subscriptions", "SubscribeToEndpointData")
    SUBSCRIBE_EXCEPTIONS = ("subscriptions", "SubscribeToEndpointExceptionsByGroups")
    CANCEL_DATA = ("subscriptions", "CancelDataSubscription")
    CANCEL_EXCEPTIONS = ("subscriptions", "CancelExceptionSubscription")

    @property
    def service(self) -> str:
        """Return the service that has it."""
        return self.value[0]

    @property
    def action(self) -> str:
        """Return its name on the wire."""
        return self.value[1]

    @property
    def result(self) -> str:
        """Return the name of the action that fetches its result."""
        return f"Get{self.action}Result"


#: What each kind of command is on the wire; a switch by the state that is wanted.
OPERATIONS: Final[Mapping[CommandKind, Operation]] = {
    CommandKind.PROVISION: Operation.ADD_METERS,
    CommandKind.READ_REGISTERS: Operation.INTERROGATE,
    CommandKind.READ_INTERVALS: Operation.INTERROGATE,
    CommandKind.READ_ON_DEMAND: Operation.READ_NOW,
    CommandKind.SWITCH_STATE: Operation.READ_SWITCH,
    CommandKind.PING: Operation.PING,
}
SWITCHES: Final[Mapping[SwitchState | None, Operation]] = {
    SwitchState.CONNECTED: Operation.RECONNECT,
    SwitchState.DISCONNECTED: Operation.DISCONNECT,
}

#: Those that a command is, by the name of their action: of any other nothing is told that a command could end by.
OF_COMMANDS: Final[Mapping[str, Operation]] = {each.action: each for each in (*OPERATIONS.values(), *SWITCHES.values())}

#: Those whose answer is a token.
WITH_TOKEN: Final[Mapping[str, Operation]] = {
    **OF_COMMANDS,
    Operation.DETECT_VOLTAGE.action: Operation.DETECT_VOLTAGE,
}

#: The head end's words for why a meter did not do it -> MDUS's codes.
_CODES: Final[Mapping[str, str]] = {
    "EndpointNotFound": "UNKNOWN_METER",
    "EndpointNotRegistered": "NOT_PROVISIONED",
    "DefinitionMismatch": "REGISTER_MISMATCH",
    "NoDisconnectSwitch": "NO_BREAKER",
    "EndpointBusy": "BUSY",
    "EndpointDidNotRespond": "NO_RESPONSE",
    "SwitchDidNotMove": "RELAY_STUCK",
    "CreditExhausted": "LOW_CREDIT",
    "LoadSideVoltagePresent": "LOAD_SIDE_VOLTAGE",
    "DisconnectLocked": "DISCONNECT_REFUSED",
    "OperationNotSupported": "NOT_SUPPORTED",
    "NoDataAvailable": "NO_DATA",
    "RequestExpired": "EXPIRED",
}

#: Status codes of readings -> qualities by IEC 61968-9; of several the first of these counts.
_QUALITIES: Final[Mapping[str, str]] = {
    "MISSING": "2.5.259",
    "EST": "2.8.0",
    "POWER": "1.2.32",
    "TEST": "1.4.5",
    "IRREGULAR": "1.4.2",
    "PULSE": "1.4.1",
    "TADJUSTED": "1.4.9",
    "DST": "1.4.16",
}

_Whole = Annotated[int, Field(ge=1)]


class Options(Section):
    """What a row of this kind may say of its head end: `[head_ends.options]`.

    Maps are merged with the usual ones, entry by entry.
    """

    system_name: str = "MDUS"  # under which subscriptions are made
    meter_id: str = "2.16.840.1.114416.0.{serial}"  # of a meter there: with {serial}, or {number}: without its zeros
    serial_digits: _Whole | None = None  # of the serial numbers, where the id has {number}
    groups: Texts = ("ALL",)  # the groups of meters to hear of
    exception_categories: Texts = (
        "Configuration",
        "StatusEvent",
        "CommonOperation",
        "PowerOutageOrRestoration",
        "Communication",
    )
    subscribes: bool = True  # False: subscriptions are made by others
    subscriptions_checked_minutes: _Whole = 15  # how often it is looked whether they are still there, in real time
    finds_requests: bool = False  # True: a request can be looked for by our reference
    load_side_voltage: Literal["unchecked", "blocks"] = "unchecked"  # blocks: it is looked for before a breaker closes
    signs_of_life: Texts = ("Endpoint Registered",)  # names of exceptions that say no more than that a meter was heard
    namespaces: Mapping[str, str] = {}
    paths: Mapping[str, str] = {}
    codes: Mapping[str, str] = {}
    qualities: Mapping[str, str] = {}

    @field_validator("meter_id")
    @classmethod
    def _has_a_place(cls, template: str) -> str:
        if template.count("{serial}") + template.count("{number}") != 1:
            raise ValueError("{serial} or {number} is expected in it, once")
        return template

    @field_validator("namespaces", "paths")
    @classmethod
    def _of_services(cls, told: Mapping[str, str]) -> Mapping[str, str]:
        unknown = [name for name in told if name not in _SERVICES]
        if unknown:
            raise ValueError(f"no service {', '.join(unknown)}; there are {', '.join(_SERVICES)}")
        return told

    @property
    def meter_ids(self) -> MeterIds:
        """Return how meters are named there."""
        return MeterIds(template=self.meter_id, digits=self.serial_digits)

    def path(self, operation: Operation) -> str:
        """Return where an operation is called, below the head end's address."""
        return self.paths.get(operation.service, _SERVICES[operation.service][0])

    def namespace(self, operation: Operation) -> str:
        """Return the namespace of an operation's bodies."""
        return self.namespaces.get(operation.service, _SERVICES[operation.service][1])

    def soap_action(self, operation: Operation, name: str) -> str:
        """Return the SOAPAction of an action, `name`, of the operation's service."""
        service = _SERVICES[operation.service][0].removeprefix("/")
        return f"{self.namespace(operation)}/{service}/{name}"

    def code(self, told: str) -> str:
        """Return MDUS's code of a failure, the head end's own where no entry says."""
        return self.codes.get(told) or _CODES.get(told, told)

    @property
    def quality_of(self) -> Mapping[str, str]:
        """Return the qualities of status codes, in the order in which they count."""
        return {**self.qualities, **{code: each for code, each in _QUALITIES.items() if code not in self.qualities}}
