"""The composition root: finds the services and head ends, checks them, and wires one running process."""

from mdus.bootstrap.composition import compose, jobs_of, loops_of
from mdus.bootstrap.discovery import Found, discover
from mdus.bootstrap.errors import CannotStart

__all__ = ["CannotStart", "Found", "compose", "discover", "jobs_of", "loops_of"]
