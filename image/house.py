"""Our own code, compiled, and what microVMs boot, appended to the base: what changes with every commit, and takes
seconds."""

import shutil
import tomllib
from pathlib import Path

from image.base import HOUSE, SQUASH, compiled
from image.boot import FILES
from image.commands import command
from image.modes import settle

ROOT = Path(__file__).resolve().parent.parent


def packages() -> tuple[str, ...]:
    """Directories of the repository that are in it: what is installed elsewhere, and the stubs as they lie here."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    roots = {name.partition(".")[0] for name in declared}
    return (*sorted(name for name in roots if (ROOT / name).is_dir()), "gen")


LEFT_OUT = ("__pycache__", "*.pyi")
"""Of these directories; all else in them is in it, also what git does not know."""

GUEST = ("vmlinux", "initrd", "root.squashfs", "manifest")


def place(target: Path, guest: Path | None, release: str, commit: str, epoch_s: int) -> None:
    """Fill `target`, which becomes /capsule; `guest` is where what microVMs boot was built."""
    for package in packages():
        shutil.copytree(ROOT / package, target / "house" / package, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for name in ("init", "uplink"):
        shutil.copy2(FILES / name, target / name)
        (target / name).chmod(0o755)
    if guest is not None:
        (target / "guest").mkdir()
        for name in GUEST:
            shutil.copyfile(guest / name, target / "guest" / name)
    (target / "release").write_text(f"{release} {commit}\n")
    compiled(target / "house", f"/{HOUSE}/house", epoch_s)
    settle(target)


def append(base: Path, house: Path, target: Path, epoch_s: int) -> None:
    """A root image: the base's, with the house in it. The base's bytes stay as they are."""
    shutil.copy2(base, target)
    command(
        "mksquashfs", house, target, *SQUASH, "-keep-as-directory", "-all-root", "-all-time", str(epoch_s),
        "-mkfs-time", str(epoch_s),
    )  # fmt: skip
