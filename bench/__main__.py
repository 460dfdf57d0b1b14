"""`make bench`: every figure, printed and in build/bench.json. `python -m bench GROUP...`: some, printed."""

import argparse
import importlib
import tempfile
from pathlib import Path

from bench.report import BUILD, Row, save, show

GROUPS = (
    "journal", "replay", "daemon", "containers", "cli", "logs", "idle", "identity", "volumes", "network", "crowd",
    "exec", "storm", "images", "copy", "stats", "health", "microvms", "moving", "moments", "simulation", "ui",
    "updates", "machine",
)  # fmt: skip


def main() -> None:
    """Run the groups that were named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures, each beside its peer and its bar.")
    parser.add_argument("group", nargs="*", help=f"all of them if none is named: {', '.join(GROUPS)}")
    chosen: list[str] = parser.parse_args().group or list(GROUPS)
    if strange := set(chosen) - set(GROUPS):
        parser.error(f"there is no group {', '.join(sorted(strange))}")
    BUILD.mkdir(exist_ok=True)
    rows: list[Row] = []
    for group in chosen:
        with tempfile.TemporaryDirectory(dir=BUILD, prefix="bench-") as scratch:
            for one in importlib.import_module(f"bench.{group}").rows(Path(scratch)):
                show(one)
                rows.append(one)
    if set(chosen) == set(GROUPS):
        save(rows)
    missed = [one.name for one in rows if not one.good]
    print(f"{len(rows)} figures, {len(missed)} missed{': ' + ', '.join(missed) if missed else ''}")


if __name__ == "__main__":
    main()
