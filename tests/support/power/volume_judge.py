"""After the power is back: does every volume and every snapshot that was promised hold what was promised of it?

    python -m tests.support.power.volume_judge IMAGE MOUNT LEDGER ACKNOWLEDGED      prints one JSON object

The driver looks and mounts as after any start; then the files are read. Runs in a process of its own (see disk.apart).
"""

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from capsuled.processes import outcome
from effects.errors import DriverError
from effects.volumes.sparse_driver import SparseVolumes
from projections.storage import SeenVolume
from tests.support.power.disk import Damage, powered_on
from tests.support.power.judge import Verdict
from tests.support.power.ledger import lines
from tests.support.power.volume_life import NAME


@dataclass
class Promised:
    """What must be there. `least` is how many lines; where two answers are right, the smaller one."""

    volumes: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    snapshots: dict[str, int] = field(default_factory=dict)
    size_bytes: int = 0
    least: int = 0

    def take(self, line: dict[str, Any]) -> None:
        """One promise that was kept, or one that may just have been under way."""
        under_way = "ack" not in line
        if "line" in line:
            self.least = line["line"]
        elif "taken" in line:
            self.snapshots[line["taken"]] = line["lines"]
        elif "dropped" in line:
            self.snapshots.pop(line["dropped"], None)
        elif "back" in line:
            self.least = min(self.least, line["back"]) if under_way else line["back"]
        elif "grown" in line:
            self.size_bytes = line["grown"]
        elif "made" in line:
            self.volumes.add(line["made"])
        elif "gone" in line:
            self.volumes.discard(line["gone"])
            if not under_way:
                self.gone.add(line["gone"])


def promised(ledger: Path, acknowledged: int) -> Promised:
    """By the first `acknowledged` answers, and by what may have been under way then."""
    made = Promised()
    for line in lines(ledger):
        if line.get("ack", line.get("begun", 0)) <= acknowledged:
            made.take(line)
    return made


async def judge(directory: Path, mounts: Path, ledger: Path, acknowledged: int) -> Verdict:
    """Check the volumes in `directory`."""
    driver, due = SparseVolumes(outcome, directory, mounts), promised(ledger, acknowledged)
    seen = {one.name: one for one in await driver.observe()}
    wrong = [f"volume {name} is gone" for name in sorted(due.volumes - seen.keys())]
    wrong += [f"volume {name} is back" for name in sorted(due.gone & seen.keys())]
    wrong += [f"{file.name} is left" for file in directory.glob(".*")]
    entries = 0
    for one in seen.values():
        try:
            count = await _lines(driver, one)
        except DriverError as error:
            wrong.append(error.message)
            continue
        if one.name == NAME:
            entries = count
            wrong += [f"{due.least} lines were synced, and {count} are there"] if count < due.least else []
            wrong += await _judge_data(driver, one, due)
    return Verdict(entries, acknowledged, tuple(wrong))


async def _lines(driver: SparseVolumes, volume: SeenVolume) -> int:
    """How many lines the volume holds; what is behind the last whole one does not count."""
    point = Path(await driver.mount(volume.name, volume.uid))
    try:
        file = point / "lines"
        numbers = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    finally:
        await driver.unmount(volume.name, volume.uid)
    whole = 0
    while whole < len(numbers) and numbers[whole] == b"%d" % (whole + 1):
        whole += 1
    return whole


async def _judge_data(driver: SparseVolumes, volume: SeenVolume, due: Promised) -> list[str]:
    """Its size, and each of its snapshots, by restoring it. The image is nobody's afterwards."""
    wrong: list[str] = []
    if volume.size_bytes < due.size_bytes:
        wrong.append(f"{volume.name} has {volume.size_bytes} bytes, and was grown to {due.size_bytes}")
    held = [one.snapshot for one in volume.snapshots]
    if len(held) < len(due.snapshots):
        return [*wrong, f"there are snapshots {held}, and {due.snapshots} were taken"]
    found = []
    for snapshot in held:
        try:
            await driver.restore(volume.name, volume.uid, snapshot, volume.size_bytes)
            found.append(await _lines(driver, volume))
        except DriverError as error:
            wrong.append(f"snapshot {snapshot}: {error.message}")
    # Which is which the journal knows, and it is not here: in the order of their making they hold ever more.
    wanted = sorted(due.snapshots.values(), reverse=True)
    best = sorted(found, reverse=True)
    if any(have < need for have, need in zip(best, wanted, strict=False)):
        wrong.append(f"the snapshots hold {best} lines, and at least {wanted} were promised")
    return wrong


def _main(image: Path, mount: Path, ledger: Path, acknowledged: int) -> None:
    try:
        with powered_on(image, mount):
            verdict = asyncio.run(judge(mount / "volumes", mount.with_name("mounts"), ledger, acknowledged))
    except Damage as damage:
        verdict = Verdict(0, acknowledged, (str(damage),))
    print(msgspec.json.encode(verdict).decode())


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
