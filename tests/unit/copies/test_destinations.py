"""Where things land: the contract's rules, as a table; and that what does not fit changes nothing."""

import os
import tarfile
from pathlib import Path

import pytest

from copies.destination import arranged
from copies.errors import CopyError
from tests.support.trees import facts, left_aside, member, tar, unpack

DIR, LINK = tarfile.DIRTYPE, tarfile.SYMTYPE
FILE = tar(member("one", content=b"new"))
TREE = tar(
    member("tree", DIR), member("tree/a", content=b"A"), member("tree/sub", DIR), member("tree/sub/b", content=b"B")
)
TWO = tar(member("one", content=b"1"), member("two", content=b"2"))
EMPTY = tar()


@pytest.mark.parametrize(
    ("missing", "beneath", "makes", "name"),
    [
        ((), False, (), ""),  # a directory that exists
        ((), True, (), ""),
        (("new",), False, (), "new"),
        (("new",), True, ("new",), ""),
        (("a", "b", "new"), False, ("a", "b"), "new"),
        (("a", "b"), True, ("a", "b"), ""),
    ],
)
def test_the_rules(missing: tuple[str, ...], beneath: bool, makes: tuple[str, ...], name: str) -> None:
    assert arranged(missing, beneath) == (makes, name)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """`dir` with a file in it, `file`, and links to both and to nowhere."""
    (tmp_path / "dir" / "one").mkdir(parents=True)
    (tmp_path / "file").write_text("old")
    os.symlink("dir", tmp_path / "to-dir")
    os.symlink("file", tmp_path / "to-file")
    os.symlink("nowhere", tmp_path / "to-nowhere")
    return tmp_path


CASES = {
    "a new name": (FILE, "new", {"new"}),
    "a new name in directories that are made": (FILE, "x/y/new", {"x", "x/y", "x/y/new"}),
    "beneath a directory": (TREE, "dir", {"dir/tree", "dir/tree/a", "dir/tree/sub", "dir/tree/sub/b"}),
    "beneath a directory, with a slash": (TREE, "dir/", {"dir/tree", "dir/tree/a", "dir/tree/sub", "dir/tree/sub/b"}),
    "beneath one that is made": (FILE, "new/", {"new", "new/one"}),
    "beneath many that are made": (FILE, "x/y/", {"x", "x/y", "x/y/one"}),
    "a tree under a new name": (TREE, "t", {"t", "t/a", "t/sub", "t/sub/b"}),
    "through a link to a directory": (TREE, "to-dir", {"dir/tree", "dir/tree/a", "dir/tree/sub", "dir/tree/sub/b"}),
    "several, beneath": (TWO, "new/", {"new", "new/one", "new/two"}),
    "nothing, beneath": (EMPTY, "new/", {"new"}),
    "back and forth": (FILE, "dir/../x", {"x"}),
}


@pytest.mark.parametrize("case", CASES)
def test_where_entries_land(place: Path, case: str) -> None:
    archive, path, new = CASES[case]
    before = set(facts(place))
    unpack(archive, f"{place}/{path}")
    assert set(facts(place)) - before == new


def test_a_file_is_replaced_and_a_link_too_but_not_what_it_leads_to(place: Path) -> None:
    for name in ("file", "to-file", "to-nowhere"):
        unpack(FILE, f"{place}/{name}")
        assert not (place / name).is_symlink() and (place / name).read_text() == "new"
    (place / "file").write_text("old")
    os.remove(place / "to-file")
    os.symlink("file", place / "to-file")
    unpack(FILE, f"{place}/to-file")
    assert (place / "file").read_text() == "old"


def test_a_directory_that_exists_takes_in_what_is_new_and_stays_what_it_is(place: Path) -> None:
    (place / "dir" / "tree" / "sub").mkdir(parents=True)
    (place / "dir" / "tree" / "kept").write_text("kept")
    (place / "dir" / "tree" / "a").write_text("old")
    os.chmod(place / "dir" / "tree", 0o700)
    unpack(TREE, f"{place}/dir")
    tree = place / "dir" / "tree"
    assert {one.name for one in tree.iterdir()} == {"kept", "a", "sub"} and (tree / "a").read_text() == "A"
    assert tree.stat().st_mode & 0o777 == 0o700


REFUSED = {
    "several under one name": (TWO, "new", "BAD_ARCHIVE", "more than one entry"),
    "nothing under a name": (EMPTY, "new", "BAD_ARCHIVE", "is empty"),
    "beneath a file": (FILE, "file/", "NOT_A_DIRECTORY", "file exists and is no directory"),
    "below a file": (FILE, "file/x/y", "NOT_A_DIRECTORY", "file exists and is no directory"),
    "below a link to nowhere": (FILE, "to-nowhere/x", "NOT_A_DIRECTORY", "exists and is no directory"),
    "a file onto a directory": (FILE, "dir", "PATH_IN_THE_WAY", "dir/one is a directory there"),
    "a directory onto a file": (TREE, "file", "PATH_IN_THE_WAY", "file is no directory there"),
    "a directory onto a link": (TREE, "to-file", "PATH_IN_THE_WAY", "to-file is a symbolic link there"),
    "out of what does not exist": (FILE, "no/../x", "PATH_BAD", "leads back out"),
    "an endless name": (FILE, "n" * 300, "PATH_BAD", "longer than"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_and_changes_nothing(place: Path, case: str) -> None:
    archive, path, reason, words = REFUSED[case]
    before = facts(place)
    with pytest.raises(CopyError, match=words) as raised:
        unpack(archive, f"{place}/{path}")
    assert raised.value.reason == reason
    assert facts(place) == before


def test_one_entry_in_the_way_deep_below_and_nothing_of_the_tree_is_there(place: Path) -> None:
    (place / "dir" / "tree" / "sub" / "b").mkdir(parents=True)
    before = facts(place)
    with pytest.raises(CopyError, match="dir/tree/sub/b is a directory there, and none in what is copied"):
        unpack(TREE, f"{place}/dir")
    assert facts(place) == before


@pytest.mark.parametrize("archive", [FILE, TREE], ids=["a file", "a tree"])
def test_without_its_end_nothing_of_it_is_there(place: Path, archive: bytes) -> None:
    """Wherever it is cut: tar's own padding comes behind the end."""
    before = facts(place)
    end = len(archive.rstrip(b"\0")) // 512 * 512 + 512
    for length in (*range(0, end, 500), end, end + 512, end + 1023):
        with pytest.raises(CopyError) as raised:
            unpack(archive[:length], f"{place}/dir/new/")
        assert raised.value.reason == "ARCHIVE_CUT", length
        assert facts(place) == before
    unpack(archive[: end + 1024], f"{place}/dir/new/")
    assert facts(place) != before


def test_what_is_not_meant_in_the_end_is_not_there(place: Path) -> None:
    before = facts(place)
    with pytest.raises(CopyError) as raised:
        unpack(FILE, f"{place}/new", meant=lambda: left_aside(os.listdir(place)) == [])
    assert raised.value.reason == "CALLED_OFF" and facts(place) == before


def test_only_what_was_asked_for_is_taken(place: Path) -> None:
    before = facts(place)
    bad = tar(member(".bashrc", content=b"evil"))
    with pytest.raises(CopyError, match=r"one was asked for, and \.bashrc came"):
        unpack(bad, f"{place}/dir/", only="one")
    with pytest.raises(CopyError, match="came is no directory"):
        unpack(FILE, f"{place}/new/", only="one", inner=True)
    assert facts(place) == before
    unpack(TREE, f"{place}/new/", only="tree", inner=True)
    assert set(facts(place)) - set(before) == {"new", "new/a", "new/sub", "new/sub/b"}
