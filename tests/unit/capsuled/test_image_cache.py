"""What leaves the image cache leaves it once its removal cannot be lost any more."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.image_cache import ImageCache
from effects.images.registry_twin import Registries, TwinRegistry
from effects.images.twin import CacheWorld, TwinImages
from journal.entry import LOCAL
from journal.events import ImageFound, ImageLost, ImageRemovalRequested, ImageRemoved
from projections.intents import CollectImages, RemoveImage
from tests.support.clock import HandClock
from tests.support.slow_log import SlowLog
from tests.support.story import OTHER_PIN, PIN, Story
from tests.support.until import until


async def _no_step(point: str) -> None:
    """Nothing happens between two steps."""


class Box:
    """A cache with two images, whose task runs."""

    def __init__(self) -> None:
        story = Story()
        self.log = SlowLog(story)
        self.engine = Engine(self.log, story.machine, HandClock("boot-2"), frozenset(), b"key")
        self.world = CacheWorld()
        for pin in (PIN, OTHER_PIN):
            self.world.bring(pin.index_digest, pin.platform_digest)
        self.at_the_cache = _no_step
        registry = TwinRegistry(Registries(), self._step)
        self.cache = ImageCache(
            self.engine, TwinImages(self.world, self._step, registry), registry, HandClock("boot-2")
        )

    async def _step(self, point: str) -> None:
        await self.at_the_cache(point)

    def ask(self, digest: str) -> None:
        self.engine.record((ImageRemovalRequested(digests=(digest,)),))
        self.cache._asked.set()


def played(act: Callable[[Box], Awaitable[None]]) -> None:
    async def play() -> None:
        box = Box()
        running = asyncio.ensure_future(box.cache.run())
        try:
            async with asyncio.timeout(10):
                await act(box)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(play())


def test_a_removal_that_is_asked_for_while_another_is_carried_out_waits_until_it_is_durable() -> None:
    async def act(box: Box) -> None:
        async def forgotten(point: str) -> None:
            box.log.written.clear()

        box.at_the_cache = forgotten
        box.ask(PIN.index_digest)
        await until(lambda: box.log.of(ImageRemoved))
        box.ask(OTHER_PIN.index_digest)
        box.log.written.set()
        box.log.written.clear()  # the first removal is on the disk, and the second one's request is not
        for _ in range(100):
            await asyncio.sleep(0)
        assert OTHER_PIN.index_digest in box.world.records, "a power cut now would forget that it was to go"
        box.at_the_cache = _no_step
        box.log.written.set()
        await until(lambda: len(box.log.of(ImageRemoved)) == 2)
        assert not {PIN.index_digest, OTHER_PIN.index_digest} & box.world.records.keys()

    played(act)


def test_what_another_hand_took_while_the_journal_was_full_is_told_once_it_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def act(box: Box) -> None:
        looks = 0

        async def looked(point: str) -> None:
            nonlocal looks
            looks += 1
            await asyncio.sleep(0)

        box.log.full = True
        await box.cache.look()
        told = len(box.log.of(ImageLost))
        assert box.log.of(ImageFound), "what a life finds when it begins has the last part of the reserve"
        box.at_the_cache = looked
        following = asyncio.ensure_future(box.cache.follow())
        await until(lambda: box.world._listeners)
        box.world.take(PIN.index_digest, PIN.platform_digest)
        await until(lambda: looks > 5)
        assert len(box.log.of(ImageLost)) == told and caplog.text.count("cannot be journaled yet") == 1
        box.log.full = False
        await until(lambda: len(box.log.of(ImageLost)) > told)
        following.cancel()

    played(act)


def test_who_removes_what_another_removes_just_now_waits_no_longer_than_that() -> None:
    async def act(box: Box) -> None:
        await box.cache.look()
        (digest, *_) = box.engine.machine.cached
        at_work, goes_on = asyncio.Event(), asyncio.Event()

        async def held_up(point: str) -> None:
            at_work.set()
            await goes_on.wait()

        box.at_the_cache = held_up
        removing = [
            asyncio.ensure_future(box.cache.remove(intent, Caller(LOCAL, "Remove")))
            for intent in (RemoveImage(digest), CollectImages(), RemoveImage(digest))
        ]
        await at_work.wait()
        goes_on.set()
        for one in removing:
            assert digest in (await one).digests
        assert digest not in box.world.records

    played(act)
