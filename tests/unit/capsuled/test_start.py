"""What a daemon's start need not load: budgets in modules, not in seconds."""

import subprocess
import sys

LATER = ("httpx", "rich", "pygments", "zeroconf", "cyclopts", "yaml", "capsulectl")
LOADED = f"import sys, capsuled.daemon; print(*[name for name in {LATER!r} if name in sys.modules])"


def test_the_daemon_answers_before_it_loads_what_it_needs_later() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
