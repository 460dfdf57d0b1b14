"""Operators' own sides for tests: a configuration directory each, and the command line run in it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.daemon import CTL


class Operator:
    """One operator, who reaches machines over the network only."""

    def __init__(self, directory: Path) -> None:
        self.config = directory
        self.environment = os.environ | {"CAPSULE_CONFIG_DIR": str(directory), "NO_COLOR": "1"}
        self.environment.pop("CAPSULE_HOST", None)

    def ctl(self, *arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Run capsulectl."""
        return subprocess.run(
            [CTL, *arguments],
            env=self.environment, input=stdin, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def good(self, *arguments: str, stdin: str | None = None) -> str:
        """Run capsulectl, which must succeed; its output."""
        done = self.ctl(*arguments, stdin=stdin)
        assert done.returncode == 0, f"capsulectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def data(self, *arguments: str) -> Any:
        """Run capsulectl with `-o json`."""
        return json.loads(self.good(*arguments, "-o", "json"))

    def public_key(self) -> str:
        """What `key add` takes."""
        return self.good("key", "show", "-o", "name").strip()
