"""One trial: a life on a disk that remembers, and the verdict on every image that a loss of power could have left."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.support.power.cuts import Cut, cuts
from tests.support.power.disk import Damage, logged_disk, powered_on
from tests.support.power.judge import Verdict

CALLS = 400
JUDGE_S = 120


def record(scratch: Path, seed: int, planted: str = "", calls: int = CALLS) -> None:
    """Live through one life in `scratch`, which afterwards holds the disk's log and the life's ledger.

    Raises Lacking where this machine has no FUSE or no loop devices.
    """
    with logged_disk(scratch) as disk:
        disk.record()
        command = [sys.executable, "-m", "tests.support.power.life", disk.mount, scratch / "ledger", disk.acks]
        options = ["--seed", str(seed), "--calls", str(calls), *(("--plant", planted) if planted else ())]
        lived = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        assert lived.returncode == 0, lived.stderr[-2000:]


def verdicts(scratch: Path, images: int, seed: int) -> Iterator[tuple[Cut, Verdict]]:
    """Cut the power `images` times, at moments and in ways that `seed` says, and judge what is found then."""
    image = scratch / "image"
    for cut in cuts(scratch / "disk.log", images, seed, image):
        try:
            with powered_on(image, scratch / "found"):
                yield cut, _judged(scratch, cut.acknowledged)
        except Damage as damage:
            yield cut, Verdict(0, cut.acknowledged, (str(damage),))
    image.unlink(missing_ok=True)


def _judged(scratch: Path, acknowledged: int) -> Verdict:
    command = [sys.executable, "-m", "tests.support.power.judge", scratch / "found", scratch / "ledger"]
    judged = subprocess.run(
        [*command, str(acknowledged)], capture_output=True, text=True, timeout=JUDGE_S, check=False
    )  # fmt: skip
    if judged.returncode:
        return Verdict(0, acknowledged, (f"whoever read it ended with {judged.returncode}: {judged.stderr[-500:]}",))
    return msgspec.json.decode(judged.stdout, type=Verdict)
