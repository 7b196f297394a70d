"""How tests are shared out among processes: one by one, but for files whose tests share what takes long to make.

xdist knows groups by marks, which it writes into the ids of tests; pytest 9.2 does not let it.
"""

from __future__ import annotations

from typing import Final

from xdist.scheduler import LoadScopeScheduling

#: Files and folders whose tests run in one process, each.
_TOGETHER: Final = (
    "tests/chaos/",
    "tests/conformance/test_own_service.py",
    "tests/flows/truth/",
    "tests/packaging/test_import_rules.py",
    "tests/packaging/test_wheel.py",
)


class Sharing(LoadScopeScheduling):
    """Gives each test to whichever process is free, and what belongs together to one."""

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in _TOGETHER if nodeid.startswith(place)), nodeid)
