"""A secret's value as it is sealed: together with the name it is for, so that the hash in the journal is of nothing
that could be a value elsewhere, and a file that was put in another's place is found out. Any bytes are a value.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from capsuled.sealing import SealBroken
from effects.goals import EnsureSecretFiles, StartRun
from effects.secrets.protocol import SecretContent
from journal.specs import ContainerSpec
from projections.linux import ENV_BYTES_MAX

_KIND = "secret"
_SEPARATOR = "\0"

T = TypeVar("T")


def sealed_text(name: str, value: bytes) -> str:
    """What is sealed for a secret."""
    return _SEPARATOR.join((_KIND, name, base64.b64encode(value).decode()))


def value_of(text: str, name: str) -> bytes:
    """The value in a sealed text. Raises SealBroken when it is another's."""
    kind, _, rest = text.partition(_SEPARATOR)
    found, _, value = rest.partition(_SEPARATOR)
    if (kind, found) != (_KIND, name):
        raise SealBroken(f"a sealed value is not that of secret {name}: give it its value again with `secret rotate`")
    return base64.b64decode(value)


class Opener(Protocol):
    """What opens sealed values."""

    def open(self, name: str) -> str:
        """The value behind a name. Raises SealBroken."""
        ...

    def environment(self, spec: ContainerSpec) -> tuple[tuple[str, str], ...]:
        """A spec's own environment in clear. Raises SealBroken."""
        ...


class Beside(Protocol):
    """Does work that waits for a disk where nobody else waits for it."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """What `work` returns or raises."""
        ...


class Unsealer:
    """What runs are given, in clear, for the drivers alone. Raises SealBroken.

    Each value is a file, and a run may have a thousand: they are read `beside` the event loop.
    """

    def __init__(self, vault: Opener, beside: Beside = asyncio.to_thread) -> None:
        self._vault = vault
        self._beside = beside

    async def environment(self, goal: StartRun) -> tuple[tuple[str, str], ...]:
        """The variables of a run: the declared ones, and those with secrets' values."""
        return await self._beside(lambda: self._environment(goal))

    async def files(self, goal: EnsureSecretFiles) -> tuple[SecretContent, ...]:
        """The files of a run."""
        return await self._beside(lambda: self._files(goal))

    def _environment(self, goal: StartRun) -> tuple[tuple[str, str], ...]:
        names = {one.name: one.secret for one in goal.spec.secret_env}
        given = ((one.name, self._value(names[one.name], one.sealed)) for one in goal.secret_env)
        return (*self._vault.environment(goal.spec), *((name, value.decode()) for name, value in given))

    def _files(self, goal: EnsureSecretFiles) -> tuple[SecretContent, ...]:
        return tuple(
            SecretContent(one.path, self._value(one.secret, one.sealed), one.mode, one.uid, one.gid)
            for one in goal.files
        )

    def _value(self, secret: str, sealed: str) -> bytes:
        try:
            return value_of(self._vault.open(sealed), secret)
        except SealBroken as broken:
            raise SealBroken(
                f"the value of secret {secret} is gone, or cannot be opened with this machine's key: give it one again "
                f"with `capsulectl secret rotate {secret}`"
            ) from broken


def is_text(value: bytes) -> bool:
    """Whether a process can be given the value in its environment."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in value and len(value) <= ENV_BYTES_MAX
