"""A head end that answers with a token, says when it is ready, and is then asked (docs/head_ends/token_poll.md)."""

from mdus.headends.token_poll.adapter import HEAD_END

__all__ = ["HEAD_END"]
