"""A process that reads a journal until it is killed, as one is whose asker has gone."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_READS = """
import sys, time
from pathlib import Path
from journal.environment import Environment
environment = Environment(Path(sys.argv[1]), readonly=True)
transactions = [environment.lmdb.begin() for _ in range(int(sys.argv[2]))]
print("reads", flush=True)
time.sleep(600)
"""


def command(directory: Path, transactions: int = 1) -> tuple[str, ...]:
    """It says so when it reads, in so many transactions at a time."""
    return (sys.executable, "-c", _READS, str(directory), str(transactions))


@contextmanager
def reading(directory: Path, transactions: int = 1) -> Iterator[None]:
    """It is killed at the end."""
    child = subprocess.Popen(command(directory, transactions), stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None and child.stdout.readline() == b"reads\n"
        yield
    finally:
        child.kill()
        child.communicate()
