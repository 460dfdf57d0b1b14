"""A mended layer takes the place of one that has lost files, which a container may still run from: its directory stays
until no mount can name it.

It lies beside its place, in containerd's own directory of that snapshot. So it goes with the snapshot, which containerd
keeps as long as a container stands on it. Otherwise it goes at the daemon's first start in another boot: no mount
outlives the kernel, and every container outlives the daemon. Blocking, on a thread.
"""

import shutil
import uuid
from pathlib import Path

from effects.containerd.connection import SNAPSHOTTER
from effects.images.on_disk import sync_around
from journal.clock import SystemClock

_LOST = "lost."


def put_in_place(fresh: Path, place: Path) -> None:
    """`fresh` is what is at `place`; what was there lies beside it. Cut between the two moves, there is nothing at
    `place`. Raises OSError."""
    place.parent.mkdir(mode=0o700, exist_ok=True)
    if place.exists():
        place.rename(place.with_name(f"{_LOST}{SystemClock().boot_id}.{uuid.uuid4().hex}"))
    fresh.rename(place)
    sync_around(place)


def drop_lost(root: Path) -> None:
    """Nothing is there of what lost its place in another boot. `root` is containerd's directory."""
    here = f"{_LOST}{SystemClock().boot_id}."
    for one in root.glob(f"io.containerd.snapshotter.v1.{SNAPSHOTTER}/snapshots/*/{_LOST}*"):
        if not one.name.startswith(here):
            shutil.rmtree(one, ignore_errors=True)
