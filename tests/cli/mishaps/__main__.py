"""`python -m tests.cli.mishaps [NAME]...`: record them anew, all or these."""

import sys
import tempfile
from pathlib import Path

from tests.cli.mishaps.stage import scene, stage
from tests.cli.mishaps.table import MISHAPS, recorded


def main() -> None:
    """Play, and write what was said; what is new or another is told."""
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="capsule-mishaps-") as scratch, scene() as (site, capsule):
        for mishap in MISHAPS:
            if wanted and mishap.name not in wanted:
                continue
            with stage(site, capsule, Path(scratch, mishap.name)) as made:
                mishap.play(made)
            file, told = recorded(mishap.name), mishap.title + made.told()
            before = file.read_text() if file.exists() else ""
            file.write_text(told)
            print(f"{mishap.name}: {'as it was' if told == before else 'recorded'}", flush=True)


if __name__ == "__main__":
    main()
