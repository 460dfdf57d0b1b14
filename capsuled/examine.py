"""Looking at a journal from a safe distance: in child processes, whose death is a finding and not the daemon's."""

from pathlib import Path

import msgspec

from capsuled.memory import Replayed
from capsuled.processes import CommandFailed, run
from journal.apart import module, report_of, verification
from journal.errors import JournalBusy
from journal.head import Head
from journal.reader import LAST
from journal.verify import Report
from projections.encoding import decode_state
from projections.fold import FOLD_VERSION
from projections.state import Machine


async def verify_apart(directory: Path, fold_version: int | None = None, head: Head | None = None) -> Report:
    """The chain's proof: of all entries, or of all that a start whose fold has this version goes by. Raises
    JournalBusy."""
    try:
        return report_of(await run(*verification(directory, fold_version, head)))
    except CommandFailed as failure:
        return report_of(failure.out, str(failure))


async def tail_proof(directory: Path) -> Report | None:
    """Of what a start goes by; None where there is no journal yet."""
    return await verify_apart(directory, FOLD_VERSION) if (directory / "data.mdb").exists() else None


async def replay_apart(directory: Path, upto: int = LAST) -> tuple[Replayed, Machine]:
    """The fold from the first entry, as far as it goes. Raises CommandFailed when the pages cannot be read, and
    JournalBusy."""
    out = await run(*module("capsuled.memory", str(directory), "--to", str(upto), "--state"))
    line, _, state = out.partition(b"\n")
    replayed = msgspec.json.decode(line, type=Replayed)
    if replayed.busy:
        raise JournalBusy(replayed.busy)
    return replayed, decode_state(state)
