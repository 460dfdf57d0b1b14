"""A disk of its own for a journal, that is soon full."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of 64 MiB on a loop device."""
    if os.geteuid() != 0:
        pytest.skip("this machine lacks root: no loop mounts")
    image, mount = tmp_path / "disk", tmp_path / "mount"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    made = subprocess.run(["mount", "-o", "loop", image, mount], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"this machine lacks loop mounts: {made.stderr.strip()}")
    try:
        yield mount
    finally:
        subprocess.run(["mount", "-o", "remount,rw", mount], check=False)
        subprocess.run(["umount", "-l", mount], check=True)
