"""Sealed values: secrets live encrypted in files named by a keyed hash, and only that hash stands in the journal.

The hash is keyed with the machine's key, so that nobody who has the journal can test a guess; equal values have equal
hashes, so that applying the same manifest again changes nothing. The file is durable before the event that names it.

A file that is there and does not open (a disk that lost it, another machine key) counts as none wherever values are
given or named by a call: so giving the value again mends it. A call has a handful of them. Nobody looks at the
thousands of others, at a start neither: who needs one of those finds out.
"""

import asyncio
import hashlib
import hmac
import logging
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence, Set
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from effects.errors import DriverError, NoSpace, unwritten
from effects.unbroken import to_its_end
from journal.durable import write_all_durably
from journal.specs import ContainerSpec, SealedEnv

log = logging.getLogger(__name__)

PREFIX = "sealed:"
_HASH_CHARS = 32
_NONCE_BYTES = 12


_OURS = re.compile(rf"[0-9a-f]{{{_HASH_CHARS}}}|\.[0-9a-f]{{{_HASH_CHARS}}}\.[0-9]+")
"""A value, or one that was half written."""


class SealFailed(DriverError):
    """Raised when a value cannot be kept."""

    reason = "SEAL_FAILED"


class SealBroken(DriverError):
    """Raised when a sealed value is missing or cannot be opened with this machine's key."""

    reason = "SEAL_BROKEN"
    permanent = True


class Vault:
    """The sealed values of one machine."""

    def __init__(self, directory: Path, machine_key: bytes, naming_key: bytes = b"") -> None:
        """`naming_key`: by which values are named that came from another machine, so that their names stay the same."""
        self._directory = directory
        self.naming_key = naming_key or derived(machine_key, b"capsule sealed value names 1")
        self._cipher = AESGCM(derived(machine_key, b"capsule sealed values 1"))
        self._files = asyncio.Lock()
        self._held: Counter[str] = Counter()
        self.asked_for: set[str] = set()
        """Values that were sealed or asked for since the last sweep began, or by calls that were on their way then."""
        self.released: Callable[[], None] = lambda: None
        """Called when a call needs its values no more: if it was refused, nothing names them."""

    def name_of(self, value: str) -> str:
        """The keyed hash that stands for `value`."""
        return hmac.new(self.naming_key, value.encode(), hashlib.sha256).hexdigest()[:_HASH_CHARS]

    @asynccontextmanager
    async def kept(self, values: Sequence[str], names: Set[str] = frozenset()) -> AsyncIterator[frozenset[str]]:
        """Inside, `values` are on the disk, and no sweep takes them or what is kept under `names`; those of the latter
        that are not there, or do not open, are what it gives. Afterwards they stay as long as something names them.

        Raises NoSpace, SealFailed.
        """
        held = {*map(self.name_of, values), *names}
        self.asked_for |= held
        self._held.update(held)
        try:
            async with self._files:
                missing = await to_its_end(asyncio.to_thread(self._kept, values, names))
            yield missing
        finally:
            self._held.subtract(held)
            self._held += Counter()  # what nobody holds any more is not counted
            self.released()

    def _kept(self, values: Sequence[str], names: Set[str]) -> frozenset[str]:
        self.seal(values)
        return frozenset(name for name in names if not self._opens(name))

    def seal(self, values: Sequence[str]) -> list[str]:
        """Keep the values and return their names. What is kept of one already stays where it opens, and is replaced
        where it does not. Blocking. Raises NoSpace, SealFailed."""
        named = {self.name_of(value): value for value in values}
        try:
            if new := {name: self._sealed(name, value) for name, value in named.items() if not self._opens(name)}:
                self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_all_durably(self._directory, new)
        except OSError as error:
            raise _unkept(error) from error
        return [self.name_of(value) for value in values]

    def _sealed(self, name: str, value: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value.encode(), name.encode())

    def _opens(self, name: str) -> bool:
        try:
            self.open(name)
        except SealBroken:
            return False
        return True

    def open(self, name: str) -> str:
        """The value behind a name. Raises SealBroken."""
        try:
            content = (self._directory / name).read_bytes()
            return self._cipher.decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], name.encode()).decode()
        except OSError as error:
            raise SealBroken(f"a sealed value is gone ({name}): apply the workload again with the value") from error
        except (InvalidTag, ValueError) as error:
            raise SealBroken(
                f"a sealed value ({name}) cannot be opened with this machine's key: apply the workload again with it"
            ) from error

    def begin_sweep(self) -> None:
        """Whatever is asked for from now on stays."""
        self.asked_for = set(self._held)

    async def sweep(self, named: Set[str]) -> None:
        """Delete what is none of these values, nor was asked for since the sweep began: values, and what a seal that
        was cut left over. What else lies there is not ours. Raises OSError when the directory cannot be read."""
        async with self._files:
            stays = named | self.asked_for
            await to_its_end(asyncio.to_thread(self._destroy, stays))

    def _destroy(self, stays: Set[str]) -> None:
        try:
            found = os.listdir(self._directory)
        except FileNotFoundError:
            return
        for file in found:
            if _OURS.fullmatch(file) and file not in stays:
                try:
                    (self._directory / file).unlink(missing_ok=True)
                except OSError as error:
                    log.warning("a sealed value that nothing names cannot be deleted (%s): %s", file, error.strerror)

    def environment(self, spec: ContainerSpec) -> tuple[tuple[str, str], ...]:
        """A spec's environment in clear, for the driver alone."""
        return tuple((variable.name, self.open(variable.sealed)) for variable in spec.env)


def _unkept(error: OSError) -> DriverError:
    condition = unwritten("a sealed value", error)
    return condition if isinstance(condition, NoSpace) else SealFailed(condition.message)


def shown(variable: SealedEnv) -> str:
    """What an operator sees in place of the value; applied back, it keeps the value."""
    return PREFIX + variable.sealed


def derived(key: bytes, purpose: bytes) -> bytes:
    """A key for one purpose, 32 bytes, from the machine's."""
    return hmac.new(key, purpose, hashlib.sha256).digest()
