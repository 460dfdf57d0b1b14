"""The contract of registries, on the twin and on a real one: what a name means, and how each shut door is called."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from effects.errors import (
    DriverError,
    ImageUnknown,
    RegistryDenied,
    RegistryUnreachable,
    RegistryUntrusted,
    WrongArchitecture,
)
from effects.images.protocol import ImageStore
from effects.images.registry import Access, Registry
from effects.images.registry_twin import Door, Registries, TwinRegistry
from effects.images.twin import CacheWorld, TwinImages
from journal.specs import ImagePin
from tests.support.images import Sample, twin_image
from tests.support.registry import PASSWORD, USER, registry
from tests.support.runtime import runtime

ONE = Sample()
BIG = Sample(architecture="s390x", seed=2)


@dataclass
class Subject:
    """A registry that has `web:1` (and `big:1` for another processor) and a cache that pulls from it. `shut` closes its
    door in the way of the name, `access` is what opens it."""

    registry: Registry
    store: ImageStore
    ref: Callable[[str], str]
    shut: Callable[[], None]
    access: Access


@asynccontextmanager
async def twin(door: Door) -> AsyncIterator[Subject]:
    async def step(point: str) -> None:
        await asyncio.sleep(0)

    registries = Registries()
    for name, sample in (("web:1", ONE), ("big:1", BIG)):
        registries.offer(f"registry.test/{name}", twin_image(sample))
    made = TwinRegistry(registries, step)

    def shut() -> None:
        registries.door = door

    store = TwinImages(CacheWorld(), step, made)
    yield Subject(made, store, lambda name: f"registry.test/{name}", shut, Access("registry.test"))


@asynccontextmanager
async def real(door: Door) -> AsyncIterator[Subject]:
    auth, tls = "basic" if door == "denied" else "", door == "untrusted"
    with registry(auth=auth, tls=tls) as running:
        async with runtime() as made:
            running.push(ONE, "web:1")
            running.push(BIG, "big:1")
            known, stranger = Access(running.host), Access(running.host)
            if running.ca is not None:
                known = Access(running.host, ca_pem=running.ca.pem)
            if auth:
                known, stranger = Access(running.host, USER, PASSWORD), Access(running.host, USER, "wrong")
            made.access[running.host] = known

            def shut() -> None:
                made.access[running.host] = stranger
                if door == "down":
                    running.process.kill()
                    running.process.wait()

            yield Subject(made.registry, made.images, lambda name: f"{running.host}/{name}", shut, stranger)


BOTH = pytest.mark.parametrize(
    "subject",
    [twin, pytest.param(real, marks=[pytest.mark.real, pytest.mark.needs("docker-registry")])],
    ids=["twin", "docker-registry"],
)


def run_suite(subject: Any, suite: Callable[[Subject], Awaitable[None]], door: Door = "open") -> None:
    async def main() -> None:
        async with asyncio.timeout(60), subject(door) as made:
            await suite(made)

    asyncio.run(main())


@BOTH
def test_a_name_means_an_image_for_this_machine_or_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        digest = twin_image(ONE).index_digest
        assert await made.registry.resolve(made.ref("web:1")) == ImagePin(made.ref("web:1"), digest, digest)
        with pytest.raises(ImageUnknown):
            await made.registry.resolve(made.ref("web:2"))
        with pytest.raises(WrongArchitecture, match="linux/s390x"):
            await made.registry.resolve(made.ref("big:1"))
        await made.registry.check(made.access)

    run_suite(subject, suite)


@BOTH
@pytest.mark.parametrize(
    ("door", "error"),
    [("down", RegistryUnreachable), ("untrusted", RegistryUntrusted), ("denied", RegistryDenied)],
    ids=["down", "untrusted", "denied"],
)
def test_a_shut_door_is_named_at_every_step_and_nothing_has_come_in(
    subject: Any, door: Door, error: type[DriverError]
) -> None:
    async def suite(made: Subject) -> None:
        pin = await made.registry.resolve(made.ref("web:1"))
        made.shut()
        with pytest.raises(error):
            await made.registry.resolve(made.ref("web:1"))
        with pytest.raises(error):
            await made.registry.check(made.access)
        with pytest.raises(error):
            await made.store.pull(pin, moves=True)
        assert await made.store.observe() == ()
        layers = [layer.digest for layer in twin_image(ONE).layers]
        assert set((await made.store.held(layers)).values()) == {0}

    run_suite(subject, suite, door)
