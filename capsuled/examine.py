"""Looking at a journal from a safe distance: in child processes, whose death is a finding and not the daemon's."""

import sys
from pathlib import Path

import msgspec

from capsuled.memory import Replayed, decode_state
from capsuled.processes import CommandFailed, run
from journal.head import Head
from journal.reader import LAST
from journal.verify import Finding, Report
from projections.state import Machine


async def verify_apart(directory: Path, fold_version: int | None = None, head: Head | None = None) -> Report:
    """The chain's proof: of all entries, or of all that a start whose fold has this version goes by."""
    arguments = [str(directory)]
    if fold_version is not None:
        arguments += ["--fold", str(fold_version)]
    if head is not None:
        arguments += ["--head", f"{head.seq}:{head.hash.hex()}"]
    try:
        out = await run(sys.executable, "-m", "journal.verify", *arguments)
    except CommandFailed as failure:
        return Report(0, 0, 0, "", (Finding(f"the journal's pages are damaged; reading them failed: {failure}"),))
    return msgspec.json.decode(out, type=Report)


async def replay_apart(directory: Path, upto: int = LAST) -> tuple[Replayed, Machine]:
    """The fold from the first entry, as far as it goes. Raises CommandFailed when the pages cannot be read."""
    out = await run(sys.executable, "-m", "capsuled.memory", str(directory), "--to", str(upto), "--state")
    line, _, state = out.partition(b"\n")
    return msgspec.json.decode(line, type=Replayed), decode_state(state)
