"""Who this machine is: its id and its key, made once and kept."""

import contextlib
import os
import uuid
from pathlib import Path

import msgspec

from journal.durable import write_durably

KEY_BYTES = 32


class Identity(msgspec.Struct, frozen=True):
    """`capsule_id` is a UUIDv4; `machine_key` seals values and never leaves the machine. `naming_key` is the key of
    their names, where they came from another machine; empty: it is derived from this one's."""

    capsule_id: str
    machine_key: bytes
    naming_key: bytes = b""

    @property
    def short_id(self) -> str:
        """What people call it."""
        return f"capsule-{self.capsule_id[:4]}"

    def __repr__(self) -> str:
        return f"Identity({self.capsule_id})"


def load_or_make(directory: Path) -> Identity:
    """The identity kept in `directory`, made there if it is new. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    capsule_id = _kept(directory / "capsule_id", str(uuid.uuid4()).encode() + b"\n")
    naming_key = b""
    with contextlib.suppress(FileNotFoundError):
        naming_key = (directory / "naming_key").read_bytes()
    machine_key = _kept(directory / "machine_key", os.urandom(KEY_BYTES))
    return Identity(capsule_id.decode().strip(), machine_key, naming_key)


def _kept(path: Path, fresh: bytes) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    write_durably(path, fresh)
    return fresh
