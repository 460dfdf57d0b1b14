"""The contract of the payload disks, on the twin and on containerd with erofs; and that a disk is the image, whole."""

import asyncio
import io
import os
import select
import subprocess
import sys
import tarfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from capsuled.processes import outcome
from containerdapi import snapshots_pb2
from effects import held
from effects.containerd.connection import SNAPSHOTTER
from effects.errors import ImageMissing, NoSpace, PayloadFailed
from effects.payloads import tree
from effects.payloads.file_disks import FileDisks
from effects.payloads.protocol import PayloadDisks
from effects.payloads.twin import Racks, TwinDisks
from tests.contract.volume_subjects import small_disk
from tests.support.images import Sample, archive_of, chunks, oci_archive, twin_image
from tests.support.mounted import mounted
from tests.support.runtime import Runtime, runtime
from tests.support.until import until, wait_until

ONE, OTHER = Sample(), Sample(name="docker.io/library/other:1", seed=2)
DIGEST, SECOND = (twin_image(sample).platform_digest for sample in (ONE, OTHER))


class Subject(NamedTuple):
    """The disks of two images; how often one was made; how a virtual machine has one open until it lets go; damage."""

    disks: PayloadDisks
    makings: Callable[[], int]
    hold: Callable[[str], Callable[[], None]]
    truncate: Callable[[str], None]


Suite = Callable[[Subject], Awaitable[None]]


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def twin() -> AsyncIterator[Subject]:
    racks = Racks({DIGEST, SECOND})
    open_ones: list[str] = []
    racks.in_use = open_ones.__contains__

    def hold(digest: str) -> Callable[[], None]:
        open_ones.append(digest)
        return lambda: open_ones.remove(digest)

    def truncate(digest: str) -> None:
        racks.disks[digest].whole = False

    yield Subject(TwinDisks(racks, _no_step), lambda: sum(one.makings for one in racks.disks.values()), hold, truncate)


class Made(NamedTuple):
    """The real ones, with what a test needs to look behind them."""

    runtime: Runtime
    disks: FileDisks
    directory: Path
    commands: list[tuple[str, ...]]


def made_on(on: Runtime, directory: Path) -> Made:
    commands: list[tuple[str, ...]] = []

    async def command(*argv: str) -> tuple[int, str]:
        commands.append(argv)
        return await outcome(*argv)

    disks = FileDisks(on.connection, on.images.unpacker, on.images.leases, command, directory, on.run / "payload")
    return Made(on, disks, directory, commands)


@asynccontextmanager
async def real() -> AsyncIterator[Subject]:
    async with runtime() as on:
        await on.images.import_archive(chunks(oci_archive(ONE, OTHER)))
        made = made_on(on, on.directory / "payloads")

        def path(digest: str) -> Path:
            return made.directory / f"{digest.removeprefix('sha256:')}.img"

        def hold(digest: str) -> Callable[[], None]:
            fd = held.opened(path(digest), shared=True)
            return lambda: os.close(fd)

        def truncate(digest: str) -> None:
            os.truncate(path(digest), path(digest).stat().st_size - 4096)

        yield Subject(made.disks, lambda: len(made.commands), hold, truncate)


BOTH = pytest.mark.parametrize("subject", [twin, pytest.param(real, marks=pytest.mark.real)], ids=["twin", "files"])


@BOTH
def test_a_disk_is_made_once_kept_while_it_is_used_and_made_anew_when_it_is_damaged(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        disks = on.disks
        await disks.sweep()
        assert await disks.observe() == {} and await disks.collect(tuple) == 0
        with pytest.raises(ImageMissing):
            await disks.ensure(f"sha256:{'0' * 64}")
        impatient = asyncio.ensure_future(disks.ensure(DIGEST))
        await asyncio.sleep(0)
        impatient.cancel()
        paths = await asyncio.gather(*(disks.ensure(DIGEST) for _ in range(3)))
        assert len(set(paths)) == 1 and on.makings() == 1, "of several who want the same one, one makes it"
        assert await disks.ensure(DIGEST) == paths[0] != await disks.ensure(SECOND)
        assert on.makings() == 2 and set(await disks.observe()) == {DIGEST, SECOND}
        on.truncate(DIGEST)
        assert await disks.ensure(DIGEST) == paths[0] and on.makings() == 3
        release = on.hold(SECOND)
        taken = await disks.observe()
        assert await disks.collect(lambda: {SECOND}) == taken[DIGEST] > 0
        assert await disks.collect(tuple) == 0 and set(await disks.observe()) == {SECOND}, (
            "a virtual machine has it open"
        )
        release()
        assert await disks.collect(tuple) == taken[SECOND] and await disks.observe() == {}
        await disks.close()

    async def inside() -> None:
        async with subject() as made:
            await suite(made)

    asyncio.run(inside())


# --- a disk is the image ----------------------------------------------------------------------------------------


def _tar(*members: tuple[str, dict[str, Any]]) -> bytes:
    """A layer: names and what is special of them. `content` is a file's."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, special in members:
            member = tarfile.TarInfo(name)
            content = special.pop("content", b"")
            member.mode, member.size = 0o644, len(content)
            for key, value in special.items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _directory(name: str, mode: int = 0o755) -> tuple[str, dict[str, Any]]:
    return name, {"type": tarfile.DIRTYPE, "mode": mode}


DEEP = "/".join("d" * 200 for _ in range(12))
CAPABILITY = bytes.fromhex("0100000202000000000000000000000000000000").decode("latin1")  # cap_dac_override=ep


def _layers(long: str) -> tuple[bytes, ...]:
    return (
    _tar(
        _directory("a"), _directory("b", 0o1777), _directory("empty", 0o700), _directory("turns-file"),
        ("a/gone", {"content": b"gone"}),
        ("a/stays", {"content": b"stays", "mtime": 1234567890.25}),
        ("a/set-id", {"content": b"s", "mode": 0o6755, "uid": 70_000, "gid": 100_000}),
        ("a/sparse", {"content": b"x" + bytes(3 << 20) + b"y"}),
        ("a/first", {"content": b"linked"}),
        ("a/second", {"type": tarfile.LNKTYPE, "linkname": "a/first"}),
        ("a/third", {"type": tarfile.LNKTYPE, "linkname": "a/first"}),
        ("a/link", {"type": tarfile.SYMTYPE, "linkname": "../" + "t" * 1000}),
        ("a/pipe", {"type": tarfile.FIFOTYPE}),
        ("a/null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3, "mode": 0o666}),
        ("a/block", {"type": tarfile.BLKTYPE, "devmajor": 250, "devminor": 300}),
        ("a/" + long, {"content": b"long"}),
        ("a/" + DEEP + "/leaf", {"content": b"deep"}),
        ("a/marked", {"content": b"m", "pax_headers": {
            "SCHILY.xattr.user.colour": "green", "SCHILY.xattr.security.capability": CAPABILITY}}),
        ("b/hidden", {"content": b"hidden"}),
        ("turns-file/inside", {"content": b"i"}),
        ("turns-directory", {"content": b"f"}),
        ("ünïcode \n", {"content": b"odd"}),
    ),
    _tar(
        ("a/.wh.gone", {}),
        ("a/first", {"content": b"changed"}),
        ("b/.wh..wh..opq", {}), ("b/new", {"content": b"new"}),
        (".wh.turns-file", {}), ("turns-file", {"content": b"file"}),
        (".wh.turns-directory", {}), _directory("turns-directory"), ("turns-directory/inside", {"content": b"i"}),
    ),
    _tar(
        ("c-upper", {"content": b"u"}), ("c-twin", {"type": tarfile.LNKTYPE, "linkname": "c-upper"}),
        ("a/stays", {"content": b"again", "mtime": 5.5}),
    ),
)  # fmt: skip


def _facts(top: Path, kind: str) -> dict[str, tuple[Any, ...]]:
    """Everything that a program can tell of the files below; a squashfs has whole seconds."""
    fraction = 1_000_000_000 if kind == "squashfs" else 1
    found: dict[str, tuple[Any, ...]] = {}
    firsts: dict[int, str] = {}
    for directory, directories, files in os.walk(top):
        for name in sorted((*directories, *files, *(["."] if directory == str(top) else []))):
            path = os.path.join(directory, name)
            stat = os.lstat(path)
            known = os.path.relpath(path, top)
            same = firsts.setdefault(stat.st_ino, known) if stat.st_nlink > 1 and name in files else known
            content: object = ""
            if os.path.islink(path):
                content = os.readlink(path)
            elif os.path.isfile(path):
                content = Path(path).read_bytes()
            marks = {
                one: os.getxattr(path, one, follow_symlinks=False) for one in os.listxattr(path, follow_symlinks=False)
            }
            size = stat.st_size if content else 0
            found[known] = (
                stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev, size, stat.st_mtime_ns // fraction, same, content, marks,
            )  # fmt: skip
    return found


class Mount(NamedTuple):
    """How containerd says that something is mounted."""

    type: str
    source: str
    options: list[str]


@pytest.mark.real
@pytest.mark.parametrize(("long", "kind"), [("n" * 254, "erofs"), ("n" * 255, "squashfs")], ids=["erofs", "squashfs"])
def test_a_disk_has_what_a_container_of_the_image_sees(long: str, kind: str) -> None:
    async def inside() -> None:
        async with runtime() as on:
            archive, digest = archive_of("docker.io/library/nasty:1", *_layers(long))
            await on.images.import_archive(chunks(archive))
            made = made_on(on, on.directory / "payloads")
            disk = await made.disks.ensure(digest)
            root = await on.images.unpacker.rootfs(digest)
            asked = snapshots_pb2.ViewSnapshotRequest(snapshotter=SNAPSHOTTER, key="look", parent=root.chain_id)
            (view,) = (await on.connection.snapshots.View(asked, metadata=on.connection.metadata)).mounts
            with (
                mounted("-t", view.type, "-o", ",".join(view.options), view.source) as seen,
                mounted("-t", kind, "-o", "loop,ro", disk) as ours,
            ):
                expected, found = _facts(seen, kind), _facts(ours, kind)
            assert {name: facts for name, facts in found.items() if facts != expected.get(name)} == {}
            assert found.keys() == expected.keys()
            names = set(found)
            assert {"a/" + long, f"a/{DEEP}/leaf", "ünïcode \n", "b/new", "turns-directory/inside"} <= names
            assert not {"a/gone", "b/hidden", "turns-file/inside"} & names and not [
                one for one in names if ".wh." in one
            ]
            content = {name: facts[7] for name, facts in found.items()}
            assert content["a/first"] == b"changed" and content["a/second"] == content["a/third"] == b"linked"
            assert found["a/second"][6] == found["a/third"][6] and found["c-upper"][6] == found["c-twin"][6]
            assert found["a/marked"][8]["user.colour"] == b"green" and "security.capability" in found["a/marked"][8]
            assert found["a/null"][3] == os.makedev(1, 3) and found["a/block"][3] == os.makedev(250, 300)

    asyncio.run(inside())


@pytest.mark.real
def test_an_image_of_more_layers_than_a_page_has_room_for_their_paths_is_read(tmp_path: Path) -> None:
    layers = [tmp_path / ("long" * 20) / str(number) / "fs" for number in range(120)]
    for number, layer in enumerate(layers):
        layer.mkdir(parents=True)
        (layer / str(number)).write_text("here")
        (layer / "top").write_text(str(number))
    view = Mount("overlay", "overlay", ["index=off", "lowerdir=" + ":".join(map(str, layers))])
    place = tmp_path / "place"
    place.mkdir()
    for mounts, expected in (([view], 121), ([Mount("bind", str(layers[0]), ["ro", "rbind"])], 2)):
        script = f"ls {tree.place(str(place))} | wc -l; cat {tree.place(str(place))}/top"
        code, said = asyncio.run(outcome(*tree.command(mounts, str(place), "sh", "-c", script)))
        assert (code, said.split()) == (0, [str(expected), "0"]), said
    assert str(place) not in Path("/proc/self/mountinfo").read_text(), "nothing is mounted on the machine"


@pytest.mark.real
def test_a_disk_that_is_wanted_again_while_it_goes_is_made_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside() -> None:
        async with runtime() as on:
            await on.images.import_archive(chunks(oci_archive(ONE)))
            made = made_on(on, on.directory / "payloads")
            path = await made.disks.ensure(DIGEST)
            goes_on, really = threading.Event(), FileDisks._remove

            def slow(disks: FileDisks, gone: list[tuple[str, Path]]) -> int:
                assert goes_on.wait(30)
                return really(disks, gone)

            monkeypatch.setattr(FileDisks, "_remove", slow)
            going = asyncio.ensure_future(made.disks.collect(tuple))
            await until(lambda: not os.path.exists(path))
            begun, may_end = asyncio.Event(), asyncio.Event()

            async def held_up(*argv: str) -> tuple[int, str]:
                said = await outcome(*argv)
                begun.set()
                await may_end.wait()
                return said

            made.disks._command = held_up
            asking = asyncio.ensure_future(made.disks.ensure(DIGEST))
            await begun.wait()
            goes_on.set()
            assert await going > 0
            may_end.set()
            assert await asking == path and os.listdir(made.directory) == [f"{DIGEST[7:]}.img"]
            # As a life leaves it that was killed while it went.
            (made.directory / f".{DIGEST[7:]}.img.leaving").write_bytes(b"gone")
            assert await made.disks.observe() != {}
            await made.disks.sweep()
            assert os.listdir(made.directory) == [f"{DIGEST[7:]}.img"]

    asyncio.run(inside())


# --- what goes wrong --------------------------------------------------------------------------------------------


@pytest.mark.real
def test_what_was_cut_short_leaves_nothing_and_is_swept(tmp_path: Path) -> None:
    async def inside() -> None:
        async with runtime() as on:
            await on.images.import_archive(chunks(oci_archive(ONE)))
            made = made_on(on, on.directory / "payloads")
            connection, metadata = on.connection, on.connection.metadata

            async def views() -> list[str]:
                pages = connection.snapshots.List(
                    snapshots_pb2.ListSnapshotsRequest(snapshotter=SNAPSHOTTER), metadata=metadata
                )
                return [one.name async for page in pages for one in page.info if one.kind == snapshots_pb2.VIEW]

            begun = asyncio.Event()

            async def stuck(*argv: str) -> tuple[int, str]:
                (made.directory / f".{DIGEST[7:]}.img.making").write_bytes(b"half")
                begun.set()
                return await outcome("sleep", "1000")

            hung = FileDisks(
                connection, on.images.unpacker, on.images.leases, stuck, made.directory, on.run / "payload"
            )
            asking = asyncio.ensure_future(hung.ensure(DIGEST))
            await begun.wait()
            assert await hung.observe() == {} and len(await views()) == 1
            assert await hung.collect(tuple) == 0
            # As a life leaves it that was killed here: its file, and its view.
            scratch = made.directory / f".{DIGEST[7:]}.img.making"
            root = await on.images.unpacker.rootfs(DIGEST)
            left = snapshots_pb2.ViewSnapshotRequest(
                snapshotter=SNAPSHOTTER, key="payload-left", parent=root.chain_id, labels={"containerd.io/gc.root": "1"}
            )
            await connection.snapshots.View(left, metadata=metadata)
            await hung.close()
            assert asking.done() or await asyncio.wait((asking,))
            assert asking.cancelled() and not scratch.exists() and await views() == ["payload-left"]
            scratch.write_bytes(b"half")
            await made.disks.sweep()
            assert not scratch.exists() and await views() == []
            assert len(made.commands) == 0
            await made.disks.ensure(DIGEST)
            assert await views() == [] and os.listdir(made.directory) == [f"{DIGEST[7:]}.img"]

    asyncio.run(inside())


@pytest.mark.real
def test_a_full_disk_and_a_tool_that_fails_are_told_and_leave_nothing() -> None:
    async def inside() -> None:
        async with runtime() as on:
            await on.images.import_archive(chunks(oci_archive(Sample(layers=(12 << 20,)))))
            digest = twin_image(Sample(layers=(12 << 20,))).platform_digest
            with small_disk("mkfs.ext4", "-q", size_mib=8) as disk:
                full = made_on(on, disk / "payloads")
                with pytest.raises(NoSpace, match="Free space"):
                    await full.disks.ensure(digest)
                assert os.listdir(disk / "payloads") == [] and await full.disks.observe() == {}

            async def broken(*argv: str) -> tuple[int, str]:
                return 1, "<E> erofs: it has a fault"

            async def idle(*argv: str) -> tuple[int, str]:
                return 0, ""

            directory = on.directory / "payloads"
            for command, words in ((broken, "it has a fault"), (idle, "is not whole")):
                disks = FileDisks(
                    on.connection, on.images.unpacker, on.images.leases, command, directory, on.run / "payload"
                )
                with pytest.raises(PayloadFailed, match=words):
                    await disks.ensure(digest)
                assert os.listdir(directory) == []

    asyncio.run(inside())


@pytest.mark.real
def test_a_tool_whose_daemon_is_killed_ends_with_it_and_leaves_nothing_mounted(tmp_path: Path) -> None:
    (tmp_path / "layer" / "fs").mkdir(parents=True)
    (tmp_path / "place").mkdir()
    script = f"""if True:
        import asyncio
        from tests.contract.test_payloads import Mount, outcome, tree

        view = [Mount("bind", {str(tmp_path / "layer" / "fs")!r}, [])]
        tool = ("sh", "-c", "echo $$ > {tmp_path}/pid.made; mv {tmp_path}/pid.made {tmp_path}/pid; exec sleep 1000")
        asyncio.run(outcome(*tree.command(view, {str(tmp_path / "place")!r}, *tool)))
    """
    daemon = subprocess.Popen([sys.executable, "-c", script], cwd=Path(__file__).parents[2])
    pid = tmp_path / "pid"
    try:
        wait_until(lambda: pid.exists() or daemon.poll() is not None, "the tool runs")
        tool = os.pidfd_open(int(pid.read_text()))
    finally:
        daemon.kill()
        daemon.wait()
    ended, _, _ = select.select((tool,), (), (), 10)
    os.close(tool)
    assert ended, "it outlives who began it"
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
