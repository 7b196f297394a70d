"""What the benchmarks compare with: lxml parses the same bytes and validates them against the XSD, and does no more."""

from __future__ import annotations

import time
from functools import cache

from lxml import etree

from mdus.settings import data_folder
from tests.benchmarks.orders import ROOT

NAME = "lxml parse + XSD of the same bytes"


def parse_seconds(body: bytes) -> float:
    """This will return how long lxml takes to parse an envelope and to validate the message in it."""
    schema = _schema()
    began = time.perf_counter()
    envelope = etree.fromstring(body)
    valid = schema.validate(envelope[0][0])
    seconds = time.perf_counter() - began
    if not valid:
        raise ValueError(f"the benchmark's own message is not valid: {schema.error_log.last_error}")
    return seconds


@cache
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(data_folder("xsd") / f"{ROOT}.xsd"))
