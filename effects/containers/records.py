"""containerd's records of containers: without one the runtime neither starts, ends nor forgets a process."""

from collections.abc import Sequence
from typing import Any

import grpc
import msgspec
from google.protobuf.any_pb2 import Any as AnyMessage

from containerdapi import containers_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, tolerated, translated
from effects.runs import names
from effects.runs.protocol import RunSpec

SPEC_URL = "types.containerd.io/opencontainers/runtime-spec/1/Spec"
RUNTIME = "io.containerd.runc.v2"
_NO_SUCH = grpc.StatusCode.NOT_FOUND
_EXISTS = grpc.StatusCode.ALREADY_EXISTS


class Records:
    """Those of one capsule. `options` are what the runtime is told of each."""

    def __init__(self, connection: Connection, options: AnyMessage) -> None:
        self._connection = connection
        self._options = options
        self._metadata = connection.metadata

    async def all(self) -> Sequence[Any]:
        """Every container with our labels. Raises DriverError."""
        return await self._matching(f'labels."{names.NAME}"')

    async def of(self, name: str, uid: int) -> Sequence[Any]:
        """The incarnation's. Raises DriverError."""
        return await self._matching(names.incarnation(name, uid))

    async def _matching(self, words: str) -> Sequence[Any]:
        asked = containers_pb2.ListContainersRequest(filters=[words])
        with tolerated():
            found = (await self._connection.containers.List(asked, metadata=self._metadata)).containers
        return [one for one in found if names.is_ours(one.labels)]

    async def labels(self, cid: str) -> dict[str, str]:
        """What a container is labelled with. Raises grpc.aio.AioRpcError."""
        request = containers_pb2.GetContainerRequest(id=cid)
        answer = await self._connection.containers.Get(request, metadata=self._metadata)
        return dict(answer.container.labels)

    async def write(self, run: RunSpec, cid: str, key: str, spec: dict[str, Any], signal: int) -> None:
        """The run's, on the layer `key`, as this release renders it. Raises DriverError."""
        container = containers_pb2.Container(
            id=cid,
            labels=names.labels_of(run) | {names.STOP_SIGNAL: str(signal)},
            image=run.image,
            runtime=self._runtime(),
            spec=AnyMessage(type_url=SPEC_URL, value=msgspec.json.encode(spec)),
            snapshotter=SNAPSHOTTER,
            snapshot_key=key,
        )
        request = containers_pb2.CreateContainerRequest(container=container)
        try:
            await self._connection.containers.Create(request, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() != _EXISTS:
                raise translated(error) from error
            # Left by a start that was cut short; this release may render it differently.
            await self.remove(cid)
            with tolerated():
                await self._connection.containers.Create(request, metadata=self._metadata)

    async def write_empty(self, cid: str) -> None:
        """One that a process without any can be removed by. Raises DriverError."""
        container = containers_pb2.Container(
            id=cid, runtime=self._runtime(), spec=AnyMessage(type_url=SPEC_URL, value=b"{}")
        )
        with tolerated(_EXISTS):
            request = containers_pb2.CreateContainerRequest(container=container)
            await self._connection.containers.Create(request, metadata=self._metadata)

    async def remove(self, cid: str) -> bool:
        """It is not there; whether it was. Raises DriverError."""
        with tolerated(_NO_SUCH):
            request = containers_pb2.DeleteContainerRequest(id=cid)
            await self._connection.containers.Delete(request, metadata=self._metadata)
            return True
        return False

    def _runtime(self) -> Any:
        return containers_pb2.Container.Runtime(name=RUNTIME, options=self._options)
