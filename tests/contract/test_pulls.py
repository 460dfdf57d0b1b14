"""The contract of the image cache, on the twin and on containerd: what is fetched from a registry."""

import asyncio
import contextlib
import os
from typing import Any

import pytest

from effects.errors import (
    DriverError,
    ImageCorrupt,
    ImageUnknown,
    ImageUnreadable,
    NoSpace,
    RegistryUnreachable,
    RuntimeUnavailable,
)
from effects.images.protocol import Progress
from effects.images.room import free_below
from tests.contract.image_subjects import (
    BOTH,
    ONE,
    OTHER,
    REAL_STEPS,
    Subject,
    answers,
    run_suite,
    target,
)
from tests.support.cache import Traces, traces
from tests.support.faulty import Fault, faulty
from tests.support.images import Sample, twin_image
from tests.support.runtime import runtime


async def pull(made: Subject, ref: str, moves: bool = True) -> tuple[str, ...]:
    images = await made.store.pull(await made.pin(ref), moves=moves)
    return tuple(image.ref for image in images)


@BOTH
def test_a_pull_brings_name_and_digest_and_a_second_one_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        ref, progress = made.offer(ONE, "web:1"), Progress()
        told: list[str] = []
        pin = await made.pin(ref)
        images = await made.store.pull(
            pin, moves=True, progress=progress, named=lambda images: told.extend(image.ref for image in images)
        )
        assert [image.ref for image in images] == [target(ONE), ref] == told
        assert progress.received_bytes >= 900_000 and progress.total_bytes >= 900_000
        assert await made.usable(target(ONE))
        before = made.sent()
        assert await pull(made, ref, moves=False) == (target(ONE),)
        assert made.sent() - before < 10_000
        left = await made.traces()
        assert (left.leases, left.parts, left.scratch) == (0, 0, 0)

    run_suite(subject, suite)


@BOTH
def test_a_pull_by_digest_moves_no_name(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        ref = made.offer(ONE, "web:1")
        old = await made.pin(ref)
        made.offer(OTHER, "web:1")
        await pull(made, ref)
        await made.store.pull(old, moves=False)
        found = await made.store.resolve(ref)
        assert found is not None and found.index_digest == target(OTHER)

    run_suite(subject, suite)


@BOTH
@pytest.mark.parametrize(
    ("sample", "error"),
    [
        (Sample(damage="missing"), ImageUnknown),
        (Sample(damage="corrupt"), ImageCorrupt),
        (Sample(damage="unreadable"), ImageUnreadable),
    ],
    ids=["missing blob", "corrupt blob", "unreadable layer"],
)
def test_a_bad_image_of_a_registry_is_named_and_leaves_nothing(
    subject: Any, sample: Sample, error: type[DriverError]
) -> None:
    async def suite(made: Subject) -> None:
        ref = made.offer(sample, "bad:1")
        with pytest.raises(error):
            await pull(made, ref)
        assert await made.store.observe() == ()
        assert await made.traces() == Traces()

    run_suite(subject, suite)


@BOTH
def test_an_interrupted_pull_is_continued_with_what_is_missing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        ref = made.offer(ONE, "web:1")
        first, second = twin_image(ONE).layers
        made.cut(second.digest, 200_000)
        with pytest.raises(RegistryUnreachable):
            await pull(made, ref)
        held = await made.store.held((first.digest, second.digest))
        assert held[second.digest] == 200_000
        assert (await made.traces()).leases == 1 and await made.store.observe() == ()
        before = made.sent()
        await pull(made, ref)
        missing = first.size + second.size - sum(held.values())
        assert made.sent() - before < missing + 10_000
        left = await made.traces()
        assert (left.leases, left.parts, left.scratch) == (0, 0, 0)
        assert await made.usable(target(ONE))

    run_suite(subject, suite)


@BOTH
def test_tries_in_vain_leave_nothing_and_those_that_come_no_further_one_lease(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        pin = await made.pin(made.offer(ONE, "web:1"))
        made.gone(True)
        for _ in range(2):
            with pytest.raises(RegistryUnreachable):
                await made.store.pull(pin, moves=True)
        assert await made.traces() == Traces()
        made.gone(False)
        last = twin_image(ONE).layers[-1].digest
        for _ in range(2):
            made.cut(last, 0)
            with pytest.raises(RegistryUnreachable):
                await made.store.pull(pin, moves=True)
        assert (await made.traces()).leases == 1

    run_suite(subject, suite)


@pytest.mark.real
def test_layers_that_are_here_stay_for_a_pull_that_stands_on_them() -> None:
    other = Sample(layers=(ONE.layers[0], ONE.layers[1] + 1))
    base, last = twin_image(other).layers
    assert base.digest in [layer.digest for layer in twin_image(ONE).layers]

    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made, faulty() as registry:
            await made.images.pull(await made.registry.resolve(registry.hold(ONE, "web:1")), moves=True)
            ref, progress, gate = registry.hold(other, "other:1"), Progress(), asyncio.Event()
            registry.fail(last.digest, Fault(gate=gate))
            pulling = asyncio.ensure_future(
                made.images.pull(await made.registry.resolve(ref), moves=True, progress=progress)
            )
            while not progress.unpacked:  # noqa: ASYNC110 -- as a caller sees it
                await asyncio.sleep(0.01)
            await made.images.remove([image.ref for image in await made.images.observe()])
            gate.set()
            await pulling
            assert (await made.images.unpacker.rootfs(target(other))).chain_id

    asyncio.run(main())


@BOTH
def test_several_who_want_an_image_have_it_fetched_once(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        ref = made.offer(ONE, "web:1")
        pin = await made.pin(ref)
        await asyncio.gather(*(made.store.pull(pin, moves=True) for _ in range(3)))
        assert made.sent() < sum(layer.size for layer in twin_image(ONE).layers) + 10_000
        left = await made.traces()
        assert (left.leases, left.parts, left.scratch) == (0, 0, 0)

    run_suite(subject, suite)


@BOTH
@pytest.mark.parametrize("number", range(len(REAL_STEPS)))
def test_the_runtime_may_die_in_any_step_of_a_pull_and_the_next_try_completes_it(subject: Any, number: int) -> None:
    async def suite(made: Subject) -> None:
        pin = await made.pin(made.offer(ONE, "web:1"))
        made.fail(made.steps[number])
        try:
            await made.store.pull(pin, moves=True)
        except RuntimeUnavailable:
            await answers(made)
            await made.store.pull(pin, moves=True)
        await answers(made)
        assert await made.usable(target(ONE))
        left = await made.traces()
        assert (left.parts, left.scratch) == (0, 0)
        await made.store.drop_partial()
        assert (await made.traces()).leases == 0

    run_suite(subject, suite)


@BOTH
def test_a_disk_that_a_pull_fills_up_is_named_and_nothing_of_the_image_stays(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        for layers in ((12 << 20,) * 4, (20 << 20,)):
            ref = made.offer(Sample(layers=layers, seed=3), "large:1")
            with pytest.raises(NoSpace):
                await pull(made, ref)
            assert await made.traces() == Traces()

    run_suite(subject, suite, small=True)


@pytest.mark.real
@pytest.mark.parametrize(
    "sample",
    [Sample(layers=(12 << 20,) * 4, seed=3), Sample(layers=(100_000, 100 << 20), seed=3, airy=True)],
    ids=["foreseen", "found when it is unpacked"],
)
def test_an_image_that_does_not_fit_is_not_fetched_again_and_again(sample: Sample) -> None:
    async def main() -> None:
        async with asyncio.timeout(120), runtime(disk_bytes=160 << 20) as made, faulty() as registry:
            pin = await made.registry.resolve(registry.hold(sample, "large:1"))
            ballast = made.paths.root / "ballast"
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, free_below(made.paths.root)() - (80 << 20))
            if sample.airy:
                with pytest.raises(NoSpace, match="the disk is full"):
                    await made.images.pull(pin, moves=True)
            before = registry.sent
            for _ in range(3):
                with pytest.raises(NoSpace, match=r"too little room: at least .* have to be free"):
                    await made.images.pull(pin, moves=True)
                assert await traces(made) == Traces()
            assert registry.sent - before < 20_000, "manifest and config"
            ballast.unlink()
            await made.images.pull(pin, moves=True)
            with ballast.open("wb") as file, contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), 0, free_below(made.paths.root)() - (1 << 20))
            await made.images.pull(pin, moves=True)  # all of it is here

    asyncio.run(main())
