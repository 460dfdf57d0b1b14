"""Why an update went back, found out by the boot after it: the evidence, and what the pure core makes of it."""

from pathlib import Path

import msgspec

from capsuled.boot.disks import partition_of
from capsuled.evidence.gathering import Places, Told, gather
from capsuled.evidence.last_words import backend
from capsuled.layout import Layout
from journal.evidence import Evidence, FailedCheck, Loader, Verdict
from projections.causes import judge
from projections.state import Update

BOOT_PARTITION = {"slot_a": 2, "slot_b": 4}


class Found(msgspec.Struct, frozen=True):
    """What was concluded, and what from."""

    verdict: Verdict
    evidence: Evidence


def find_out(update: Update, loader: Loader, layout: Layout, boot: str, root: str) -> Found:
    """`boot` is the present one, `root` the device of its root, which tells the disk. What the tentative system said of
    itself stands in the update already."""
    failing = tuple(FailedCheck(name, message) for name, message in update.failing)
    told = Told(update.boot, update.cause, 0, failing) if update.boot else Told()
    places = Places(
        kept=layout.evidence_of(update.uid),
        boot_partition=Path(partition_of(root, BOOT_PARTITION[update.slot])),
        last_words=layout.last_words / boot,
        pstore=backend(),
        logs=layout.daemon_logs,
    )
    evidence = gather(update.uid, update.slot, loader, places, told)
    return Found(judge(evidence), evidence)
