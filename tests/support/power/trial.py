"""One trial: a life on a disk that remembers, and the verdict on every image that a loss of power could have left."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.support.power.cuts import Cut, cuts
from tests.support.power.disk import Lacking, apart
from tests.support.power.judge import Verdict
from tests.support.power.recorder import LACKS

CALLS = 400


def record(scratch: Path, seed: int, planted: str = "", calls: int = CALLS) -> None:
    """Live through one life in `scratch`, which afterwards holds the disk's log and the life's ledger.

    Raises Lacking where this machine has no FUSE or no loop devices.
    """
    done = apart("recorder", scratch, seed, calls, *((planted,) if planted else ()))
    if done.returncode == LACKS:
        raise Lacking(done.stdout.strip())
    assert done.returncode == 0, done.stderr[-2000:]


def verdicts(scratch: Path, images: int, seed: int) -> Iterator[tuple[Cut, Verdict]]:
    """Cut the power `images` times, at moments and in ways that `seed` says, and judge what is found then."""
    for cut, image in cuts(scratch / "disk.log", images, seed, scratch):
        judged = apart("judge", image, scratch / "found", scratch / "ledger", cut.acknowledged)
        image.unlink()
        if judged.returncode:
            how = f"whoever read it ended with {judged.returncode}: {judged.stderr[-500:]}"
            yield cut, Verdict(0, cut.acknowledged, (how,))
        else:
            yield cut, msgspec.json.decode(judged.stdout, type=Verdict)
