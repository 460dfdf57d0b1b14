"""The volumes of a container that nobody has used before it: given to it before it begins (sandbox/new_volumes.py)."""

from functools import partial
from pathlib import Path

from effects.runs.process import Identity
from effects.runs.protocol import RunSpec
from effects.volumes.conditions import on_thread
from sandbox.new_volumes import settle


async def settled(run: RunSpec, directories: tuple[Path, ...], identity: Identity) -> None:
    """Those that it may write to are as it wants them. `directories` are its layer's and its image's: what the runtime
    made in the first for an earlier run, to mount at, is nobody's wish. Raises DriverError."""
    for volume in run.volumes:
        if not volume.read_only:
            await on_thread(partial(settle, volume.source, volume.target, directories[1:], identity.uid, identity.gid))
