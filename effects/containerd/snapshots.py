"""Snapshots and their directories, also where the two do not agree: a containerd that was killed leaves the directory
of one that it does not know of, and a power cut a record whose directory is not there."""

import asyncio
import re
import shutil
import uuid
from pathlib import Path
from typing import Any

import grpc

from containerdapi import snapshots_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, Metadata, translated
from effects.runs.users import layer_directories

_PLACE = rf"\S+/io\.containerd\.snapshotter\.v1\.{SNAPSHOTTER}/snapshots/\d+"
_TAKEN = re.compile(rf"rename \S+/new-\d+ ({_PLACE}): file exists")
_LOST = re.compile(rf"failed to stat parent: stat ({_PLACE}/fs): no such file")


async def prepared(connection: Connection, key: str, parent: str, labels: dict[str, str], metadata: Metadata) -> Any:
    """The mounts of a new writable snapshot. Raises grpc.aio.AioRpcError.

    containerd moves a snapshot's directory into its place before it commits its record of it. Killed between the two,
    it gives the same number to the next one, finds the place taken, and cannot make any snapshot again by itself.
    """
    request = snapshots_pb2.PrepareSnapshotRequest(snapshotter=SNAPSHOTTER, key=key, parent=parent, labels=labels)

    async def prepare() -> Any:
        return (await connection.snapshots.Prepare(request, metadata=metadata)).mounts

    try:
        return await prepare()
    except grpc.aio.AioRpcError as error:
        if _taken(error) is None:
            raise
    async with connection.clearing:
        try:
            return await prepare()  # somebody else may have cleared the place
        except grpc.aio.AioRpcError as error:
            place = _taken(error)
            if place is None:
                raise
            await asyncio.to_thread(_clear, place)
        return await prepare()


async def files_of(connection: Connection, name: str, key: str, metadata: Metadata) -> Path:
    """Where the files of a committed snapshot are, or were. A view of it is called `key`, which whoever asks removes.
    Raises DriverError."""
    request = snapshots_pb2.ViewSnapshotRequest(snapshotter=SNAPSHOTTER, key=key, parent=name)
    try:
        mounts = (await connection.snapshots.View(request, metadata=metadata)).mounts
    except grpc.aio.AioRpcError as error:
        lost = _LOST.search(error.details() or "")
        if lost is None:
            raise translated(error) from error
        return Path(lost[1])
    return topmost(mounts)


def directories_of(mounts: Any) -> tuple[Path, ...]:
    """The directories with the files of a snapshot that is mounted like this, the topmost first."""
    return layer_directories((mount.type, mount.source, tuple(mount.options)) for mount in mounts)


def topmost(mounts: Any) -> Path:
    """The directory with the files of a snapshot that is mounted like this, without those of the ones below it."""
    return directories_of(mounts)[0]


def _taken(error: grpc.aio.AioRpcError) -> Path | None:
    """The place that is taken. containerd has just said that it has no snapshot there: no other can get that number
    before the directory is gone."""
    found = _TAKEN.search(error.details() or "")
    return None if found is None else Path(found[1])


def _clear(place: Path) -> None:
    aside = place.with_name(f"unknown-{uuid.uuid4().hex}")
    place.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
