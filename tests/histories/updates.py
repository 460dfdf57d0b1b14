"""A history of updates: good systems and bad ones, volumes kept and brought back, a frozen system that is kept and
replaced. The machine's slots, boot loader and storage are the simulation's; what is written is the house's own.
"""

import asyncio
import tempfile
from pathlib import Path

from capsuled.updates.receiving import Options
from journal import archive
from journal.codec import encode
from journal.entry import LOCAL
from journal.events import (
    UpdateArming,
    UpdateBegun,
    UpdateDisarmed,
    UpdateKeyEnrolled,
    UpdateKeyRemoved,
    UpdateStaged,
    UpdateStagingFailed,
)
from journal.reader import Reader
from tests.simulation.slot_stories import AGAIN, BY_ITSELF, FREEZING
from tests.simulation.slots import NEWER, VOLUME, WINDOW_S, Box, Life
from tests.support.entries import JOURNAL_ID, Ledger, keep

KEEPS = Options(window_s=WINDOW_S, keeps=(VOLUME,), snapshot="before-update-1")
LIVES = (
    Life(push="good", options=KEEPS),
    Life(confirms=False, goes_back=True, with_data=True),
    Life(push="ill", options=BY_ITSELF),
    Life(),
    Life(push="panics", options=AGAIN),
    Life(confirms=False),
    Life(push=NEWER, options=AGAIN),
    *FREEZING[1:],
    Life(),
    Life(push=NEWER, options=AGAIN),
    Life(),
    Life(confirms=False),
)
KID = "k" * 43


def live(target: Path) -> None:
    """Its archive."""
    ledger = asyncio.run(_lived())
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "journal"
        keep(directory, ledger.entries)
        reader = Reader.open(directory)
        with target.open("wb") as out:
            for block in archive.export(reader, JOURNAL_ID):
                out.write(block)
        reader.close()


async def _lived() -> Ledger:
    box = Box()
    for life in LIVES:
        await box.boot(life)
    ledger = Ledger()
    for header, event in box.stored:
        ledger.boot, ledger.slot, ledger.release = header.boot, header.slot, header.release
        ledger.mono = header.mono - header.seq * 1_000_000  # which it adds
        words = {"actor": header.actor, "cause": header.cause, "call": header.call, "at": header.at}
        ledger.forge(header.type, encode(event), header.effect_on_state, header.version, **words)  # type: ignore[arg-type]
    _rest(ledger)
    return ledger


def _rest(ledger: Ledger) -> None:
    """What a machine does not come to by itself."""
    ledger.add(UpdateKeyEnrolled(KID, "ab" * 32, "builder"), actor=LOCAL)
    for said in ("cut", "dropped"):
        begun = UpdateBegun("slot_a", "0.0.3", "ccc", 3, "slot_b", "0.0.2", "bbb", signed_by=KID, size_bytes=400)
        uid = ledger.add(begun, actor=LOCAL).header.seq
        if said == "cut":
            ledger.add(UpdateStagingFailed(uid, "CUT", "the push ended before all of it had come"))
        else:
            ledger.add(UpdateStaged(uid, "b" * 64, "c" * 64, 100, 300, 41_000))
            ledger.add(UpdateArming(uid, True, ("web",)))
            ledger.add(UpdateDisarmed(uid, "operator"))
    ledger.add(UpdateKeyRemoved(KID), actor=LOCAL)
