"""Data concentrators behind a broker: JSON over MQTT 5 or 3.1.1 (docs/head_ends/mqtt.md)."""

from mdus.headends.mqtt.adapter import HEAD_END

__all__ = ["HEAD_END"]
