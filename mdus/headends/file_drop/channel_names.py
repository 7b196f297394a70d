"""Names of channels as files have them: by config/channels.toml, and an OBIS code is the channel it names."""

from __future__ import annotations

from datetime import datetime

from mdus.domain.channel_map import ChannelMap, Mapped
from mdus.domain.channel_name import ObisName, OtherName


def channel_named(channels: ChannelMap, source: str, *names: str, at: datetime | None) -> Mapped | None:
    """Return the channel that a source meant at an instant by the first of these names that is explained."""
    for name in names:
        found = channels.find(OtherName(source, name), at=at) or channels.find(ObisName(name), at=at)
        if found is not None:
            return found
    return None
