"""A start takes over what a restore laid down, where the journal's own disk is there to take it."""

import subprocess
import sys
from pathlib import Path

import pytest

from capsuled.restoring import lay_down
from tests.unit.capsuled.test_restoring import RESTORED, blank, filled, taken_over

_STARTS = """
import sys
from pathlib import Path

from capsuled import __main__ as daemon
from capsuled.boot.ground import Booted, Ground
from capsuled.boot.storage import Mounted

state, problem = Path(sys.argv[1]), sys.argv[2]

async def run(*_):
    return False

Path.is_mount = lambda self: self == state or not problem
daemon.OS_STATE = state
daemon._missing = lambda modules: ""
daemon._brought_up = lambda arguments: (Ground(None, None, Booted("slot_a"), "", Mounted(problem), ""), problem)
daemon._run = run
daemon._halt = run
sys.argv = ["capsuled", "--os", *sys.argv[3:]]
daemon.main()
"""


def started(state: Path, problem: str, *options: str) -> None:
    """One life of the operating system's daemon, which does nothing once it has begun."""
    subprocess.run([sys.executable, "-c", _STARTS, state, problem, *options], check=True)


@pytest.mark.parametrize("options", [(), ("--halt",)])
def test_without_the_journals_disk_what_was_laid_down_waits_for_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    layout = blank(tmp_path)
    filled(layout)
    lay_down(layout, RESTORED)
    started(tmp_path, "e2fsck cannot mend it", *options)
    assert (layout.journal / "data.mdb").read_text() == "blank"
    assert (layout.restore / "journal" / "data.mdb").read_text() == "archive"
    started(tmp_path, "", *options)
    assert taken_over(layout)
