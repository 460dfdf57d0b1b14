"""Calls about updates of the system, as admission sees them: what the world had to be asked for is in them."""

from typing import Literal

import msgspec

Level = tuple[tuple[str, int], ...]
"""Types of events, each with its highest version."""

ConfirmWhen = Literal["operator", "healthy"]


class System(msgspec.Struct, frozen=True):
    """One build of the operating system. `built`: Unix seconds."""

    version: str
    commit: str
    built: int


class BeginUpdate(msgspec.Struct, frozen=True):
    """Write `new` into the other slot. `running` is what runs; `reads` what the new one reads, `level` the `must`
    events that the running one reads, and `written` those that stand in the journal. `keeps`: the volumes of which a
    snapshot of that name is taken first; `keys_known`: all of the journal could be read that tells of keys."""

    new: System
    running: System
    size_bytes: int
    signed_by: str
    reads: Level
    level: Level
    written: Level
    window_s: int
    confirm_when: ConfirmWhen = "operator"
    soak_s: int = 60
    allow_downgrade: bool = False
    retry: bool = False
    keeps: tuple[str, ...] = ()
    snapshot: str = ""
    keys_known: bool = True


class ConfirmUpdate(msgspec.Struct, frozen=True):
    """What runs unconfirmed is to stay."""


class RollBackUpdate(msgspec.Struct, frozen=True):
    """The system before is to run again. `running`, `level`, `written` as of BeginUpdate. `allow_freeze`: also one that
    cannot read what was written since; `with_data`: with the volumes as they were before the update."""

    running: System
    level: Level
    written: Level
    window_s: int
    allow_freeze: bool = False
    with_data: bool = False


class AddUpdateKey(msgspec.Struct, frozen=True):
    """Take bundles that this key signed. `public_key` is hex."""

    kid: str
    public_key: str
    name: str


class RemoveUpdateKey(msgspec.Struct, frozen=True):
    """Take no bundle any more for this key's signature."""

    kid: str


UpdateIntent = BeginUpdate | ConfirmUpdate | RollBackUpdate | AddUpdateKey | RemoveUpdateKey
