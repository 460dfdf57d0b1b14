"""What the contract of the image cache is held against: the twin and containerd, and what both are asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from containerdapi import images_pb2
from effects.errors import (
    ImageMissing,
    NoSpace,
    RuntimeUnavailable,
)
from effects.images.fetch import TRIES
from effects.images.protocol import ImageStore
from effects.images.registry_twin import Registries, TwinRegistry
from effects.images.twin import CacheWorld, TwinImages
from journal.specs import ImagePin
from tests.support.cache import Traces, kill_at, traces
from tests.support.faulty import Fault, FaultyRegistry, faulty
from tests.support.images import Sample, chunks, oci_archive, twin_archive, twin_image
from tests.support.runtime import Runtime, runtime

ONE = Sample()
OTHER = Sample(seed=2)
REAL_STEPS = (
    "leases.Create",
    "content.Write",
    "content.Update",
    "snapshots.Prepare",
    "diff.Apply",
    "snapshots.Commit",
    "images.Create",
    "leases.List",
)
TWIN_STEPS = ("lease", "blob", "commit", "prepare", "apply", "layer", "name", "finish")


@dataclass
class Subject:
    """A cache, archives in its form, and the means to break it. `pack` makes an archive; `fail` lets the runtime die
    (once) at the step of that name. `offer` puts a sample into a registry as `name:tag` and says by which reference it
    is pulled; `pin` resolves that; `cut` breaks a layer off after so many bytes, and then the registry is gone for the
    rest of the pull; `sent` is what it has sent, and `gone` lets it be away or back. `take` is another hand's, which takes
    a record out."""

    store: ImageStore
    pack: Callable[..., bytes]
    usable: Callable[[str], Awaitable[bool]]
    traces: Callable[[], Awaitable[Traces]]
    fail: Callable[[str], None]
    steps: tuple[str, ...]
    offer: Callable[[Sample, str], str]
    pin: Callable[[str], Awaitable[ImagePin]]
    cut: Callable[[str, int], None]
    sent: Callable[[], int]
    take: Callable[[str], Awaitable[None]]
    gone: Callable[[bool], None]


Suite = Callable[[Subject], Awaitable[None]]


@asynccontextmanager
async def twin(small: bool = False) -> AsyncIterator[Subject]:
    world = CacheWorld()
    failing: list[str] = []

    async def step(point: str) -> None:
        await asyncio.sleep(0)
        if point in failing:
            failing.remove(point)
            raise RuntimeUnavailable("the runtime does not answer")
        if small and point in ("commit", "apply") and world.taken_bytes > 18 << 20:
            raise NoSpace("the disk is full")

    async def usable(digest: str) -> bool:
        return digest in world.usable

    async def left() -> Traces:
        return Traces(len(world.kept), len(world.parts), len(world.scratch), len(world.blobs))

    registries = Registries()
    registry = TwinRegistry(registries, step)

    def offer(sample: Sample, name: str) -> str:
        ref = f"registry.test/{name}"
        registries.offer(ref, twin_image(sample))
        return ref

    async def take(record: str) -> None:
        world.take(record)

    def gone(is_gone: bool) -> None:
        registries.door = "down" if is_gone else "open"

    yield Subject(
        TwinImages(world, step, registry), twin_archive, usable, left, failing.append, TWIN_STEPS,
        offer, registry.resolve, registries.cuts.__setitem__, lambda: registries.sent, take, gone,
    )  # fmt: skip


@asynccontextmanager
async def real(small: bool = False) -> AsyncIterator[Subject]:
    async with runtime(disk_bytes=48 << 20 if small else 0) as made, faulty() as registry:
        yield real_subject(made, registry)


def real_subject(made: Runtime, registry: FaultyRegistry) -> Subject:
    def cut(digest: str, after_bytes: int) -> None:
        registry.fail(digest, Fault(cut=after_bytes))
        registry.fail(digest, Fault(refuse=True), times=TRIES)

    async def usable(digest: str) -> bool:
        made.images.unpacker.forget(digest)
        try:
            await made.images.unpacker.rootfs(digest)
        except ImageMissing:
            return False
        return True

    async def take(record: str) -> None:
        request = images_pb2.DeleteImageRequest(name=record)
        await made.connection.images.Delete(request, metadata=made.connection.metadata)

    def gone(is_gone: bool) -> None:
        registry.gone = is_gone

    return Subject(
        made.images, oci_archive, usable, lambda: traces(made), lambda step: kill_at(made, step), REAL_STEPS,
        registry.hold, made.registry.resolve, cut, lambda: registry.sent, take, gone,
    )  # fmt: skip


BOTH = pytest.mark.parametrize(
    "subject", [twin, pytest.param(real, marks=pytest.mark.real)], ids=["twin", "containerd"]
)


def run_suite(subject: Any, suite: Suite, **options: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(120), subject(**options) as made:
            await suite(made)

    asyncio.run(main())


async def bring(made: Subject, *samples: Sample, name: str = "") -> tuple[str, ...]:
    """Import an archive; the names it brought."""
    images = await made.store.import_archive(chunks(made.pack(*samples)), name)
    return tuple(image.ref for image in images)


def target(sample: Sample) -> str:
    """The digest that the sample has."""
    return twin_image(sample).index_digest


async def answers(made: Subject) -> None:
    """Wait until the runtime is back."""
    while True:
        try:
            await made.store.observe()
            return
        except RuntimeUnavailable:
            await asyncio.sleep(0.05)
