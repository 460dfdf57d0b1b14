"""What a path in a workload means when it is copied out: which of its files, and what they are called in the archive."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from copies.errors import CopyError
from copies.opening import Plain
from copies.outbound import send
from copies.place import Place
from copies.sinks import Sink


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workload's files."""
    (tmp_path / "srv" / "site").mkdir(parents=True)
    (tmp_path / "srv" / "site" / "file").write_text("content")
    os.symlink("site", tmp_path / "srv" / "link")
    return tmp_path


def sent(root: Path, path: str) -> list[str]:
    """The names in the archive of a path: a small one, which a pipe holds."""
    files = os.open(root, os.O_PATH | os.O_DIRECTORY)
    reading, writing = os.pipe()
    try:
        send(Place(files, "web", path), Plain(), Sink(writing), lambda: None)
        with tarfile.open(fileobj=io.BytesIO(os.read(reading, 1 << 16))) as found:
            return found.getnames()
    finally:
        for fd in (files, reading, writing):
            os.close(fd)


@pytest.mark.parametrize("path", ["/srv/site", "/srv/site/", "/srv/site//", "srv/site/", "/srv/link/../site/"])
def test_a_slash_at_its_end_is_no_part_of_what_a_directory_is_called(root: Path, path: str) -> None:
    assert sent(root, path) == ["site", "site/file"]


def test_a_link_is_copied_as_one_unless_it_ends_in_a_slash(root: Path) -> None:
    assert sent(root, "/srv/link") == ["link"]
    assert sent(root, "/srv/link/") == ["link", "link/file"]


def test_the_root_is_called_as_the_workload(root: Path) -> None:
    assert sent(root, "/")[:1] == ["web"]


def test_what_ends_in_a_slash_must_be_a_directory(root: Path) -> None:
    with pytest.raises(CopyError, match="/srv/site/file/ in web: a part of the path is no directory"):
        sent(root, "/srv/site/file/")
