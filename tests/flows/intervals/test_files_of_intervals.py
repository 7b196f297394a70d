"""Files of interval values come in by hand and by push: in parts, once, and without taking memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


class TestImport:
    def test_takes_no_more_memory_for_a_larger_file(self, tmp_path: Path, database_url: str) -> None:
        script = Path(__file__).with_name("memory_of_import.py")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MDUS_")}
        command = [sys.executable, str(script), str(tmp_path), database_url]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environ, timeout=100)
        told = json.loads(ran.stdout)

        small, large = told["megabytes"]
        assert large > 3.9 * small
        # SQLite's own page cache, up to its limit, is what still grows.
        first, second = told["grown"]
        assert second < 2 * first
