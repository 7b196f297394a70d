"""A head end that exchanges IEC 61968-100 messages with IEC 61968-9 payloads over SOAP (docs/head_ends/cim.md)."""

from mdus.headends.cim.adapter import HEAD_END

__all__ = ["HEAD_END"]
