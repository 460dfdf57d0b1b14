"""Snapshots that are there for a piece of work only, and go with it: also those that could not be removed then, as
containerd was gone, and those that a daemon left that died in the middle.
"""

import uuid

import grpc

from containerdapi import snapshots_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, tolerated
from effects.errors import DriverError


class Passing:
    """Those whose keys begin with `prefix`."""

    def __init__(self, connection: Connection, prefix: str) -> None:
        self._connection = connection
        self._prefix = prefix
        self._left: set[str] = set()
        self._own: set[str] = set()

    def key(self, words: str = "") -> str:
        """What another one is called; `words` say what it is for. Until it is dropped or done with, it is in use."""
        key = f"{self._prefix}{uuid.uuid4().hex}{words}"
        self._own.add(key)
        return key

    def done(self, key: str) -> None:
        """It has become something that stays."""
        self._own.discard(key)

    def owns(self, key: str) -> bool:
        """Whether it is still in use."""
        return key in self._own

    async def sweep(self) -> None:
        """None is there but those that this process has in use: calls that make some do not wait for the first look.
        Raises DriverError."""
        asked = snapshots_pb2.ListSnapshotsRequest(snapshotter=SNAPSHOTTER)
        with tolerated(grpc.StatusCode.NOT_FOUND):
            pages = self._connection.snapshots.List(asked, metadata=self._connection.metadata)
            names = [info.name async for page in pages for info in page.info]
            self._left.update(name for name in names if name.startswith(self._prefix) and name not in self._own)
        await self.drop()

    async def drop(self, *keys: str) -> None:
        """These are not needed any more, nor are those that could not be removed before."""
        self._left.update(keys)
        self._own.difference_update(keys)
        for key in tuple(self._left):
            request = snapshots_pb2.RemoveSnapshotRequest(snapshotter=SNAPSHOTTER, key=key)
            try:
                with tolerated(grpc.StatusCode.NOT_FOUND):
                    await self._connection.snapshots.Remove(request, metadata=self._connection.metadata)
            except DriverError:
                continue  # containerd is gone: next time
            self._left.discard(key)
