"""The states of messages, items and commands, and the only ways between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from mdus.domain.command import CommandStatus


class MessageStatus(StrEnum):
    """The state of a stored message, received or to be sent."""

    RECEIVED = "received"  # in: durable, its items are under way
    COMPLETED = "completed"  # in: every item is closed
    REFUSED = "refused"  # in: answered with a fault; a visible copy, no key taken
    DUPLICATE = "duplicate"  # in: the same key and content again; the stored answer is sent again
    READY = "ready"  # out: stored, waits for its next attempt
    SENDING = "sending"  # out: leased by an outbox worker
    DELIVERED = "delivered"  # out: the receiver answered 2xx with an empty body
    CONFIRMED = "confirmed"  # out: the receiver's confirmation has come
    DEAD = "dead"  # out: attempts exhausted; visible, replayable, never silent
    ABANDONED = "abandoned"  # out: was DEAD, and a human has left it so


class ItemStatus(StrEnum):
    """The state of one item of a received message."""

    READY = "ready"  # to be decided
    AWAITING = "awaiting"  # its commands are under way
    PARKED = "parked"  # waits for something SAP has not sent yet
    DECIDED = "decided"  # has its result, not yet in a confirmation
    CLOSED = "closed"  # in a confirmation, or none is due
    DEAD = "dead"  # our defect: attempts exhausted; visible, replayable
    SENT = "sent"  # an item of a message we send
    ANSWERED = "answered"  # an item we sent, confirmed by the receiver


#: The states of messages we have received; all others are of messages we send.
OF_RECEIVED: Final = frozenset(
    {MessageStatus.RECEIVED, MessageStatus.COMPLETED, MessageStatus.REFUSED, MessageStatus.DUPLICATE}
)

#: Per kind of status (members of two kinds may be equal as text): what may follow each.
TRANSITIONS: Mapping[type[StrEnum], Mapping[StrEnum, frozenset[StrEnum]]] = {
    MessageStatus: {
        MessageStatus.RECEIVED: frozenset({MessageStatus.COMPLETED}),
        MessageStatus.COMPLETED: frozenset(),
        MessageStatus.REFUSED: frozenset(),
        MessageStatus.DUPLICATE: frozenset(),
        MessageStatus.READY: frozenset(
            {MessageStatus.SENDING, MessageStatus.DELIVERED, MessageStatus.CONFIRMED}
        ),  # DELIVERED, CONFIRMED: an attempt thought lost had arrived; the receiver has answered a part, or all of it
        MessageStatus.SENDING: frozenset(
            {MessageStatus.READY, MessageStatus.DELIVERED, MessageStatus.CONFIRMED, MessageStatus.DEAD}
        ),
        MessageStatus.DELIVERED: frozenset(
            {MessageStatus.CONFIRMED, MessageStatus.READY}
        ),  # READY: a deliberate resend
        MessageStatus.CONFIRMED: frozenset({MessageStatus.READY}),
        MessageStatus.DEAD: frozenset(
            {MessageStatus.READY, MessageStatus.DELIVERED, MessageStatus.CONFIRMED, MessageStatus.ABANDONED}
        ),
        MessageStatus.ABANDONED: frozenset({MessageStatus.READY, MessageStatus.DELIVERED, MessageStatus.CONFIRMED}),
    },
    ItemStatus: {
        ItemStatus.READY: frozenset(
            {ItemStatus.AWAITING, ItemStatus.PARKED, ItemStatus.DECIDED, ItemStatus.CLOSED, ItemStatus.DEAD}
        ),
        ItemStatus.AWAITING: frozenset({ItemStatus.READY}),
        ItemStatus.PARKED: frozenset({ItemStatus.READY}),
        ItemStatus.DECIDED: frozenset({ItemStatus.CLOSED}),
        ItemStatus.CLOSED: frozenset(),
        ItemStatus.DEAD: frozenset({ItemStatus.READY, ItemStatus.CLOSED}),  # CLOSED: a human has left it so
        ItemStatus.SENT: frozenset({ItemStatus.ANSWERED}),
        ItemStatus.ANSWERED: frozenset(),
    },
    CommandStatus: {
        CommandStatus.READY: frozenset(
            {
                CommandStatus.SUBMITTING,
                CommandStatus.DONE,  # a call thought lost was carried out: its result came before the next attempt
                CommandStatus.FAILED,
                CommandStatus.UNCERTAIN,  # it leaves no more, but an attempt of it may have been carried out
                CommandStatus.CANCELLED,
            }
        ),
        CommandStatus.SUBMITTING: frozenset(
            {
                CommandStatus.READY,  # certainly not carried out: tried again
                CommandStatus.ACCEPTED,
                CommandStatus.DONE,
                CommandStatus.FAILED,
                CommandStatus.UNCERTAIN,
            }
        ),
        CommandStatus.ACCEPTED: frozenset(
            {CommandStatus.DONE, CommandStatus.FAILED, CommandStatus.TIMED_OUT, CommandStatus.UNCERTAIN}
        ),
        CommandStatus.DONE: frozenset(),
        CommandStatus.FAILED: frozenset(),
        CommandStatus.UNCERTAIN: frozenset(),  # a late result updates the known switch state, never this outcome
        CommandStatus.TIMED_OUT: frozenset(),
        CommandStatus.CANCELLED: frozenset(),
    },
}


class IllegalTransition(Exception):
    """A status was to change in a way TRANSITIONS does not know: a defect."""


def check_transition(present: StrEnum, wanted: StrEnum) -> None:
    """Raise IllegalTransition unless `wanted` may follow `present`."""
    if wanted not in TRANSITIONS[type(present)][present]:
        raise IllegalTransition(f"{type(present).__name__}: {present} -> {wanted}")


def sources_of(wanted: StrEnum) -> tuple[StrEnum, ...]:
    """Return the states from which `wanted` may be reached: what a set-based update must ask for."""
    return tuple(state for state, following in TRANSITIONS[type(wanted)].items() if wanted in following)
