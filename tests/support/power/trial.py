"""One trial: a life on a disk that remembers, and the verdict on every image that a loss of power could have left."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.support.power.cuts import Cut, cuts
from tests.support.power.disk import Lacking, apart
from tests.support.power.judge import Verdict
from tests.support.power.recorder import LACKS


class Kind(NamedTuple):
    """A life and the judge of what is left of it: modules of this package. `calls` is how long the life is."""

    life: str
    judge: str
    calls: int


JOURNAL = Kind("life", "judge", 400)
VOLUMES = Kind("volume_life", "volume_judge", 24)


def record(scratch: Path, seed: int, planted: str = "", kind: Kind = JOURNAL, calls: int = 0) -> None:
    """Live through one life in `scratch`, which afterwards holds the disk's log and the life's ledger. `calls`: another
    length than the kind's own.

    Raises Lacking where this machine has no FUSE or no loop devices.
    """
    done = apart("recorder", kind.life, scratch, seed, calls or kind.calls, *((planted,) if planted else ()))
    if done.returncode == LACKS:
        raise Lacking(done.stdout.strip())
    assert done.returncode == 0, done.stderr[-2000:]


def verdicts(scratch: Path, images: int, seed: int, kind: Kind = JOURNAL) -> Iterator[tuple[Cut, Verdict]]:
    """Cut the power `images` times, at moments and in ways that `seed` says, and judge what is found then."""
    for cut, image in cuts(scratch / "disk.log", images, seed, scratch):
        judged = apart(kind.judge, image, scratch / "found", scratch / "ledger", cut.acknowledged)
        image.unlink()
        if judged.returncode:
            how = f"whoever read it ended with {judged.returncode}: {judged.stderr[-500:]}"
            yield cut, Verdict(0, cut.acknowledged, (how,))
        else:
            yield cut, msgspec.json.decode(judged.stdout, type=Verdict)
