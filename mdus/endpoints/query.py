"""Answers queries: SAP asks and waits, the answer goes back in the same HTTP call.

A question that cannot be answered in business terms has an answer too, with nothing but its Log. It only looks: nothing
is held, nothing stored.
"""

from __future__ import annotations

from dataclasses import replace

from mdus.contracts.envelope import Item, render
from mdus.endpoints.intake import Asked
from mdus.endpoints.runtime import Runtime
from mdus.messaging.log_types import LogTypes
from mdus.messaging.outcome import BusinessError, Origin, Result, received
from mdus.telemetry.logs import logger
from mdus.telemetry.metrics import CHILDREN_SET_ASIDE, MESSAGES_RECEIVED

log = logger(__name__)


def answered(asked: Asked, runtime: Runtime) -> bytes:
    """Return the envelope that answers a query."""
    question, service = asked.question, asked.question.service
    request = received(question.request, _origin(asked, runtime))
    try:
        with runtime.database.read() as uow:
            known = service.load([request], uow.looking())
        response = service.answer(request, known)
        problem = None
    except BusinessError as error:
        problem = error.problem
        response = service.refuse(Result(problems=(problem,)))
    response = replace(response, log=LogTypes.of(runtime.settings).log(response.log))
    body = render(service.response, items=[Item(None, response)], contract=runtime.catalog)
    MESSAGES_RECEIVED.labels(question.interface).inc()
    CHILDREN_SET_ASIDE.labels(question.interface).inc(question.set_aside)
    log.info(
        "query_answered",
        interface=question.interface,
        sender_system=asked.sender_system,
        problem=None if problem is None else problem.note,
        size=len(body),
    )
    return body


def _origin(asked: Asked, runtime: Runtime) -> Origin:
    """Return where a query comes from; it is no item of the inbox and is never parked."""
    now = runtime.clock.now()
    sender = runtime.settings.sender_for(asked.sender_system)
    return Origin(
        item_id=0,
        sender_system=asked.sender_system,
        zone=runtime.settings.time_zone if sender is None else sender.time_zone,
        message_uuid=None,
        uuid=None,
        id=None,
        bulk=False,
        test_data=False,
        received_at=now,
        park_until=now,
    )
