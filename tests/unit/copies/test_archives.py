"""Archives as they are made and read: every other tar reads ours, and ours reads theirs."""

import errno
import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from copies import headers
from copies.errors import CopyError
from copies.frames import CHUNK_INTO, CHUNK_OUT, content_of, framed
from copies.opening import Guarded, Opening, Plain
from copies.packing import Owner, Packer, Region, contents
from copies.reading import Archive
from copies.sources import Pieces, Pipe
from tests.support.trees import cut, facts, member, packed, tar, unpack

LONG = "n" * 200


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Everything that is awkward."""
    root = tmp_path / "tree"
    (root / "empty").mkdir(parents=True)
    deep = root.joinpath(*(["d" * 90] * 4))
    deep.mkdir(parents=True)
    (deep / LONG).write_bytes(b"deep")
    (root / "ümlaut ☃").write_text("text")
    (root / os.fsdecode(b"latin-\xe4")).write_bytes(b"bytes")
    (root / "new\nline").write_bytes(b"")
    (root / "block").write_bytes(bytes(range(256)) * 2)
    (root / "large").write_bytes(os.urandom(300_001))
    os.symlink("/etc/passwd", root / "link")
    os.symlink("x/" * 120, root / "long link")
    os.chmod(root / "block", 0o4751)
    os.chmod(root / "empty", 0o1777)
    with (root / "sparse").open("wb") as file:
        file.truncate(40 << 20)
        for at in (1 << 20, 20 << 20):
            file.seek(at)
            file.write(b"there" * 2000)
    with (root / "hole").open("wb") as file:
        file.truncate(8 << 20)
    os.utime(root / "block", (1, 1))
    os.utime(root / "large", (-5, -5))
    os.utime(root, (1_000_000_000, 1_000_000_000))
    return root


def openings() -> list[Opening]:
    return [Plain(), Guarded(os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY))]


@pytest.mark.parametrize("opening", openings(), ids=["plain", "guarded"])
@pytest.mark.parametrize("size", [7, 512, 1 << 20])
def test_a_tree_arrives_as_it_was(tree: Path, tmp_path: Path, opening: Opening, size: int) -> None:
    archive = packed(tree, opening=opening)
    assert len(archive) < 1 << 20, "holes are not sent"
    unpack(archive, str(tmp_path / "there"), size=size)
    assert facts(tmp_path / "there", times=True) == facts(tree, times=True)
    assert (tmp_path / "there").stat().st_mtime == 1_000_000_000
    assert (tmp_path / "there" / "sparse").stat().st_blocks < 200
    assert (tmp_path / "there" / "hole").stat().st_blocks == 0


def test_other_tars_read_it(tree: Path, tmp_path: Path) -> None:
    archive = packed(tree, "called")
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        names = found.getnames()
        assert names[0] == "called" and all(name.startswith("called/") for name in names[1:])
        assert {one.type for one in found.getmembers()} <= {tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE}
        content = found.extractfile("called/sparse")
        assert content is not None and content.read() == (tree / "sparse").read_bytes()
    subprocess.run(["tar", "xf", "-", "-C", tmp_path], input=archive, check=True)
    assert facts(tmp_path / "called") == facts(tree)


MORE_TO_SAY: dict[str, tuple[str, int, int]] = {
    "a long name": (LONG, 0, 1),
    "a name that is too long once it is marked as sparse": ("s" * 95, 0, 1),
    "an owner of a large number": ("sparse", 3_000_000, 1),
    "before 1970": ("sparse", 0, -5),
    "after 2242": ("sparse", 0, 1 << 33),
    "all of that": (LONG, 3_000_000, -5),
}
"""Of a file, by what does not fit its header: name, owner, time."""


@pytest.mark.parametrize(("name", "uid", "moment"), MORE_TO_SAY.values(), ids=MORE_TO_SAY)
def test_other_tars_read_a_sparse_file_of_which_more_is_to_be_said(
    tmp_path: Path, name: str, uid: int, moment: int
) -> None:
    root = tmp_path / "tree" / ("d" * 140)
    root.mkdir(parents=True)
    with (root / name).open("wb") as file:
        file.seek(1 << 19)
        file.write(b"there")
        file.truncate(1 << 20)
    os.utime(root / name, (moment, moment))
    archive = packed(tmp_path / "tree", owner=Owner(uid, uid))
    assert len(archive) < 1 << 17, "holes are not sent"
    listed = subprocess.run(["tar", "tv", "--numeric-owner"], input=archive, check=True, capture_output=True).stdout
    assert [line.split()[1:3] for line in listed.splitlines()][-1] == [b"%d/%d" % (uid, uid), b"%d" % (1 << 20)]
    (tmp_path / "there").mkdir()
    subprocess.run(["tar", "x", "--no-same-owner", "-C", tmp_path / "there"], input=archive, check=True)
    assert facts(tmp_path / "there" / "tree") == facts(tmp_path / "tree")
    with tarfile.open(fileobj=io.BytesIO(archive)) as found:
        last = found.getmembers()[-1]
        content = found.extractfile(last)
        assert content is not None and content.read() == (root / name).read_bytes()
        assert (os.path.basename(last.name), last.uid, last.mtime) == (name, uid, moment)
    if moment < 1 << 33:  # no copy of ours takes a time that is so far off
        unpack(archive, str(tmp_path / "ours"))
        assert facts(tmp_path / "ours", times=True) == facts(tmp_path / "tree", times=True)


def test_other_tars_read_a_sparse_file_of_which_more_is_there_than_a_header_can_say(tmp_path: Path) -> None:
    """More than 8 GiB, of which nobody writes or reads any: the last of too many parts is a hole for its most part."""
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree" / "large").open("wb") as file:
        for part in range(5_000):
            file.seek(part << 14)
            file.write(b"x")
        file.truncate(9 << 30)
    parent = os.open(tmp_path, os.O_RDONLY)
    with (tmp_path / "archive").open("wb") as out:
        for piece in Packer(Plain(), lambda directory: False).pack(parent, "tree", "tree", "tree"):
            if isinstance(piece, Region):
                out.seek(piece.count, os.SEEK_CUR)
                piece.got = piece.count
            else:
                out.write(piece)
        assert out.tell() > 8 << 30
    os.close(parent)
    found = subprocess.run(["tar", "tvf", tmp_path / "archive"], check=True, capture_output=True, text=True)
    assert [line.split()[2::3] for line in found.stdout.splitlines()] == [["0", "tree"], [str(9 << 30), "tree/large"]]
    assert found.stderr == ""
    with tarfile.open(tmp_path / "archive") as read:
        assert [(one.name, one.size) for one in read] == [("tree", 0), ("tree/large", 9 << 30)]


@pytest.mark.parametrize("options", [["--format=ustar"], ["--format=gnu"], ["--format=pax"], ["--format=pax", "-S"]])
def test_what_other_tars_write_is_read(tree: Path, tmp_path: Path, options: list[str]) -> None:
    if "--format=ustar" in options:  # which has no room for these
        for name in ("long link", "large", "d" * 90):
            subprocess.run(["rm", "-rf", tree / name], check=True)
    os.link(tree / "block", tree / "second name")
    os.symlink("block", tree / "a link")
    os.link(tree / "a link", tree / "second link", follow_symlinks=False)
    made = subprocess.run(["tar", "c", *options, "-C", tree.parent, "tree"], check=True, capture_output=True).stdout
    assert unpack(made, str(tmp_path / "there/")) > 5
    assert facts(tmp_path / "there") == facts(tree)
    for one, other in (("block", "second name"), ("a link", "second link")):
        assert (tmp_path / "there" / one).lstat().st_ino == (tmp_path / "there" / other).lstat().st_ino


def test_a_hard_link_goes_as_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_text("x")
    os.link(tmp_path / "a" / "one", tmp_path / "a" / "two")
    with tarfile.open(fileobj=io.BytesIO(packed(tmp_path / "a"))) as found:
        assert [one.isreg() for one in found.getmembers()] == [False, True, True]


def test_what_is_no_file_is_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    os.mkfifo(tmp_path / "a" / "fifo")
    parent = os.open(tmp_path, os.O_RDONLY)
    for opening in openings():
        packer = Packer(opening, lambda directory: False)
        assert b"fifo" not in b"".join(contents(packer.pack(parent, "a", "a", "a"), 1 << 20))
        assert (packer.entries, packer.left_out) == (1, 1)
        with pytest.raises(CopyError, match="a device, a socket or a FIFO"):
            next(Packer(opening, lambda directory: False).pack(parent, "a/fifo", "fifo", "the fifo"))
    os.close(parent)


def test_everything_belongs_to_whom_the_operator_says(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    parent = os.open(tmp_path, os.O_RDONLY)
    pieces = Packer(Plain(), lambda directory: False, Owner(12, 3_000_000)).pack(parent, "a", "a", "a")
    with tarfile.open(fileobj=io.BytesIO(b"".join(contents(pieces, 99)))) as found:
        assert [(one.uid, one.gid) for one in found.getmembers()] == [(12, 3_000_000)]
    os.close(parent)


@pytest.mark.parametrize("size", [10_000, 200_000], ids=["small", "large"])
def test_a_file_that_shrinks_keeps_the_archive_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * size)
    parent = os.open(tmp_path, os.O_RDONLY)

    class Shrinks(Plain):
        def open(self, seen):  # type: ignore[no-untyped-def]
            fd = super().open(seen)
            os.truncate(path, 100)
            return fd

    packer = Packer(Shrinks(), lambda directory: False)
    with tarfile.open(fileobj=io.BytesIO(b"".join(contents(packer.pack(parent, "log", "log", "log"), 4096)))) as found:
        content = found.extractfile("log")
        assert content is not None and content.read() == b"x" * 100 + bytes(size - 100)
    assert packer.changed == 1
    os.close(parent)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_what_cannot_be_read_in_the_middle_leaves_an_archive_without_its_end(tmp_path: Path, number: int) -> None:
    """That is how who never looks at the end of the call knows that it was cut."""
    (tmp_path / "a").mkdir()
    for name in ("one", "other"):
        (tmp_path / "a" / name).write_bytes(bytes(1 << 17))

    class Shut(Plain):
        opened = 0

        def open(self, seen):  # type: ignore[no-untyped-def]
            self.opened += stat.S_ISREG(seen.facts.st_mode)
            if self.opened == 2:
                raise OSError(number, "shut")
            return super().open(seen)

    sent = []
    parent = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(CopyError, match=r"^a/o"):
        for piece in contents(Packer(Shut(), lambda directory: False).pack(parent, "a", "a", "a"), 1 << 16):
            sent.append(piece)
    os.close(parent)
    archive = b"".join(sent)
    assert len(archive) > 1 << 17, "it was under way"
    with pytest.raises(CopyError) as cut_off:
        unpack(archive, f"{tmp_path}/there/")
    assert cut_off.value.reason == "ARCHIVE_CUT" and not (tmp_path / "there").exists()


def test_a_large_file_is_handed_on_as_a_part_of_itself(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(1 << 17))
    parent = os.open(tmp_path, os.O_RDONLY)
    pieces = Packer(Plain(), lambda directory: False).pack(parent, "a", "a", "a")
    assert isinstance(next(pieces), bytes)
    region = next(pieces)
    assert isinstance(region, Region) and region.count == 1 << 17
    os.close(parent)


def test_a_pipe_gives_large_contents_to_files_at_once(tmp_path: Path) -> None:
    """However the pieces fall."""
    archive = tar(*(member(f"f{size}", content=os.urandom(size)) for size in (0, 1, 512, 65_535, 65_536, 400_000)))
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            for piece in cut(archive, 70_001):
                os.write(writing, piece)
        finally:
            os._exit(0)
    os.close(writing)
    source = Pipe(reading)
    with tarfile.open(fileobj=io.BytesIO(archive)) as plain:
        wanted = {one.name: plain.extractfile(one).read() for one in plain.getmembers()}  # type: ignore[union-attr]
    found = {}
    taken = Archive(source)
    for entry in taken:
        with (tmp_path / entry.path).open("wb") as file:
            taken.pour(file.fileno(), entry.size)
        found[entry.path] = (tmp_path / entry.path).read_bytes()
    source.drain()
    assert found == wanted and source.taken == len(archive)
    os.wait()
    os.close(reading)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=200)


@given(
    NAMES.filter(lambda name: not name.endswith("/")),
    st.integers(0, (1 << 32) - 2),
    st.integers(0, 1 << 40),
    st.integers(-(1 << 32), 1 << 34),
    st.text("ab/", max_size=300),
)
def test_any_header_says_what_it_was_made_of(name: str, uid: int, size: int, mtime: int, link: str) -> None:
    made = headers.header(name.encode(), headers.FILE, 0o640, uid, uid, mtime, size, link.encode())
    with tarfile.open(fileobj=io.BytesIO(made), ignore_zeros=True) as found:
        info = found.next()
    assert info is not None
    assert (info.name, info.mode, info.uid, info.gid, info.mtime, info.linkname) == (
        name, 0o640, uid, uid, mtime, link,
    )  # fmt: skip
    assert headers.parse(made[-512:]).kind == headers.FILE


@given(
    NAMES,
    st.integers(0, (1 << 32) - 2),
    st.integers(0, 1 << 40),
    st.integers(-(1 << 32), 1 << 34),
    st.dictionaries(st.sampled_from([b"GNU.sparse.name", b"GNU.sparse.realsize"]), st.binary(max_size=600)),
)
def test_all_that_is_said_of_a_member_stands_in_one_header(
    name: str, uid: int, size: int, mtime: int, more: dict[bytes, bytes]
) -> None:
    """Go's reader and GNU's tar forget what another one said before it."""
    made = headers.header(name.encode(), headers.FILE, 0o640, uid, uid, mtime, size, more=more)
    first, told = headers.parse(made[:512]), len(made) - 512
    if not told:
        assert first.kind == headers.FILE and not more
        return
    assert (first.kind, first.size + len(headers.padding(first.size))) == (headers.PAX, told - 512)
    notes = headers.notes_of(made[512 : 512 + first.size])
    assert {key: notes[key] for key in more} == more
    assert int(notes.get(b"size", headers.parse(made[-512:]).size)) == size
    assert int(notes.get(b"uid", headers.parse(made[-512:]).uid)) == uid


@given(st.binary(max_size=300), st.sampled_from([CHUNK_INTO, CHUNK_OUT]))
def test_messages_made_by_hand_are_protobufs(content: bytes, tag: int) -> None:
    from capsule.v1 import workload_pb2 as pb

    message = framed(tag, content)
    if tag == CHUNK_INTO:
        assert message == pb.WorkloadCopyToRequest(chunk=content).SerializeToString()
    elif content:
        assert message == pb.WorkloadCopyFromChunk(data=content).SerializeToString()
    found = content_of(tag, message)
    assert found is not None and bytes(found) == content


@given(st.binary(max_size=40))
def test_of_any_bytes_only_such_messages_are_read_by_hand(raw: bytes) -> None:
    from google.protobuf.message import DecodeError

    from capsule.v1 import workload_pb2 as pb

    found = content_of(CHUNK_INTO, raw)
    if found is not None:
        try:
            assert pb.WorkloadCopyToRequest.FromString(raw).chunk == bytes(found)
        except DecodeError as error:
            raise AssertionError("protobuf reads it otherwise") from error


def test_pieces_end_where_they_end() -> None:
    source = Pieces(iter([b"ab", b"", b"c"]))
    with pytest.raises(CopyError) as raised:
        source.exactly(4)
    assert raised.value.reason == "ARCHIVE_CUT"
