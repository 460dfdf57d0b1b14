"""Records one life on a disk that remembers.

    python -m tests.support.power.recorder LIFE SCRATCH SEED CALLS [what is planted]

LIFE is a module of this package: life or volume_life. SCRATCH holds the disk's log and the life's ledger afterwards. Exits with 3 where this machine lacks something, and says
what. Runs in a mount namespace of its own (see disk.apart).
"""

import subprocess
import sys
from pathlib import Path

from tests.support.power.disk import Lacking, logged_disk

LACKS = 3


def _main(life: str, scratch: Path, seed: str, calls: str, planted: str) -> int:
    try:
        with logged_disk(scratch) as disk:
            disk.record()
            places = (disk.mount, scratch / "ledger", disk.acks)
            options = ("--seed", seed, "--calls", calls, *(("--plant", planted) if planted else ()))
            subprocess.run([sys.executable, "-m", f"tests.support.power.{life}", *places, *options], check=True)
    except Lacking as error:
        print(error)
        return LACKS
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4], "".join(sys.argv[5:])))
