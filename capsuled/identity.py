"""Who this machine is: its id and its key, made once and kept."""

import contextlib
import os
import uuid
from pathlib import Path

import msgspec

from journal.durable import write_durably

KEY_BYTES = 32
_OF_KEY = (
    "it has {size} bytes, and the machine's key {wanted}: put it back from a copy. Without one remove it, and another "
    "is made, with which nothing that is sealed so far (secrets, environments, passwords of registries) can be opened"
)
_OF_NAMES = (
    "it has {size} bytes, and the key of sealed values' names {wanted}: put it back from a copy. Without one remove "
    "it: a value that is sealed again then counts as another, and replaces what has it in its environment"
)
_OF_ID = (
    "it holds no UUID, and so does not say which machine this is: put it back from a copy (clients' contexts have it). "
    "Without one remove it, and another is made: operators adopt the machine again, and nothing may run meanwhile"
)


class BadIdentity(OSError):
    """Raised when what is kept of who this machine is was cut or altered: a key of no bytes is known to everybody, and
    none is made anew by itself, for it would open nothing."""


class Identity(msgspec.Struct, frozen=True):
    """`capsule_id` is a UUIDv4; `machine_key` seals values and never leaves the machine. `naming_key` is the key of
    their names, where they came from another machine; empty: it is derived from this one's."""

    capsule_id: str
    machine_key: bytes
    naming_key: bytes = b""

    @property
    def short_id(self) -> str:
        """What people call it."""
        return short_id_of(self.capsule_id)

    def __repr__(self) -> str:
        return f"Identity({self.capsule_id})"


def short_id_of(capsule_id: str) -> str:
    """What people call the machine with this id."""
    return f"capsule-{capsule_id[:4]}"


def load_or_make(directory: Path) -> Identity:
    """The identity kept in `directory`, made there if it is new. Raises OSError, BadIdentity."""
    capsule_id = load_or_make_id(directory)
    naming_key = b""
    with contextlib.suppress(FileNotFoundError):
        naming_key = _checked(directory / "naming_key", (directory / "naming_key").read_bytes(), _OF_NAMES)
    place = directory / "machine_key"
    return Identity(capsule_id, _checked(place, _kept(place, os.urandom(KEY_BYTES)), _OF_KEY), naming_key)


def load_or_make_id(directory: Path) -> str:
    """The id alone, for who seals nothing. Raises OSError, BadIdentity."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = directory / "capsule_id"
    text = _kept(place, str(uuid.uuid4()).encode() + b"\n").decode(errors="replace").strip()
    try:
        uuid.UUID(text)
    except ValueError as error:
        raise BadIdentity(0, _OF_ID, str(place)) from error
    return text


def _checked(path: Path, key: bytes, words: str) -> bytes:
    if len(key) != KEY_BYTES:
        raise BadIdentity(0, words.format(size=len(key), wanted=KEY_BYTES), str(path))
    return key


def _kept(path: Path, fresh: bytes) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    write_durably(path, fresh)
    return fresh
