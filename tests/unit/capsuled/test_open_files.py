"""How many files the daemon may have open, by whose machine it is."""

import subprocess
import sys

import pytest

from capsuled.open_files import NR_OPEN

_RAISED = """
import resource, sys
from capsuled.open_files import raise_limit
resource.setrlimit(resource.RLIMIT_NOFILE, (1_024, 4_096))  # as PID 1 gets it of the kernel
raise_limit(own_machine=sys.argv[1] == "own")
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""
_SYS_RESOURCE = 24


def may_raise() -> bool:
    """Whether this process may have more than its hard limit."""
    with open("/proc/self/status") as file:
        (held,) = (line.split()[1] for line in file if line.startswith("CapEff:"))
    return bool(int(held, 16) >> _SYS_RESOURCE & 1)


@pytest.mark.parametrize("whose", ["own", "another's"])
def test_all_that_may_be_is_taken(whose: str) -> None:
    done = subprocess.run([sys.executable, "-c", _RAISED, whose], capture_output=True, text=True, check=True)
    most = NR_OPEN.read_text().strip() if whose == "own" and may_raise() else "4096"
    assert done.stdout.split() == [most, most]
