"""Looking at a journal from a safe distance: in child processes, whose death is a finding and not the daemon's."""

from pathlib import Path

import msgspec

from capsuled.memory import TELLING, Proceeds, Replayed
from capsuled.processes import CommandFailed, run
from journal.apart import module, report_of, verification
from journal.environment import is_begun
from journal.errors import JournalBusy
from journal.head import Head
from journal.reader import LAST
from journal.verify import Report
from projections.encoding import decode_state
from projections.fold import FOLD_VERSION
from projections.state import Machine


async def verify_apart(
    directory: Path, fold_version: int | None = None, head: Head | None = None, proceeds: Proceeds | None = None
) -> Report:
    """The chain's proof: of all entries, or of all that a start whose fold has this version goes by. `proceeds` is
    called as it comes on. Raises JournalBusy."""
    try:
        return report_of(await run(*verification(directory, fold_version, head), heard=proceeds))
    except CommandFailed as failure:
        return report_of(failure.out, str(failure))


async def tail_proof(directory: Path, proceeds: Proceeds | None = None) -> Report | None:
    """Of what a start goes by; None where there is no journal yet. `proceeds`: as above."""
    if not is_begun(directory):
        return None
    return await verify_apart(directory, FOLD_VERSION, proceeds=proceeds)


async def replay_apart(directory: Path, upto: int = LAST, proceeds: Proceeds | None = None) -> tuple[Replayed, Machine]:
    """The fold from the first entry, as far as it goes; `proceeds`: as above. Raises CommandFailed when the pages
    cannot be read, and JournalBusy."""
    command = module("capsuled.memory", str(directory), "--to", str(upto), "--state", "--tell")
    line, _, state = (await run(*command, heard=proceeds)).lstrip(TELLING).partition(b"\n")
    replayed = msgspec.json.decode(line, type=Replayed)
    if replayed.busy:
        raise JournalBusy(replayed.busy)
    return replayed, decode_state(state)
