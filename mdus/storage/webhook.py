"""Where clients want to be told: an address, what about, and the secret their signatures are made with."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Column, Connection, Table, Text, delete, insert, select, update

from mdus.messaging.status import MessageStatus
from mdus.storage.column_types import UtcInstant
from mdus.storage.mapping import METADATA, AnyRow, Identity64
from mdus.storage.message import MESSAGE
from mdus.storage.news import Audience, Topic, last_number

#: The service of the messages in the outbox that go to webhooks.
SERVICE: Final = "webhook"
#: How a secret begins: whoever finds one knows what it is for.
_PREFIX: Final = "mdus_whsec_"

WEBHOOK = Table(
    "webhook",
    METADATA,
    Column("id", Identity64, primary_key=True, autoincrement=True),
    Column("client", Text),  # of whose orders it hears; NULL: of all
    Column("systems", Text),  # sender systems it hears of, parted by blanks; NULL: all
    Column("topics", Text, nullable=False),  # parted by blanks
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),  # needed to sign, so it is kept as it is
    Column("told_up_to", BigInteger, nullable=False),  # number of the newest news that were put into the outbox for it
    Column("created_at", UtcInstant, nullable=False),
    Column("created_by", Text, nullable=False),
)


def make_webhook(
    connection: Connection, url: str, audience: Audience, *, created_by: str, now: datetime
) -> tuple[int, str]:
    """Store a webhook that hears of what happens from now on; returns its number and its secret, told only now."""
    secret = _PREFIX + secrets.token_urlsafe(32)
    number = connection.execute(
        insert(WEBHOOK)
        .values(
            client=audience.client,
            systems=None if audience.systems is None else " ".join(sorted(audience.systems)),
            topics=" ".join(sorted(audience.topics)),
            url=url,
            secret=secret,
            told_up_to=last_number(connection),
            created_at=now,
            created_by=created_by,
        )
        .returning(WEBHOOK.c.id)
    ).scalar_one()
    return int(number), secret


def webhooks(connection: Connection) -> Sequence[AnyRow]:
    """Return all webhooks, oldest first."""
    return connection.execute(select(WEBHOOK).order_by(WEBHOOK.c.id)).all()


def webhook(connection: Connection, number: int) -> AnyRow | None:
    """Return one webhook."""
    return connection.execute(select(WEBHOOK).where(WEBHOOK.c.id == number)).first()


def told(connection: Connection, numbers: Collection[int], *, up_to: int) -> None:
    """Note how far webhooks have been told."""
    connection.execute(update(WEBHOOK).where(WEBHOOK.c.id.in_(sorted(numbers))).values(told_up_to=up_to))


def remove_webhook(connection: Connection, number: int, *, now: datetime) -> bool:
    """Delete a webhook and leave what was still to go to it; False where there is none."""
    connection.execute(
        update(MESSAGE)
        .where(
            MESSAGE.c.service == SERVICE,
            MESSAGE.c.header_id == str(number),
            MESSAGE.c.direction == "out",
            MESSAGE.c.status.in_([MessageStatus.READY, MessageStatus.DEAD]),
        )
        .values(status=MessageStatus.ABANDONED, ended_at=now, last_error="the webhook was deleted")
    )
    return bool(connection.execute(delete(WEBHOOK).where(WEBHOOK.c.id == number)).rowcount)


def audience_of(row: AnyRow) -> Audience:
    """Return what a webhook hears."""
    systems = None if row.systems is None else tuple(row.systems.split())
    return Audience(client=row.client, systems=systems, topics=tuple(map(Topic, row.topics.split())))
