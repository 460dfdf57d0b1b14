"""The image cache as something that changes: every change is admitted, journaled and carried through.

A removal is journaled before anything is deleted, and finished by the next daemon if this one dies over it. Names
change and are journaled under one lock, so that a push and a removal of one name have an order, the journal's.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

import msgspec

from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.insist import until_seen
from capsuled.rpc import Refused
from capsuled.streams import OpenStream
from effects.errors import DriverError
from effects.images.actions import Pulls, pulled
from effects.images.protocol import Announced, CachedImage, ImageStore, Progress
from effects.images.registry import Registry
from effects.images.retries import retried
from effects.runner import FULL_RETRY_S
from journal.clock import Clock
from journal.entry import Header
from journal.errors import JournalFull
from journal.events import Event, ImagePushed, ImageRemovalRequested, ImageRemoved, PushedImage, UpdateConfirmed
from projections.admission import Admitted
from projections.cache import SeenImage, observe_images
from projections.images import PARTIAL, leaving_now
from projections.intents import CollectImages, RemoveImage
from projections.refusals import Refusal, refused
from projections.restarts import retry_delay_ms

log = logging.getLogger(__name__)

REMOVE_WAIT_S = 25.0
RESOLVE_TRIES = 3


class Removal(msgspec.Struct, frozen=True):
    """What left the cache, or would leave it. `repeated`: the call `seq` was made before, and what left then is not
    said here."""

    refs: tuple[str, ...]
    digests: tuple[str, ...]
    freed_bytes: int
    seq: int = 0
    repeated: bool = False


class ImageCache:
    """The cache of one capsule. `run` is a task of the daemon's; `pulls` says how far the workloads' pulls are."""

    def __init__(self, engine: Engine, store: ImageStore, registry: Registry, clock: Clock) -> None:
        self._engine = engine
        self._store = store
        self._registry = registry
        self._clock = clock
        self.pulls: Pulls = {}
        self._asked = asyncio.Event()
        self._in_doubt = self._known = False
        store.naming.on_doubt = self._doubt
        engine.on_entry(self._heard)
        self._done: dict[int, asyncio.Future[int]] = {}

    def _heard(self, header: Header, event: Event) -> None:
        """What was to leave before a trial may do so once the new system is here to stay."""
        if isinstance(event, UpdateConfirmed):
            self._asked.set()

    def _doubt(self) -> None:
        self._in_doubt = True
        self._asked.set()

    async def look(self) -> None:
        """Journal what the cache holds and the journal does not know, and the reverse: until it was seen once."""
        await until_seen(self._sweep_and_compare, self._clock, "the image cache")

    async def _sweep_and_compare(self) -> None:
        await self._store.sweep()
        await self._compare()

    async def follow(self) -> None:
        """Look again whenever another hand may have taken something out, until cancelled."""
        async for _ in self._store.losses():
            self._doubt()

    async def _compare(self) -> None:
        async with self._store.naming:
            self._in_doubt = False
            try:
                seen = tuple(_seen(image) for image in await self._store.observe())
                self._engine.record(observe_images(self._engine.machine, seen), reserved=True, vital=not self._known)
            except (DriverError, JournalFull):
                self._in_doubt = True  # nobody else would say so again
                raise
            self._known = True

    # --- in ------------------------------------------------------------------------------------------------------

    async def push(
        self,
        chunks: AsyncIterator[bytes],
        name: str,
        announced: Sequence[Announced],
        stream: OpenStream,
        caller: Caller,
        *,
        vital: bool = False,
    ) -> tuple[CachedImage, ...]:
        """Load an archive, a `vital` one into the disk's last room; journaled once all of it is in the cache. Raises
        DriverError."""

        def named(images: tuple[CachedImage, ...]) -> None:
            pushed = tuple(PushedImage(image.pin, image.size_bytes) for image in images if image.is_name)
            event = ImagePushed(pushed, bytes_received=stream.bytes_in)
            self._engine.record((event,), cause=stream.seq, actor=caller.actor)

        images = await self._store.import_archive(chunks, name, announced, named, vital=vital)
        await self._engine.durable()
        return images

    async def held(self, digests: Sequence[str]) -> dict[str, int]:
        """How many of each blob's first bytes need not be pushed. Raises DriverError."""
        return await self._store.held(digests)

    async def pull(self, ref: str, progress: Progress, stream: OpenStream, caller: Caller) -> CachedImage:
        """Bring what a normalised reference means at its registry now. Raises DriverError."""
        pin = await retried(lambda: self._registry.resolve(ref), RESOLVE_TRIES)

        def named(images: tuple[CachedImage, ...]) -> None:
            self._engine.record((pulled(images, progress),), cause=stream.seq, actor=caller.actor)

        images = await self._store.pull(pin, moves=True, progress=progress, named=named)
        await self._engine.durable()
        return images[-1]

    # --- out -----------------------------------------------------------------------------------------------------

    def would_remove(self, intent: RemoveImage | CollectImages, role: str) -> Removal:
        """What the call would take out, if a caller of this role had it. Raises Refused."""
        _, verdict = self._engine.preview(intent, role)
        if isinstance(verdict, Refusal):
            raise Refused(verdict)
        assert isinstance(verdict, Admitted)
        (event,) = verdict.events
        assert isinstance(event, ImageRemovalRequested)
        cached = self._engine.machine.cached
        size = sum(cached[digest].size_bytes for digest in event.digests if digest in cached)
        return Removal(event.refs, event.digests, size)

    async def remove(self, intent: RemoveImage | CollectImages, caller: Caller) -> Removal:
        """Take names and images out; returns once they are gone. Raises Refused."""
        outcome = await self._engine.call(intent, caller)
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        seq = outcome.seq + 1  # the request stands right behind the call
        if outcome.repeated and seq not in self._engine.machine.leaving.values():
            return Removal((), (), 0, outcome.seq, repeated=True)
        done = self._done.setdefault(seq, asyncio.get_running_loop().create_future())
        self._asked.set()
        try:
            async with asyncio.timeout(REMOVE_WAIT_S):
                freed = await asyncio.shield(done)
        except TimeoutError:
            raise Refused(
                refused(
                    "DEADLINE_EXCEEDED",
                    "STILL_REMOVING",
                    "the image is not gone yet; it will be, as soon as the runtime answers",
                )
            ) from None
        event = next((one for one in outcome.events if isinstance(one, ImageRemovalRequested)), ImageRemovalRequested())
        return Removal(event.refs, event.digests, freed, outcome.seq, outcome.repeated)

    async def run(self) -> None:
        """Carry removals out, one after another; what fails is tried again. Then look, if names are in doubt."""
        attempt = 0
        told_full = False
        while True:
            try:
                await self._carry_out()
                if self._in_doubt:
                    await self._compare()
            except DriverError as error:
                attempt += 1
                log.warning("images cannot be removed just now: %s", error)
                await self._clock.sleep(retry_delay_ms(attempt) / 1000)
            except JournalFull as full:
                if not told_full:
                    log.warning("what became of images cannot be journaled yet: %s", full)
                told_full = True
                await self._clock.sleep(FULL_RETRY_S)
            else:
                attempt, told_full = 0, False
                await self._asked.wait()
                self._asked.clear()

    async def _carry_out(self) -> None:
        while leaving := leaving_now(self._engine.machine):
            seq = min(leaving.values())
            await self._engine.durable(seq)
            async with self._store.naming:
                # A push of the same name may have come in between: then that name is not leaving any more.
                records = [record for record, at in self._engine.machine.leaving.items() if at == seq]
                freed = await self._take_out(records, seq) if records else 0
            await self._engine.durable()
            self._tell(seq, freed)
        # What was asked for again since left with that, and what was pushed again meanwhile stays.
        await self._engine.durable()
        for seq in self._done.keys() - self._engine.machine.leaving.values():
            self._tell(seq, 0)

    def _tell(self, seq: int, freed_bytes: int) -> None:
        done = self._done.pop(seq, None)
        if done is not None and not done.done():
            done.set_result(freed_bytes)

    async def _take_out(self, records: Sequence[str], cause: int) -> int:
        freed = await self._store.remove([record for record in records if record != PARTIAL])
        if PARTIAL in records:
            freed += await self._store.drop_partial()
        removed = ImageRemoved(
            refs=tuple(one for one in records if one != PARTIAL and not one.startswith("sha256:")),
            digests=tuple(one for one in records if one.startswith("sha256:")),
            partial=PARTIAL in records,
            freed_bytes=freed,
        )
        self._engine.record((removed,), cause=cause, vital=True)
        return freed


def _seen(image: CachedImage) -> SeenImage:
    return SeenImage(image.ref if image.is_name else "", image.index_digest, image.platform_digest, image.size_bytes)
