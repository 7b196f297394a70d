"""A message of SAP's taken in once more, from the body that is kept, as if SAP had sent it again."""

from __future__ import annotations

import zlib
from contextlib import closing

from mdus.endpoints.intake import Intake
from mdus.endpoints.received_body import ReceivedBody
from mdus.endpoints.refusal import Refused
from mdus.endpoints.runtime import Runtime
from mdus.messaging.status import MessageStatus
from mdus.storage import listing
from mdus.storage.audit import Deed, note_deed
from mdus.storage.intake import Fate, body_of_message


class NotReplayed(Exception):
    """The message cannot be taken in once more; `is_known` tells whether there is one of SAP's."""

    def __init__(self, text: str, *, mend: str, is_known: bool = True) -> None:
        super().__init__(text)
        self.mend = mend
        self.is_known = is_known


def replay(runtime: Runtime, message_id: int, deed: Deed, *, dry_run: bool, systems: tuple[str, ...] | None) -> str:
    """Take a message in once more and return what became of it; raises NotReplayed.

    What was taken in before is a duplicate: nothing is decided twice, and the confirmations it had go out again. What
    was refused is judged anew. `systems` are those whose messages the caller may see, None for all.
    """
    with runtime.database.read() as uow:
        row = listing.message(uow.connection, message_id)
        packed = body_of_message(uow.connection, message_id)
    is_known = row is not None and (systems is None or row.sender_system in systems)
    if row is None or not is_known or row.direction != "in" or packed is None:
        what = (
            "is not known" if not is_known else "was not sent by SAP" if packed is not None else "has no body any more"
        )
        mend = "name one that SAP has sent: /api/v1/messages?direction=in lists them"
        raise NotReplayed(f"message {message_id} {what}", mend=mend, is_known=is_known)
    if row.client is not None:
        mend = "send it anew: with its Idempotency-Key nothing is done twice, with another it is a new order"
        raise NotReplayed(f"message {message_id} is a request of {row.client}", mend=mend)
    if dry_run:
        if row.status is MessageStatus.REFUSED:
            return "it was refused; it would be judged anew"
        return "it was taken in before: nothing would be done twice, its confirmations would go out again"
    settings = runtime.settings
    with closing(ReceivedBody(settings.http, gzip=False)) as body:
        body.feed(zlib.decompress(packed))
        body.finish()
        try:
            taken = Intake(runtime).take(body, interface=None, sender=settings.sender_for(row.sender_system))
        except Refused as refused:
            raise NotReplayed(
                f"message {message_id} is refused: {refused.told}",
                mend="mend what is said; if it is SAP's, SAP must send it anew",
            ) from refused
    with runtime.database.begin() as uow:
        target = f"message {message_id} as {taken.message_id}"
        note_deed(uow.connection, deed, action="replay", target=target, count=1, at=runtime.clock.now())
    if taken.fate is Fate.NEW:
        return f"taken in as message {taken.message_id}"
    return f"a duplicate, kept as message {taken.message_id}: nothing is done twice, its confirmations go out again"
