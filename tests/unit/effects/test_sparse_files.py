"""What the sparse driver makes of the files that it finds, where one cannot be looked at or is another journal's."""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from effects.errors import DriverError
from effects.volumes.sparse_driver import SparseVolumes
from projections.storage import SeenSnapshot, SeenVolume


async def no_process(*argv: str) -> tuple[int, str]:
    raise AssertionError(f"nothing is run for this: {argv}")


def stored(tmp_path: Path, *names: str) -> tuple[SparseVolumes, Path]:
    """A driver, and the directory of its files; each holds its own name."""
    directory = tmp_path / "volumes"
    directory.mkdir()
    for name in names:
        (directory / name).write_text(name)
    return SparseVolumes(no_process, directory, tmp_path / "mounts"), directory


def spoiled(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Whoever looks at the file of this name has this error."""
    really = Path.stat

    def stat(self: Path, **options: Any) -> os.stat_result:
        if self.name == name:
            raise OSError(number, os.strerror(number), str(self))
        return really(self, **options)

    monkeypatch.setattr(Path, "stat", stat)


@pytest.mark.parametrize("name", ["data.5.img", "data.5@7.img"])
def test_a_file_that_cannot_be_looked_at_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    driver, _ = stored(tmp_path, "data.5.img", "data.5@7.img")
    spoiled(monkeypatch, name, errno.EIO)
    (seen,) = asyncio.run(driver.observe())
    (snapshot,) = seen.snapshots
    assert (seen.uid, snapshot.snapshot) == (5, 7)
    unknown: SeenVolume | SeenSnapshot = seen if name == "data.5.img" else snapshot
    assert (unknown.size_bytes, unknown.used_bytes) == (0, 0)


@pytest.mark.parametrize(("name", "left"), [("data.5.img", []), ("data.5@7.img", [()])])
def test_a_file_that_is_removed_while_somebody_looks_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, left: list[tuple[SeenSnapshot, ...]]
) -> None:
    driver, _ = stored(tmp_path, "data.5.img", "data.5@7.img")
    spoiled(monkeypatch, name, errno.ENOENT)
    assert [one.snapshots for one in asyncio.run(driver.observe())] == left


def test_an_import_sets_aside_what_another_journal_called_so_with_its_snapshots(tmp_path: Path) -> None:
    driver, directory = stored(tmp_path, "data.5.img", "data.5@7.img", "data.5@8.img", "import-1.staged")
    asyncio.run(driver.adopt("data", 5, "import-1", keeps=(8,)))
    assert {path.name: path.read_text() for path in directory.iterdir()} == {
        "data.5.img": "import-1.staged",
        "data.5.img.stranger-1": "data.5.img",
        "data.5@7.img.stranger-1": "data.5@7.img",
        "data.5@8.img": "data.5@8.img",
    }


@pytest.mark.parametrize("asked", ["adopt", "make"])
def test_snapshots_are_set_aside_before_their_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    driver, directory = stored(tmp_path, "data.5.img", "data.5@7.img", "import-1.staged")
    monkeypatch.setattr("effects.volumes.asked.is_of", lambda path, asked_at: False)
    really = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if self.name == "data.5.img":
            raise OSError(errno.EIO, "the power went", str(self))
        return really(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(DriverError):
        asyncio.run(driver.adopt("data", 5, "import-1") if asked == "adopt" else driver.make("data", 5, 4096, 9))
    assert {path.name for path in directory.iterdir()} == {"data.5.img", "data.5@7.img.stranger-1", "import-1.staged"}
