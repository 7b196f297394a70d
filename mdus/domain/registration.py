"""What SAP is told of a smart meter that answers in its metering system."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from mdus.domain.end_device import EndDevice
from mdus.domain.register import Register
from mdus.domain.value import Value


