"""Numbers the news and puts them into the outbox for each webhook that hears them.

```
what happened --with it--> news --numbered here--> read by REST, streamed, and for each webhook a message of up to 100
```
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Final

from sqlalchemy import Connection

from mdus.storage import news, webhook
from mdus.storage.mapping import AnyRow
from mdus.storage.outbox import OutboundItem, store_message
from mdus.storage.session import Database

#: News numbered in one turn, and news in one message to a webhook.
_AT_ONCE: Final = 500
_IN_ONE_MESSAGE: Final = 100

#: How long news can be read again, and how many of the older ones one turn deletes.
_KEPT: Final = timedelta(days=30)
_DELETED_AT_ONCE: Final = 1000

#: The shape of the content of webhooks' messages, which are JSON already.
SHAPE_VERSION: Final = "news-1"


def tell_news(database: Database, *, now: datetime) -> int:
    """Number what is new and put it into the outbox for those who hear it; returns how many there were."""
    with database.read() as uow:
        if not news.is_any_untold(uow.connection):
            return 0
    with database.begin() as uow:
        rows = news.number_news(uow.connection, limit=_AT_ONCE)
        if not rows:
            return 0
        for hook in webhook.webhooks(uow.connection):
            _tell(uow.connection, hook, count=len(rows), up_to=rows[-1].number, now=now)
        news.forget_news(uow.connection, before=now - _KEPT, limit=_DELETED_AT_ONCE)
    return len(rows)


def _tell(connection: Connection, hook: AnyRow, *, count: int, up_to: int, now: datetime) -> None:
    """Put what a webhook hears of the `count` news up to a number into the outbox."""
    heard = news.news_after(connection, up_to - count, webhook.audience_of(hook), limit=_AT_ONCE)
    for system, some in groupby(sorted(heard.rows, key=attrgetter("sender_system")), key=attrgetter("sender_system")):
        rows = list(some)
        for start in range(0, len(rows), _IN_ONE_MESSAGE):
            _store(connection, hook, system, rows[start : start + _IN_ONE_MESSAGE], now=now)
    webhook.told(connection, [hook.id], up_to=up_to)


def _store(connection: Connection, hook: AnyRow, system: str, rows: Sequence[AnyRow], *, now: datetime) -> None:
    content = json.dumps({"webhook": hook.id, "news": list(map(news.shown_news, rows))}, ensure_ascii=False)
    key = f"{webhook.SERVICE}/{hook.id}/{rows[0].number}"
    item = OutboundItem(key=key, attempt=1, content=content, reference_uuid=None, reference_id=None)
    store_message(
        connection,
        sender_system=system,
        service=webhook.SERVICE,
        root=webhook.SERVICE,
        bulk=False,
        shape_version=SHAPE_VERSION,
        items=[item],
        header_id=str(hook.id),
        client=hook.client,
        now=now,
    )
