"""containerd's own records over a trial: copied aside before a new system's containerd may change their form, and put
back when the machine is in the system before again. Its content and its layers stay where they are.

What a trial brought into the image cache is thereby unknown afterwards: the first look tells of it, and it is fetched
again when it is needed. A copy is whole when its file `slot` is there, which names the slot that was tried.
"""

import logging
import os
import shutil
from pathlib import Path

from journal.durable import sync_directory, write_durably

log = logging.getLogger(__name__)

RECORDS = ("io.containerd.metadata.v1.bolt/meta.db", "io.containerd.snapshotter.v1.overlayfs/metadata.db")
SLOT = "slot"


def before_the_runtime(root: Path, kept: Path, slot: str, update: int) -> None:
    """To be called before containerd is started. `root` is its own directory, `kept` where copies lie; `update` is the
    one whose system in `slot` is tried, 0 where it is here to stay. Raises OSError where a trial's copy cannot be made:
    such a system is not to be tried. What cannot be put back leaves containerd as it is."""
    own = kept / str(update)
    places = [one for one in sorted(kept.glob("[0-9]*")) if one != own]
    if update:
        for place in places:
            _forget(place)  # of one that stayed: nothing is tried before the trial before it is over
        _keep(root, own, slot)
        return
    for place in places:
        try:
            _settle(place, root, slot)
        except OSError as error:
            log.error("containerd's records of before update %s are not put back: %s", place.name, error)


def _settle(place: Path, root: Path, slot: str) -> None:
    tried = place / SLOT
    if tried.exists() and tried.read_text().strip() != slot:
        log.warning("containerd's records are as they were before update %s", place.name)
        _put_back(place, root)
    _forget(place)


def _forget(place: Path) -> None:
    """It is no whole copy before the first of it goes: of half of one nothing could be put back."""
    (place / SLOT).unlink(missing_ok=True)
    sync_directory(place)
    shutil.rmtree(place)


def _keep(root: Path, place: Path, slot: str) -> None:
    if (place / SLOT).exists():
        return
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number, record in enumerate(RECORDS):
        if (root / record).exists():
            _copy(root / record, place / str(number))
    write_durably(place / SLOT, f"{slot}\n".encode())


def _put_back(place: Path, root: Path) -> None:
    for number, record in enumerate(RECORDS):
        target, copied = root / record, place / str(number)
        if copied.exists():
            _copy(copied, target)
        else:
            target.unlink(missing_ok=True)  # the trial's own: there was none


def _copy(source: Path, target: Path) -> None:
    """All or nothing, and on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, scratch)
    with scratch.open("rb") as file:
        os.fsync(file.fileno())
    scratch.chmod(source.stat().st_mode & 0o777)
    scratch.replace(target)
    sync_directory(target.parent)
