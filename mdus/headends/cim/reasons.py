"""Why something was not done, as our own short code: what the reason of an Error says, else what its code does."""

from __future__ import annotations

import re

from mdus.headends.cim.options import CimOptions
from mdus.headends.cim.reply_codes import ReplyError


class Reasons:
    """The words of one head end."""

    def __init__(self, options: CimOptions) -> None:
        self._patterns = [(code, re.compile(pattern, re.IGNORECASE)) for code, pattern in options.reasons.items()]

    def code_of(self, error: ReplyError) -> str:
        """Return our short code of a failure."""
        return next((code for code, pattern in self._patterns if pattern.search(error.reason)), error.name)
