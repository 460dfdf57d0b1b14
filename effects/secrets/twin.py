"""The simulated twin of the driver of secrets' files: the same contract on a world in memory."""

from collections.abc import Awaitable, Callable

from effects.secrets.protocol import SecretContent, SecretDirectory, SeenFiles, place_of, targets_of

Step = Callable[[str], Awaitable[None]]
"""Awaited before and after everything a driver does to the world; may delay, raise, or never return."""

Key = tuple[str, int]
"""(name, uid)"""


class Shelf:
    """The machine's memory: it outlives drivers, not the power. Each place has its files by their places in it."""

    def __init__(self) -> None:
        self.places: dict[Key, dict[str, SecretContent]] = {}

    def directory(self, source: str) -> tuple[bytes, ...]:
        """What the directory at this path of the machine holds, in the order of its files' names."""
        place, _, directory = source.partition("/")
        name, _, uid = place.rpartition(".")
        files = self.places.get((name, int(uid)), {})
        return tuple(files[path].content for path in sorted(files) if path.startswith(f"{directory}/"))

    def lose_power(self) -> None:
        """Nothing is left."""
        self.places.clear()


class TwinSecretFiles:
    """A driver on a shelf. See the protocol."""

    def __init__(self, shelf: Shelf, step: Step) -> None:
        self._shelf = shelf
        self._step = step

    async def observe(self) -> tuple[SeenFiles, ...]:
        """See the protocol."""
        await self._step("observe secrets")
        return tuple(SeenFiles(*key, frozenset(files)) for key, files in self._shelf.places.items())

    async def ensure(self, name: str, uid: int, files: tuple[SecretContent, ...]) -> None:
        """See the protocol."""
        await self._step("look at secrets")
        place = self._shelf.places.setdefault((name, uid), {})
        for file in files:
            place[place_of(file.path)] = file
            await self._step("secret written")
        wanted = {place_of(file.path) for file in files}
        for stale in place.keys() - wanted:
            del place[stale]
        await self._step("secrets ensured")

    async def remove(self, name: str, uid: int) -> None:
        """See the protocol."""
        await self._step("remove secrets")
        self._shelf.places.pop((name, uid), None)
        await self._step("secrets removed")

    def directories(self, name: str, uid: int, paths: tuple[str, ...]) -> tuple[SecretDirectory, ...]:
        """See the protocol."""
        return tuple(SecretDirectory(f"{name}.{uid}/{key}", target) for key, target in targets_of(paths).items())
