"""The file systems of the group's volumes: checked, mended where that can be done, and mounted."""

from pathlib import Path

from capsuled.boot.errors import StorageFailed
from capsuled.boot.group import GROUP
from capsuled.processes import outcome, run
from effects.command import how_it_ended

_OPTIONS = "noatime,errors=remount-ro,resuid=65534"
"""The blocks that the file system keeps back are nobody's, so that of all that is root only what may pass over limits
(CAP_SYS_RESOURCE: the daemon, containerd, a debug session) has them, and no container whose program runs as root."""
_LEFT = 4
"""e2fsck's exit code is a sum; from 4 on something is wrong that it left. A negative one is a signal's, and says
nothing of it."""


async def mount(name: str, place: Path) -> tuple[str, ...]:
    """Checked, then mounted; returns what an operator should know. Raises StorageFailed for a file system that the
    check could not mend, or that could not be checked, and CommandFailed."""
    device = f"/dev/{GROUP}/{name}"
    notes: tuple[str, ...] = ()
    code, said = await outcome("e2fsck", "-p", device)
    if code < 0:
        notes = (f"the check of the file system of {place} was {how_it_ended(code)}, and made again with all repairs",)
    elif code >= _LEFT:
        notes = (f"the file system of {place} was damaged and had to be repaired: what was written last may be lost",)
    if notes:
        code, said = await outcome("e2fsck", "-f", "-y", device)
    if code < 0:
        raise StorageFailed(f"the check of the file system on {device} was {how_it_ended(code)}: it is not mounted")
    if code >= _LEFT:
        raise StorageFailed(f"the file system on {device} is damaged beyond e2fsck's repair: {_last_line(said)}")
    place.mkdir(mode=0o700, exist_ok=True)
    await run("mount", "-t", "ext4", "-o", _OPTIONS, device, str(place))
    place.chmod(0o700)
    if name == "journal":
        lost_and_found = place / "lost+found"
        if lost_and_found.is_dir() and not any(lost_and_found.iterdir()):
            lost_and_found.rmdir()  # e2fsck makes it when it needs it; what it put there may be the journal's
    return notes


def _last_line(said: str) -> str:
    return said.strip().splitlines()[-1] if said.strip() else "it said nothing"
