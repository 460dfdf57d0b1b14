"""containerd's own records over a trial: copied aside before a new system's containerd may change their form, and put
back when the machine is in the system before again. Its content and its layers stay where they are.

What a trial brought into the image cache is thereby unknown afterwards: the first look tells of it, and it is fetched
again when it is needed. A copy is whole when its file `slot` is there, which names the slot that was tried. It is
forgotten once that system is confirmed: months later the other slot may run because the default could not be loaded,
and all that containerd has come to know since would be lost with it.
"""

import contextlib
import logging
import shutil
from pathlib import Path

import msgspec

from effects.images.room import SPARE_BYTES, Free
from journal.durable import sync_directory, sync_file, write_durably
from projections.words import bytes_text

log = logging.getLogger(__name__)

RECORDS = ("io.containerd.metadata.v1.bolt/meta.db", "io.containerd.snapshotter.v1.overlayfs/metadata.db")
SLOT = "slot"


class Settled(msgspec.Struct, frozen=True):
    """Whether containerd may be started, and what an operator is to be told of its records; empty where all is well."""

    starts: bool = True
    said: str = ""


def crowded(root: Path, free: Free) -> str:
    """Why no trial could begin: the copies would not fit on the disk of the state, where so much is `free`, or nobody
    can say. Empty where they do. Blocking."""
    try:
        wanted = sum((root / record).stat().st_size for record in RECORDS if (root / record).exists()) + SPARE_BYTES
        left = free()
    except OSError as error:
        return (
            "what containerd knows, and the room for its copies, cannot be looked at, and no trial begins without: "
            f"{_reason(error)}. Mend the disk of the state first"
        )
    if left >= wanted:
        return ""
    return (
        f"the disk of the state has {bytes_text(left)} left, and a trial needs {bytes_text(wanted)} of it: what "
        "containerd knows is copied aside before a new system's may change it. Free space there first: "
        "`capsulectl image gc`"
    )


def before_the_runtime(root: Path, kept: Path, slot: str, update: int) -> Settled:
    """To be called before containerd is started. `root` is its own directory, `kept` where copies lie; `update` is the
    one whose system in `slot` is tried, 0 where it is here to stay, also if it was confirmed earlier in this boot.
    Raises OSError where a trial's copy cannot be made: such a system is not to be tried.

    What cannot be put back leaves containerd's records as they are, and its copy is forgotten: in a later life of the
    daemon containers run that the copy does not know. Where it cannot be forgotten either, or only one of the records
    came back, containerd is not to be started in this life, and the next one tries again."""
    own = kept / str(update)
    places = [one for one in sorted(kept.glob("[0-9]*")) if one != own and one.is_dir()]
    if update:
        for place in places:
            _forget(place)  # of one that stayed: nothing is tried before the trial before it is over
        _keep(root, own, slot)
        return Settled()
    settled = Settled()
    for place in places:
        try:
            said = _settle(place, root, slot)
        except OSError as error:
            settled = Settled(
                False,
                f"containerd is not started, and no container with it: what it knew before update {place.name} can "
                f"neither be put back nor be forgotten ({_reason(error)}). Mend the disk, and start the machine anew",
            )
            break
        settled = Settled(said=said or settled.said)
    if settled.said:
        log.error("%s", settled.said)
    return settled


def forget(kept: Path, update: int) -> None:
    """The system of that update is here to stay, by the boot loader's word: nothing is to be put back any more. What
    cannot go now, or had not gone when the power went, goes with the next start in the same slot. Blocking."""
    place = kept / str(update)
    if place.is_dir():
        _stayed(place)


def _settle(place: Path, root: Path, slot: str) -> str:
    """What an operator is to be told of it. Raises OSError where it may be put back later, or was in part."""
    if not _went_back(place, slot):
        _stayed(place)
        return ""
    said = ""
    try:
        beside = _beside(place, root)
    except OSError as error:
        said = (
            f"what containerd knew before update {place.name} cannot be put back ({_reason(error)}): it goes on with "
            "what the system that was tried left. Should it not read that, update to a release that does"
        )
    else:
        log.warning("containerd's records are as they were before update %s", place.name)
        _into_place(beside, root)
    _forget(place)
    return said


def _stayed(place: Path) -> None:
    try:
        _forget(place)
    except OSError as error:
        log.warning("%s stays until the next start: %s", place, _reason(error))


def _went_back(place: Path, slot: str) -> bool:
    tried = place / SLOT
    return tried.exists() and tried.read_text().strip() != slot


def _forget(place: Path) -> None:
    """It is no whole copy before the first of it goes: of half of one nothing could be put back."""
    (place / SLOT).unlink(missing_ok=True)
    sync_directory(place)
    try:
        shutil.rmtree(place)
    except OSError as error:
        log.warning("%s stays, and is of no use any more: %s", place, _reason(error))


def _keep(root: Path, place: Path, slot: str) -> None:
    if (place / SLOT).exists():
        return
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        for number, record in enumerate(RECORDS):
            if (root / record).exists():
                _copy(root / record, place / str(number))
        write_durably(place / SLOT, f"{slot}\n".encode())
    except OSError:
        shutil.rmtree(place, ignore_errors=True)  # half of one is of no use, and takes the room that was lacking
        raise


def _beside(place: Path, root: Path) -> set[Path]:
    """Where the records were that were copied; each copy is whole beside that now, and on the disk. All that takes room
    is done before anything changes."""
    found = {root / record: place / str(number) for number, record in enumerate(RECORDS)}
    found = {target: copied for target, copied in found.items() if copied.exists()}
    try:
        for target, copied in found.items():
            _copied(copied, target)
    except OSError:
        for target in found:
            with contextlib.suppress(OSError):
                _scratch(target).unlink(missing_ok=True)  # what came of it would take the room that was lacking
        raise
    return set(found)


def _into_place(beside: set[Path], root: Path) -> None:
    for target in (root / record for record in RECORDS):
        if target in beside:
            _scratch(target).replace(target)
        else:
            target.unlink(missing_ok=True)  # the trial's own: there was none
        if target.parent.exists():
            sync_directory(target.parent)


def _copy(source: Path, target: Path) -> None:
    """All or nothing, and on the disk."""
    _copied(source, target).replace(target)
    sync_directory(target.parent)


def _copied(source: Path, target: Path) -> Path:
    """Beside the target, and on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = _scratch(target)
    shutil.copyfile(source, scratch)
    scratch.chmod(source.stat().st_mode & 0o777)
    sync_file(scratch)
    return scratch


def _scratch(target: Path) -> Path:
    return target.with_name(f".{target.name}.new")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
