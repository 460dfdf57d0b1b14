"""Services whose drivers this release does not have: answered truthfully, refused by name."""

from typing import Any

from capsule.v1 import identity_pb2, volume_pb2
from capsule.v1.identity_pb2_grpc import IdentityServiceServicer
from capsule.v1.volume_pb2_grpc import VolumeServiceServicer
from capsuled.identity import Identity
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


class LocalOnly(IdentityServiceServicer):
    """A machine that is reached through its unix socket alone: there are no keys to enrol yet."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def WhoAmI(self, request: identity_pb2.WhoAmIRequest, context: Any) -> identity_pb2.WhoAmIResponse:
        """The local operator."""
        return identity_pb2.WhoAmIResponse(capsule_id=self._identity.capsule_id, name="local")

    async def KeyList(self, request: identity_pb2.KeyListRequest, context: Any) -> identity_pb2.KeyListResponse:
        """There are none."""
        return identity_pb2.KeyListResponse()

    async def Adopt(self, request: identity_pb2.AdoptRequest, context: Any) -> identity_pb2.AdoptResponse:
        """Refused."""
        refuse("UNIMPLEMENTED", "NO_KEYS", _NO_KEYS)

    async def KeyAdd(self, request: identity_pb2.KeyAddRequest, context: Any) -> identity_pb2.KeyAddResponse:
        """Refused."""
        refuse("UNIMPLEMENTED", "NO_KEYS", _NO_KEYS)

    async def KeyRemove(self, request: identity_pb2.KeyRemoveRequest, context: Any) -> identity_pb2.KeyRemoveResponse:
        """Refused."""
        refuse("UNIMPLEMENTED", "NO_KEYS", _NO_KEYS)


_NO_KEYS = "this release is reached through its unix socket alone: there are no operators' keys yet"
