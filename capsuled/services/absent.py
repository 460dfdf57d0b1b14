"""Services whose drivers this release does not have: answered truthfully, refused by name."""

from typing import Any

from capsule.v1 import volume_pb2
from capsule.v1.volume_pb2_grpc import VolumeServiceServicer
from capsuled.rpc import refuse


class NoVolumes(VolumeServiceServicer):
    """A machine without a volume driver."""

    async def List(self, request: volume_pb2.VolumeListRequest, context: Any) -> volume_pb2.VolumeListResponse:
        """There are none."""
        return volume_pb2.VolumeListResponse()

    async def Get(self, request: volume_pb2.VolumeGetRequest, context: Any) -> volume_pb2.Volume:
        """There is none."""
        refuse("NOT_FOUND", "VOLUME_NOT_FOUND", f"there is no volume {request.name}", "name")

    async def Delete(self, request: volume_pb2.VolumeDeleteRequest, context: Any) -> volume_pb2.VolumeDeleteResponse:
        """What does not exist is deleted."""
        return volume_pb2.VolumeDeleteResponse()

    async def Create(self, request: volume_pb2.VolumeCreateRequest, context: Any) -> volume_pb2.Volume:
        """Refused."""
        refuse("UNIMPLEMENTED", "NO_VOLUME_DRIVER", "this machine has no volume driver")

    async def Resize(self, request: volume_pb2.VolumeResizeRequest, context: Any) -> volume_pb2.Volume:
        """Refused."""
        refuse("UNIMPLEMENTED", "NO_VOLUME_DRIVER", "this machine has no volume driver")
