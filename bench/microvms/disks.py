"""payload.build: an image made a disk, against mkfs.erofs of the same tree; microvm.second_disk: what a second microVM
of an image takes of the machine's disk before its payload writes."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.images import LAYER_BYTES, LAYERS, NAME, build
from bench.report import Row, in_turn, row
from capsuled.processes import outcome
from containerdapi import snapshots_pb2
from effects.containerd.connection import SNAPSHOTTER
from effects.payloads.file_disks import FileDisks
from effects.payloads.layer import ensure_layer
from tests.support.mounted import mounted
from tests.support.runtime import Runtime, runtime

ROUNDS = 7
LIMIT_KIB = 1024


def rows(directory: Path) -> list[Row]:
    """Both."""
    build(directory / "large.tar")
    with asyncio.Runner() as loop:
        place = runtime()
        on = loop.run(place.__aenter__())
        try:
            return _measured(loop, on, directory)
        finally:
            loop.run(place.__aexit__(None, None, None))


def _measured(loop: asyncio.Runner, on: Runtime, directory: Path) -> list[Row]:
    async def bring() -> str:
        async def pieces() -> AsyncIterator[bytes]:
            with (directory / "large.tar").open("rb") as file:
                while piece := file.read(1 << 20):
                    yield piece

        await on.images.import_archive(pieces())
        found = await on.images.resolve(NAME)
        assert found is not None
        return found.platform_digest

    digest = loop.run(bring())
    disks = FileDisks(
        on.connection, on.images.unpacker, on.images.leases, outcome, on.directory / "payloads", on.run / "payload"
    )

    def ours() -> float:
        begun = _begun()
        path = loop.run(disks.ensure(digest))
        taken = time.perf_counter() - begun
        os.unlink(path)
        return taken

    with _tree(loop, on, digest) as tree:

        def bare() -> float:
            made = on.directory / "bare.img"
            begun = _begun()
            subprocess.run(["mkfs.erofs", "--quiet", "--preserve-mtime", made, tree], check=True)
            taken = time.perf_counter() - begun
            made.unlink()
            return taken

        ours()
        bare()
        built, peer = in_turn(ROUNDS, ours, bare)
    note = f"{LAYERS} layers, {LAYERS * LAYER_BYTES * 2 // 1_000_000} MB unpacked; ours merges the layers, too"
    second = loop.run(_second(disks, digest, on.directory))
    return [
        row("payload.build", built, "s", "mkfs.erofs", peer, "<=1.3", note),
        row("microvm.second_disk", second / 1024, "KiB", "limit", LIMIT_KIB, "<=1.0", "its layer, mounted once"),
    ]


def _begun() -> float:
    """What others left to be written down is written first."""
    os.sync()
    return time.perf_counter()


async def _second(disks: FileDisks, digest: str, directory: Path) -> int:
    """The bytes that the disks of a second microVM take, once its guest has mounted what is its own."""
    for number in (1, 2):
        before = _taken(directory)
        await disks.ensure(digest)
        layer = directory / "microvms" / f"vm-{number}" / "layer.raw"
        await ensure_layer(outcome, layer)
        with mounted("-o", "loop,noatime", str(layer)) as point:
            for name in ("upper", "work"):
                (point / name).mkdir()
        os.sync()
    return _taken(directory) - before


def _taken(directory: Path) -> int:
    """What everything below takes on the disk."""
    return sum(
        os.lstat(os.path.join(top, name)).st_blocks * 512
        for part in ("payloads", "microvms")
        for top, names, files in os.walk(directory / part)
        for name in (*names, *files)
    )


@contextmanager
def _tree(loop: asyncio.Runner, on: Runtime, digest: str) -> Iterator[Path]:
    """The image's files, as a container of it sees them."""

    async def viewed() -> tuple[str, ...]:
        root = await on.images.unpacker.rootfs(digest)
        asked = snapshots_pb2.ViewSnapshotRequest(
            snapshotter=SNAPSHOTTER, key="bench", parent=root.chain_id, labels={"containerd.io/gc.root": "1"}
        )
        (one,) = (await on.connection.snapshots.View(asked, metadata=on.connection.metadata)).mounts
        return ("-t", one.type, "-o", ",".join(one.options), one.source)

    with mounted(*loop.run(viewed())) as point:
        yield point
