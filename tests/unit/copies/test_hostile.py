"""Archives and trees made to do harm: each is refused, and nothing outside of the destination is touched."""

import ctypes
import os
import stat
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from copies import headers, kernel
from copies.errors import CopyError
from copies.opening import Guarded
from copies.packing import Packer, contents
from copies.place import Place
from copies.staging import Powers
from tests.support.trees import facts, member, tar, unpack
from tests.support.work import looked_at

DIR, LINK, HARD = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """`inside` is the destination, `outside` what must stay as it is."""
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    return tmp_path


def pax(name: str, **notes: str) -> bytes:
    info = tarfile.TarInfo(name)
    info.pax_headers = notes
    return info.tobuf(tarfile.PAX_FORMAT)


def sparse(numbers: str, size: int, real: int) -> bytes:
    notes = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": b"s",
        b"GNU.sparse.realsize": b"%d" % real,
    }
    return headers.pax(notes) + headers.header(b"x", headers.FILE, 0o644, 0, 0, 0, size) + numbers.encode()


def wrong(at: int, value: bytes) -> bytes:
    """A header with one field replaced, its sum right again."""
    block = bytearray(headers.header(b"x", headers.FILE, 0o644, 0, 0, 0))
    block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


END = bytes(1024)
HOSTILE: dict[str, bytes] = {
    "up and out": tar(member("../outside/new", content=b"x")),
    "out through the middle": tar(member("a/../../outside/new", content=b"x")),
    "an absolute name": tar(member("/outside/new", content=b"x")),
    "through a link of its own": tar(member("l", LINK, link="../outside"), member("l/new", content=b"x")),
    "a directory through a link of its own": tar(
        member("l", LINK, link="../outside"), member("l", DIR), member("l/new", content=b"x")
    ),
    "a link through a link": tar(member("l", LINK, link="../outside"), member("l/m", LINK, link="x")),
    "a hard link to outside": tar(member("h", HARD, link="../outside/secret"), member("h", content=b"x")),
    "a hard link to an absolute name": tar(member("h", HARD, link="/etc/passwd")),
    "a hard link through a link": tar(member("l", LINK, link="../outside"), member("h", HARD, link="l/secret")),
    "into a second name of a link": tar(
        member("l", LINK, link="../outside"), member("h", HARD, link="l"), member("h/new", content=b"x")
    ),
    "a hard link to nothing": tar(member("h", HARD, link="x")),
    "a hard link to a directory": tar(member("d", DIR), member("h", HARD, link="d")),
    "a device": tar(member("dev", tarfile.BLKTYPE, devmajor=8)),
    "a character device": tar(member("dev", tarfile.CHRTYPE, devmajor=1, devminor=1)),
    "a FIFO": tar(member("fifo", tarfile.FIFOTYPE)),
    "a kind that nobody knows": tar(member("x", b"Z")),
    "a file without a name": wrong(0, b"\0") + END,
    "a link without a target": tar(member("l", LINK)),
    "a pax name that leads out": pax("x", path="../outside/new") + END,
    "a pax target of nothing": headers.pax({b"linkpath": b""}) + headers.header(b"l", b"2", 0o777, 0, 0, 0) + END,
    "a pax name with a zero": headers.pax({b"path": b"a\0b"}) + headers.header(b"x", b"0", 0o644, 0, 0, 0) + END,
    "a pax size that is none": headers.pax({b"size": b"-1"}) + headers.header(b"x", b"0", 0o644, 0, 0, 0) + END,
    "a pax size beyond all": headers.pax({b"size": b"9" * 25}) + headers.header(b"x", b"0", 0o644, 0, 0, 0) + END,
    "a pax owner of nobody": headers.pax({b"uid": b"4294967295"}) + headers.header(b"x", b"0", 0, 0, 0, 0) + END,
    "a pax record that lies": headers.header(b"p", b"x", 0, 0, 0, 0, 9) + b"99 path=a".ljust(512, b"\0") + END,
    "a pax header of gigabytes": headers.header(b"p", b"x", 0, 0, 0, 0, 1 << 32) + END,
    "pax headers without end": b"".join(headers.pax({b"k%d" % one: bytes(600_000)}) for one in range(2))
    + tar(member("x", content=b"x")),
    "a long name of gigabytes": headers.header(b"p", b"L", 0, 0, 0, 0, 1 << 32) + END,
    "a size in words": wrong(124, b"0x1_0\0") + END,
    "a negative size": wrong(124, b"\xff" * 12) + END,
    "a size of all the world": wrong(124, b"\x80" + b"\x7f" * 11) + END,
    "a damaged header": headers.header(b"x", b"0", 0, 0, 0, 0).replace(b"ustar", b"mustr") + END,
    "no archive": b"GET / HTTP/1.1\r\n\r\n".ljust(1024, b"x"),
    "a marker in two minds": bytes(512) + headers.header(b"x", b"0", 0, 0, 0, 0) + END,
    "deeper than all": tar(member("/".join("d" * 300), DIR)),
    "a name longer than all": tar(member("n" * 300, content=b"x")),
    "a file and a directory": tar(member("x", DIR), member("x/y"), member("x", content=b"x")),
    "a directory below a file": tar(member("x", content=b"x"), member("x/y", content=b"x")),
    "a map backwards": sparse("2\n512\n512\n0\n512\n".ljust(512, "\0"), 1536, 4096) + bytes(1024) + END,
    "a map beyond its file": sparse("1\n4096\n512\n".ljust(512, "\0"), 1024, 4096) + bytes(512) + END,
    "a map of more than there is": sparse("1\n0\n2048\n".ljust(512, "\0"), 1024, 4096) + bytes(512) + END,
    "a map without end": sparse("9".ljust(512, "9"), 512, 4096) + END,
    "a map of a thousand million parts": sparse("1000000000\n".ljust(512, "\0"), 512, 4096) + END,
    "an old map": headers.pax({b"GNU.sparse.map": b"0,1"}) + headers.header(b"x", b"0", 0, 0, 0, 0) + END,
    "GNU's own sparse kind": headers.header(b"x", b"S", 0, 0, 0, 0) + END,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_it_is_refused_and_nothing_is_anywhere(world: Path, case: str) -> None:
    before = facts(world)
    with pytest.raises(CopyError) as raised:
        unpack(HOSTILE[case], f"{world}/inside/")
    assert raised.value.reason in ("BAD_ARCHIVE", "ARCHIVE_CUT"), str(raised.value)
    assert len(str(raised.value)) < 400
    assert facts(world) == before


def test_a_long_map_and_long_headers_are_looked_at_once(world: Path) -> None:
    """The shortest records, and as many of them as there is room for."""
    parts = 1 << 16
    text = "".join((f"{parts}\n", *("0\n0\n" for _ in range(parts))))
    text += "\0" * (-len(text) % 512)
    long_map = sparse(text, len(text), 4096) + END
    told_at_length = headers.header(b"p", b"x", 0, 0, 0, 0, 5 << 16) + b"5 a=\n" * (1 << 16) + tar(member("x"))
    for archive in (long_map, told_at_length):
        assert looked_at(lambda archive=archive: unpack(archive, f"{world}/inside/")) < 20 * len(archive)  # type: ignore[misc]


def test_a_link_that_leads_out_is_a_link_and_nothing_is_written_through_it(world: Path) -> None:
    """What it leads to is for whoever follows it, in the place where it is."""
    os.symlink("../outside", world / "inside" / "there")
    archive = tar(member("l", LINK, link="/etc/passwd"), member("there", DIR), member("there/new", content=b"x"))
    with pytest.raises(CopyError, match="there is a symbolic link there"):
        unpack(archive, f"{world}/inside/")
    assert os.listdir(world / "outside") == ["secret"]
    unpack(archive, f"{world}/inside/new/")
    assert os.readlink(world / "inside/new/l") == "/etc/passwd"


def test_a_second_name_of_a_link_is_that_link_and_nothing_of_where_it_leads(world: Path) -> None:
    archive = tar(
        member("l", LINK, link="../outside/secret"), member("h", HARD, link="l"), member("m", HARD, link="h"),
        member("m", content=b"mine"),
    )  # fmt: skip
    unpack(archive, f"{world}/inside/")
    there = world / "inside"
    assert os.readlink(there / "h") == "../outside/secret"
    assert (there / "h").lstat().st_ino == (there / "l").lstat().st_ino
    assert (there / "m").read_text() == "mine" and not (there / "m").is_symlink()


def test_a_later_entry_of_the_same_name_counts_and_follows_no_link(world: Path) -> None:
    archive = tar(member("x", LINK, link="../../outside/secret"), member("x", content=b"mine"))
    unpack(archive, f"{world}/inside/")
    assert (world / "outside" / "secret").read_text() == "secret"
    assert (world / "inside" / "x").read_text() == "mine" and not (world / "inside" / "x").is_symlink()


def test_nothing_that_comes_out_of_a_workload_runs_as_somebody_else(world: Path) -> None:
    archive = tar(member("su", content=b"x", mode=0o6755), member("d", DIR, mode=0o2775))
    unpack(archive, f"{world}/inside/", powers=Powers(owners=False, set_id=False))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (world / "inside").iterdir()}
    assert modes == {"su": 0o755, "d": 0o775}


@pytest.fixture
def root(world: Path) -> Iterator[int]:
    fd = os.open(world / "inside", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_no_path_leads_out_of_a_root(world: Path, root: int) -> None:
    inside = world / "inside"
    (inside / "etc").mkdir()
    for number, target in enumerate(("/etc", "../../../etc", "etc/../../etc", str(world / "outside"))):
        os.symlink(target, inside / f"l{number}")
    for path in ("/etc", "../../etc", "l0", "l1", "l2", "/l1/../l2"):
        fd = kernel.open_below(root, path, os.O_PATH)
        assert os.path.samestat(os.fstat(fd), os.stat(inside / "etc")), path
        os.close(fd)
    with pytest.raises(FileNotFoundError):
        kernel.open_below(root, "l3", os.O_PATH)


def test_what_the_kernel_links_to_is_not_followed() -> None:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY)
    for path in ("proc/self/root", "proc/self/cwd", f"proc/{os.getpid()}/fd/{root}"):
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            kernel.open_below(root, path, os.O_PATH | os.O_DIRECTORY)
    for path in ("proc", "/proc/self", "proc/version"):
        with pytest.raises(CopyError, match="the kernel makes it up"):
            Place(root, "web", "/x").open(path, os.O_PATH)
    os.close(root)


def test_what_is_absent_while_it_does_not_run_is_refused_however_it_is_written(root: int) -> None:
    for path in ("/data", "data/x", "//data//x", "/./data/.", "/data/"):
        with pytest.raises(CopyError, match="only while it runs") as raised:
            Place(root, "web", path, ("/data", "/tmp/x"))
        assert raised.value.reason == "NOT_RUNNING"
    assert Place(root, "web", "database", ("/data",)).path == "/database"


def test_a_tree_that_is_swapped_meanwhile_gives_nothing_away(world: Path, root: int) -> None:
    """A directory is a link to outside at every other moment."""
    inside = world / "inside"
    (inside / "a").mkdir()
    (inside / "a" / "file").write_text("inside")
    os.symlink("../outside", inside / "b")
    stopped = threading.Event()

    def swap() -> None:
        while not stopped.is_set():
            exchange(inside / "a", inside / "b")

    swapping = threading.Thread(target=swap)
    swapping.start()
    descriptors = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY)
    try:
        for _ in range(300):
            packer = Packer(Guarded(descriptors), lambda directory: False)
            archive = b"".join(contents(packer.pack(root, ".", "inside", "inside"), 1 << 20))
            assert b"secret" not in archive
            with_race(lambda: unpack(tar(member("a", DIR), member("a/new", content=b"x")), f"{inside}/"))
    finally:
        stopped.set()
        swapping.join()
        os.close(descriptors)
    assert os.listdir(world / "outside") == ["secret"]


def exchange(one: Path, other: Path) -> None:
    """Each has the other's name, at once."""
    assert ctypes.CDLL(None).renameat2(-100, bytes(one), -100, bytes(other), 2) == 0


def with_race(step: Any) -> None:
    try:
        step()
    except CopyError:
        pass  # it was a link just then
