"""Sealed values: secrets live encrypted in files named by a keyed hash, and only that hash stands in the journal.

The hash is keyed with the machine's key, so that nobody who has the journal can test a guess; equal values have equal
hashes, so that applying the same manifest again changes nothing. The file is durable before the event that names it.
"""

import hashlib
import hmac
import os
from collections.abc import Iterable, Set
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from effects.errors import DriverError
from journal.durable import write_durably
from journal.specs import ContainerSpec, SealedEnv

PREFIX = "sealed:"
_HASH_CHARS = 32
_NONCE_BYTES = 12


class SealBroken(DriverError):
    """Raised when a sealed value is missing or cannot be opened with this machine's key."""

    reason = "SEAL_BROKEN"
    permanent = True


class Vault:
    """The sealed values of one machine."""

    def __init__(self, directory: Path, machine_key: bytes) -> None:
        self._directory = directory
        self._naming = derived(machine_key, b"capsule sealed value names 1")
        self._cipher = AESGCM(derived(machine_key, b"capsule sealed values 1"))
        self.asked_for: set[str] = set()
        """Values that were sealed or asked for since the last sweep began."""

    def name_of(self, value: str) -> str:
        """The keyed hash that stands for `value`."""
        return hmac.new(self._naming, value.encode(), hashlib.sha256).hexdigest()[:_HASH_CHARS]

    def seal(self, value: str) -> str:
        """Keep `value` and return its name. Raises OSError."""
        name = self.name_of(value)
        self.asked_for.add(name)
        path = self._directory / name
        if not path.exists():
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            nonce = os.urandom(_NONCE_BYTES)
            write_durably(path, nonce + self._cipher.encrypt(nonce, value.encode(), name.encode()))
        return name

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

    def holds(self, name: str) -> bool:
        """Whether a value is kept under `name`. Who asks is about to name it, so a sweep on its way leaves it."""
        self.asked_for.add(name)
        return (self._directory / name).exists()

    def unnamed(self, named: Set[str]) -> set[str]:
        """Files that are none of these values, left over from a seal that was cut too."""
        self.asked_for.clear()
        try:
            return set(os.listdir(self._directory)) - named
        except FileNotFoundError:
            return set()

    def destroy(self, files: Iterable[str]) -> None:
        """Delete what `unnamed` found, but for values that were sealed or asked for since."""
        for file in set(files) - self.asked_for:
            (self._directory / file).unlink(missing_ok=True)

    def environment(self, spec: ContainerSpec) -> tuple[tuple[str, str], ...]:
        """A spec's environment in clear, for the driver alone."""
        return tuple((variable.name, self.open(variable.sealed)) for variable in spec.env)


def shown(variable: SealedEnv) -> str:
    """What an operator sees in place of the value; applied back, it keeps the value."""
    return PREFIX + variable.sealed


def derived(key: bytes, purpose: bytes) -> bytes:
    """A key for one purpose, 32 bytes, from the machine's."""
    return hmac.new(key, purpose, hashlib.sha256).digest()
