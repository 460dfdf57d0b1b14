"""The contract of the image cache, on the twin and on containerd: archives that are brought, and what is taken away."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from effects.errors import (
    DriverError,
    ImageCorrupt,
    ImageUnreadable,
    NoSpace,
    RuntimeUnavailable,
    SenderQuiet,
    WrongArchitecture,
)
from effects.images.protocol import Announced, ImageStore
from effects.images.room import SPARE_BYTES, free_below
from tests.contract.image_subjects import (
    BOTH,
    ONE,
    OTHER,
    REAL_STEPS,
    Subject,
    answers,
    bring,
    real_subject,
    run_suite,
    target,
)
from tests.support.cache import Traces, kill_at, traces
from tests.support.faulty import faulty
from tests.support.images import Sample, chunks, oci_archive, twin_archive, twin_image
from tests.support.runtime import Runtime, runtime


@BOTH
def test_an_archive_brings_its_names_and_bringing_it_again_changes_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        other = Sample(name="docker.io/library/other:1", seed=2)
        assert await bring(made, ONE, other) == (ONE.name, other.name)
        seen = await made.store.observe()
        assert {image.ref: image.platform_digest for image in seen} == {
            ONE.name: target(ONE), target(ONE): target(ONE), other.name: target(other), target(other): target(other),
        }  # fmt: skip
        blobs = (await made.traces()).blobs
        await bring(made, ONE, other)
        assert await made.store.observe() == seen
        assert await made.traces() == Traces(blobs=blobs)
        assert await made.usable(target(ONE))

    run_suite(subject, suite)


@BOTH
def test_a_name_moves_on_and_its_old_image_stays_under_its_digest(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        await bring(made, ONE)
        await bring(made, OTHER)
        found = await made.store.resolve(ONE.name)
        assert found is not None and found.index_digest == target(OTHER)
        old = await made.store.resolve(f"docker.io/library/sample@{target(ONE)}")
        assert old is not None and old.platform_digest == target(ONE)
        assert await made.usable(target(ONE)) and await made.usable(target(OTHER))
        assert await made.store.resolve("docker.io/library/nothing:1") is None

    run_suite(subject, suite)


@BOTH
@pytest.mark.parametrize(
    ("sample", "error"),
    [
        (Sample(damage="missing"), ImageUnreadable),
        (Sample(damage="corrupt"), ImageCorrupt),
        (Sample(damage="unreadable"), ImageUnreadable),
        (Sample(architecture="s390x"), WrongArchitecture),
        (Sample(name=""), ImageUnreadable),
    ],
    ids=["missing blob", "corrupt blob", "unreadable layer", "wrong architecture", "no name"],
)
def test_a_bad_image_is_refused_by_its_condition_and_leaves_nothing(
    subject: Any, sample: Sample, error: type[DriverError]
) -> None:
    async def suite(made: Subject) -> None:
        with pytest.raises(error):
            await bring(made, sample)
        assert await made.store.observe() == ()
        assert await made.traces() == Traces()

    run_suite(subject, suite)


@BOTH
def test_an_archive_that_is_cut_or_is_none_leaves_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        whole = made.pack(ONE)
        for content in (whole[:-400_000], b"", b"no image at all" * 100):
            with pytest.raises(ImageUnreadable):
                await made.store.import_archive(chunks(content))
        assert await made.traces() == Traces()

    run_suite(subject, suite)


@pytest.mark.parametrize("falls_silent", [False, True], ids=["breaks off", "falls silent"])
@BOTH
def test_an_interrupted_push_is_continued_with_what_is_missing(subject: Any, falls_silent: bool) -> None:
    async def suite(made: Subject) -> None:
        content = made.pack(ONE)
        reached, given_up = asyncio.Event(), asyncio.Event()

        async def broken() -> AsyncIterator[bytes]:
            yield content[:800_000]
            reached.set()
            await given_up.wait()
            raise SenderQuiet("nothing more came")

        push = asyncio.ensure_future(made.store.import_archive(broken()))
        await reached.wait()
        first, second = (layer.digest for layer in twin_image(ONE).layers)
        held = {second: 0}
        while not held[second]:  # the runtime has taken what was sent
            held = await made.store.held((first, second))
        given_up.set() if falls_silent else push.cancel()
        await asyncio.gather(push, return_exceptions=True)
        sizes = {layer.digest: layer.size for layer in twin_image(ONE).layers}
        assert held[first] == sizes[first] and 0 < held[second] < sizes[second]
        assert await made.store.observe() == ()
        left = await made.traces()
        assert left.leases == 1 and left.parts == 1 and left.blobs == 1
        # What is here is left out of the stream the second time.
        begins = {digest: content.index(_body(made, content, digest)) for digest in (first, second)}
        announced = [Announced(begins[digest], digest, held[digest]) for digest in (first, second)]
        rest = content
        for one in sorted(announced, key=lambda one: -one.offset):
            rest = rest[: one.offset] + rest[one.offset + one.skipped :]
        assert len(rest) < 400_000
        await made.store.import_archive(chunks(rest), announced=announced)
        assert (await made.traces()).leases == 0
        assert await made.usable(target(ONE))

    run_suite(subject, suite)


def _body(made: Subject, content: bytes, digest: str) -> bytes:
    """Some bytes that are the beginning of a layer in the archive, and nowhere else."""
    if made.pack is twin_archive:
        layers = twin_image(ONE).layers
        before = sum(layer.size for layer in layers[: [layer.digest for layer in layers].index(digest)])
        return content[content.index(b"\n") + 1 + before :]
    from tests.support.images import blobs

    return blobs(ONE).content[digest]


@BOTH
def test_what_was_announced_as_here_and_is_not_is_an_error(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        content = made.pack(ONE)
        first = twin_image(ONE).layers[0]
        begins = content.index(_body(made, content, first.digest))
        rest = content[:begins] + content[begins + first.size :]
        with pytest.raises(ImageUnreadable):
            await made.store.import_archive(chunks(rest), announced=[Announced(begins, first.digest, first.size)])
        assert await made.traces() == Traces()

    run_suite(subject, suite)


@BOTH
def test_a_name_is_for_one_image_and_several_are_refused_with_it(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        with pytest.raises(ImageUnreadable, match="holds 2 images, and `--name` is one name"):
            await bring(made, ONE, OTHER, name="docker.io/library/named:1")
        assert await made.store.observe() == () and await made.traces() == Traces()
        assert await bring(made, ONE, name="docker.io/library/named:1") == ("docker.io/library/named:1",)

    run_suite(subject, suite)


@BOTH
def test_a_removed_name_leaves_the_image_and_a_removed_digest_frees_it(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        await bring(made, ONE)
        await bring(made, OTHER, name="docker.io/library/other:1")
        async with made.store.naming:
            assert await made.store.remove((ONE.name, "docker.io/library/never:1")) == 0
            assert await made.store.resolve(ONE.name) is None
            assert await made.usable(target(ONE))
            freed = await made.store.remove((target(ONE),))
        assert freed >= 900_000
        assert not await made.usable(target(ONE))
        assert [image.ref for image in await made.store.observe()] == ["docker.io/library/other:1", target(OTHER)]

    run_suite(subject, suite)


@BOTH
def test_what_another_hand_takes_out_is_told_of(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        await bring(made, ONE)
        losses = made.store.losses()
        await anext(aiter(losses))  # from here on nothing is missed
        await made.take(ONE.name)
        async with asyncio.timeout(10):
            await anext(aiter(losses))
        assert [image.ref for image in await made.store.observe()] == [target(ONE)]

    run_suite(subject, suite)


@BOTH
def test_a_clean_up_takes_what_interrupted_tries_left(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        made.fail(made.steps[4])
        with pytest.raises(RuntimeUnavailable):
            await bring(made, ONE)
        await answers(made)
        assert (await made.traces()).leases == 1
        assert await made.store.drop_partial() >= 900_000
        assert await made.traces() == Traces()

    run_suite(subject, suite)


@BOTH
@pytest.mark.parametrize("number", range(len(REAL_STEPS)))
def test_the_runtime_may_die_in_any_step_of_a_push_and_the_next_try_completes_it(subject: Any, number: int) -> None:
    async def suite(made: Subject) -> None:
        made.fail(made.steps[number])
        try:
            await bring(made, ONE)
        except RuntimeUnavailable:
            await answers(made)
            await bring(made, ONE)
        await answers(made)
        assert await made.usable(target(ONE))
        left = await made.traces()
        assert (left.parts, left.scratch) == (0, 0)
        await made.store.drop_partial()
        assert (await made.traces()).leases == 0

    run_suite(subject, suite)


@BOTH
def test_a_disk_that_fills_up_is_named_and_nothing_of_the_image_stays(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        await bring(made, ONE)
        before = await made.traces()
        # One whose blobs do not fit, and one whose blobs do and whose layers do not.
        for layers in ((12 << 20,) * 4, (20 << 20,)):
            with pytest.raises(NoSpace):
                await bring(made, Sample(name="docker.io/library/large:1", layers=layers, seed=3))
            assert await made.traces() == before
        assert await made.usable(target(ONE))
        await bring(made, OTHER)

    run_suite(subject, suite, small=True)


@pytest.mark.real
@pytest.mark.parametrize("layers", [(70 << 20,), (40 << 20,)], ids=["its blob", "its layer"])
def test_a_push_that_does_not_fit_ends_before_the_disk_is_full(layers: tuple[int, ...]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime(disk_bytes=112 << 20) as made:
            free, least = free_below(made.paths.root), list[int]()

            async def watched(content: bytes) -> AsyncIterator[bytes]:
                async for chunk in chunks(content):
                    least.append(free())
                    yield chunk

            with pytest.raises(NoSpace, match=r"too little room: at least .* have to be free"):
                await made.images.import_archive(watched(oci_archive(Sample(layers=layers))))
            assert min(least) > SPARE_BYTES
            assert await traces(made) == Traces()

    asyncio.run(main())


@pytest.mark.real
def test_what_a_daemon_left_half_unpacked_is_swept_by_the_next() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made, faulty() as registry:
            subject = real_subject(made, registry)
            kill_at(made, "diff.Apply")
            with pytest.raises(RuntimeUnavailable):
                await bring(subject, ONE)
            await answers(subject)
            assert (await traces(made)).scratch == 1
            await runtime_images(made).sweep()
            assert (await traces(made)).scratch == 0

    asyncio.run(main())


@BOTH
def test_a_sweep_leaves_what_is_being_unpacked(subject: Any) -> None:
    """A push or pull does not wait for the first look at the cache."""

    async def suite(made: Subject) -> None:
        over = asyncio.Event()

        async def sweeping() -> None:
            while not over.is_set():
                await made.store.sweep()
                await asyncio.sleep(0)

        beside = asyncio.ensure_future(sweeping())
        try:
            await bring(made, ONE)
        finally:
            over.set()
            await beside
        assert await made.usable(target(ONE)) and (await made.traces()).scratch == 0

    run_suite(subject, suite)


def runtime_images(made: Runtime) -> ImageStore:
    """The cache as the next daemon has it."""
    from effects.images.containerd_store import ContainerdImages

    return ContainerdImages(made.connection, made.registry, made.paths.root)


@pytest.mark.real
def test_the_place_of_a_layer_that_a_killed_containerd_left_is_cleared() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made, faulty() as registry:
            left = made.paths.root / "io.containerd.snapshotter.v1.overlayfs" / "snapshots" / "1" / "fs"
            left.mkdir(parents=True)
            (left / "file").write_text("nobody's")
            await bring(real_subject(made, registry), ONE)
            assert not (left / "file").exists()

    asyncio.run(main())
