"""What runs are given in clear is read where it holds up nobody."""

import asyncio
import threading

from msgspec.structs import replace

from capsuled.secrets import Unsealer, sealed_text
from effects.goals import EnsureSecretFiles, StartRun
from effects.secrets.protocol import SecretContent
from journal.specs import ContainerSpec, PlacedSecret, SealedEnv, SecretEnv
from tests.support.story import spec

VALUE = b"hunter2"


class SlowVault:
    """The disk under it answers once it is let."""

    def __init__(self) -> None:
        self.answers = threading.Event()

    def open(self, name: str) -> str:
        assert self.answers.wait(30), "the event loop waits for the disk"
        return sealed_text("key", VALUE)

    def environment(self, spec: ContainerSpec) -> tuple[tuple[str, str], ...]:
        return tuple((one.name, self.open(one.sealed)) for one in spec.env)


def test_a_disk_that_takes_its_time_over_sealed_values_holds_up_nobody_else() -> None:
    uses = replace(spec(), secret_env=(SecretEnv("KEY", "key"),))
    start = StartRun("web", 1, 1, 1, uses, secret_env=(SealedEnv("KEY", "name", len(VALUE)),))
    place = EnsureSecretFiles("web", 1, (PlacedSecret("key", 1, "name", "/run/secrets/key"),))

    async def inside() -> None:
        vault = SlowVault()
        unsealer = Unsealer(vault)
        environment = asyncio.ensure_future(unsealer.environment(start))
        files = asyncio.ensure_future(unsealer.files(place))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not environment.done() and not files.done()
        vault.answers.set()
        assert await environment == (("KEY", VALUE.decode()),)
        (file,) = await files
        assert isinstance(file, SecretContent) and file.content == VALUE

    asyncio.run(inside())
