"""Head ends of MultiSpeak 3.0 and 4.1: SOAP both ways, results by callback (docs/head_ends/multispeak.md)."""

from mdus.headends.multispeak.adapter import HEAD_END

__all__ = ["HEAD_END"]
