"""The power goes right after a push was answered; and what a cut left while nothing was synced yet is mended."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from containerdapi import snapshots_pb2
from effects.containerd.connection import SNAPSHOTTER
from effects.images import unpacking
from effects.runs.protocol import RunSpec
from journal.clock import SystemClock
from tests.support.cache import traces
from tests.support.images import archive_of, chunks, tree
from tests.support.runtime import Runtime, runtime
from tests.support.until import until
from tools.demo_image import archive

pytestmark = pytest.mark.real

LOWER = {f"lower-{number}": bytes([number]) * 70_000 for number in range(1, 9)}
UPPER = {"upper": b"u" * 5_000, ".wh.lower-1": b""}
CONTENT, DIGEST = archive_of("docker.io/library/cut:1", tree(LOWER), tree(UPPER))
LAYERS = Path("io.containerd.snapshotter.v1.overlayfs/snapshots")
BLOBS = Path("io.containerd.content.v1.content/blobs/sha256")


@contextmanager
def after_a_cut(made: Runtime, scratch: Path) -> Iterator[Path]:
    """containerd's directory as the disk has it at this moment."""
    disk, place = scratch / "cut", scratch / "place"
    place.mkdir()
    shutil.copyfile(made.directory / "disk", disk)
    subprocess.run(["mount", "-o", "loop", disk, place], check=True)
    try:
        yield place / "root"
    finally:
        subprocess.run(["umount", place], check=True)


def files(root: Path) -> dict[str, bytes]:
    """Every plain file of every layer."""
    return {path.name: path.read_bytes() for path in root.glob(f"{LAYERS}/*/fs/*") if path.is_file()}


def names(root: Path) -> set[str]:
    return {path.name for path in (root / BLOBS).iterdir()}


async def called_synced(made: Runtime) -> list[bool]:
    request = snapshots_pb2.ListSnapshotsRequest(snapshotter=SNAPSHOTTER)
    pages = made.connection.snapshots.List(request, metadata=made.connection.metadata)
    return [unpacking.SYNCED_LABEL in info.labels async for page in pages for info in page.info]


def test_an_image_whose_push_was_answered_survives_a_power_cut(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime(disk_bytes=64 << 20) as made:
            await made.images.import_archive(chunks(CONTENT))
            with after_a_cut(made, tmp_path) as root:
                assert files(root) == LOWER | {"upper": UPPER["upper"]}
                assert names(root) == names(made.paths.root)

    asyncio.run(main())


@pytest.mark.parametrize("harm", ["emptied", "removed", "without a directory", "none"])
def test_a_layer_of_a_release_that_did_not_sync_is_looked_at_once_and_mended(
    harm: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime(disk_bytes=96 << 20) as made:
            with monkeypatch.context() as earlier:
                earlier.setattr(unpacking, "SYNCED_LABEL", "another.label")
                await made.images.import_archive(chunks(CONTENT))
            root, before = made.paths.root, files(made.paths.root)
            assert await called_synced(made) == [False, False]
            for path in root.glob(f"{LAYERS}/*/fs/*er*"):
                if harm == "emptied" and path.is_file():
                    path.write_bytes(b"")
                elif harm == "removed":
                    path.unlink()
            if harm == "without a directory":
                for path in root.glob(f"{LAYERS}/*"):
                    shutil.rmtree(path)
            made.images.unpacker.forget_all()
            await made.images.unpacker.rootfs(DIGEST)
            assert files(root) == before
            assert len([path for path in root.glob(f"{LAYERS}/*/fs/lower-1") if path.is_char_device()]) == 1
            assert await called_synced(made) == [True, True]
            assert (await traces(made)).scratch == 0
            assert len(list(root.glob(f"{LAYERS}/*"))) == 2, "no snapshot more than before"
            assert ("is unpacked anew" in caplog.text) == (harm != "none")

    asyncio.run(main())


def test_a_container_keeps_the_layer_it_runs_from_when_that_is_mended_until_the_next_boot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            with monkeypatch.context() as earlier:
                earlier.setattr(unpacking, "SYNCED_LABEL", "another.label")
                (image,) = await made.images.import_archive(chunks(archive("demo:1")))
                run = RunSpec("web", 7, 7, 1, image.platform_digest, command=("sleep", "60"))
                seen = await made.containers.ensure_running(run)
            root = made.paths.root
            snapshots = len(list(root.glob(f"{LAYERS}/*")))
            (lost,) = root.glob(f"{LAYERS}/*/fs/etc/passwd")
            lost.unlink()
            made.images.unpacker.forget_all()
            await made.images.unpacker.rootfs(image.platform_digest)
            await until(lambda: len(list(root.glob(f"{LAYERS}/*"))) == snapshots)  # what was in between is gone
            inside, mended = Path(f"/proc/{seen.pid}/root/bin"), lost.parent.parent / "bin"
            for _ in range(2):
                assert set(os.listdir(inside)) == set(os.listdir(mended)) and lost.exists()
                assert (inside / "cat").read_bytes() == (mended / "cat").read_bytes()
                await made.images.sweep()  # a daemon's start in the same boot takes nothing away
            again = await made.containers.ensure_running(msgspec.structs.replace(run, name="other"))
            assert Path(f"/proc/{again.pid}/root/etc/passwd").read_bytes() == lost.read_bytes()
            for name in ("web", "other"):
                await made.containers.remove_run(name, 7, 1)
            assert len(list(root.glob(f"{LAYERS}/*/lost.*"))) == 1
            monkeypatch.setattr(SystemClock, "boot_id", "another")
            await made.images.sweep()
            assert list(root.glob(f"{LAYERS}/*/lost.*")) == [] and lost.exists()

    asyncio.run(main())


def test_a_containers_own_layer_of_which_only_the_record_is_left_is_made_anew() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            (image,) = await made.images.import_archive(chunks(archive("demo:1")))
            run = RunSpec("web", 7, 7, 1, image.platform_digest, command=("sleep", "60"))
            await made.containers.ensure_running(run)
            await made.containers.stop("web", 7, 1, grace_ms=0)
            await made.containers.remove_run("web", 7, 1)
            own = max((made.paths.root / LAYERS).iterdir(), key=lambda path: int(path.name))
            shutil.rmtree(own)
            again = await made.containers.ensure_running(msgspec.structs.replace(run, run=2))
            assert again.status == "running"

    asyncio.run(main())


def test_a_blob_of_which_only_the_record_is_left_comes_with_the_next_push() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            await made.images.import_archive(chunks(CONTENT))
            there = names(made.paths.root)
            for name in there:
                (made.paths.root / BLOBS / name).unlink()
                assert set((await made.images.held((f"sha256:{name}",))).values()) == {0}
            await made.images.import_archive(chunks(CONTENT))
            assert names(made.paths.root) == there
            for name in there:
                (made.paths.root / BLOBS / name).unlink()
            await made.images.import_archive(chunks(CONTENT))
            assert names(made.paths.root) == there

    asyncio.run(main())
