"""What becomes of the root of a volume that nobody has used, and that of any other stays what it is."""

import os
import stat
from pathlib import Path

import pytest

from sandbox.new_volumes import MADE, settle, to_be

IMAGE = (472, 472, 0o2770)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it gives files away")


@pytest.mark.parametrize(
    ("own", "wanted", "then"),
    [
        (MADE, IMAGE, IMAGE),
        (MADE, MADE, MADE),
        ((0, 0, 0o2770), IMAGE, IMAGE),  # it was cut before the owner
        (IMAGE, IMAGE, IMAGE),
        ((0, 0, 0o700), IMAGE, (0, 0, 0o700)),
        ((1_000, 0, 0o755), IMAGE, (1_000, 0, 0o755)),
        ((0, 1_000, 0o755), IMAGE, (0, 1_000, 0o755)),
        ((1_000, 1_000, 0o2770), IMAGE, (1_000, 1_000, 0o2770)),
    ],
)
def test_only_what_nobody_has_changed_becomes_what_is_wanted(
    own: tuple[int, int, int], wanted: tuple[int, int, int], then: tuple[int, int, int]
) -> None:
    assert to_be(own, wanted) == then


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """As `mkfs.ext4` makes it."""
    root = tmp_path / "volume"
    (root / "lost+found").mkdir(parents=True)
    root.chmod(0o755)
    return root


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "image/var/lib").mkdir(parents=True)
    return tmp_path / "image"


def own(root: Path) -> tuple[int, int, int]:
    seen = root.stat()
    return seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)


@as_root
def test_it_gets_the_owner_and_the_mode_of_the_images_directory(volume: Path, image: Path) -> None:
    there = image / "var/lib/db"
    there.mkdir()
    there.chmod(0o1770)
    os.chown(there, 70, 71)
    for _ in range(2):
        settle(volume, "/var/lib/db", (image,), 1_000, 1_000)
        assert own(volume) == (70, 71, 0o1770) and os.listdir(volume) == []


@as_root
def test_where_the_image_has_none_it_is_the_users(volume: Path, image: Path) -> None:
    (image / "var/lib/db").write_text("no directory")
    settle(volume, "/var/lib/db", (image,), 1_000, 1_001)
    assert own(volume) == (1_000, 1_001, 0o755)


@as_root
def test_what_holds_something_or_is_somebodys_stays_as_it_is(volume: Path, image: Path) -> None:
    (volume / "lost+found").rmdir()
    (volume / "kept").write_text("")
    settle(volume, "/data", (image,), 1_000, 1_000)
    assert own(volume) == MADE
    (volume / "kept").unlink()
    os.chown(volume, 5, 0)
    settle(volume, "/data", (image,), 1_000, 1_000)
    assert own(volume) == (5, 0, 0o755)


@as_root
def test_what_a_check_has_found_stays_and_is_content(volume: Path, image: Path) -> None:
    (volume / "lost+found/#12").write_text("somebody's")
    settle(volume, "/data", (image,), 1_000, 1_000)
    assert (volume / "lost+found/#12").exists() and own(volume) == MADE
    (volume / "lost+found/#12").unlink()
    settle(volume, "/data", (image,), 1_000, 1_000)
    assert os.listdir(volume) == [] and own(volume) == (1_000, 1_000, 0o755)


def test_what_only_has_the_name_of_lost_and_found_stays(volume: Path, image: Path) -> None:
    (volume / "lost+found").rmdir()
    (volume / "lost+found").symlink_to(image)
    settle(volume, "/data", (image,), os.getuid(), os.getgid())
    assert os.listdir(volume) == ["lost+found"] and image.is_dir()
