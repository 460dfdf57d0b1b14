"""DiskService: the disk that the machine boots from."""

from typing import Any

from capsule.v1 import disk_pb2 as pb
from capsule.v1.disk_pb2_grpc import DiskServiceServicer
from capsuled.growing import Growing
from capsuled.rpc import caller_of, refuse


class DiskService(DiskServiceServicer):
    """See proto/capsule/v1/disk.proto. `growing` is None in hosted mode."""

    def __init__(self, growing: Growing | None) -> None:
        self._growing = growing

    async def Grow(self, request: pb.GrowDiskRequest, context: Any) -> pb.GrowDiskResponse:
        """Answers when it is done."""
        if self._growing is None:
            refuse("UNIMPLEMENTED", "HOSTED", "this capsuled runs hosted: its state's disk belongs to the host")
        if request.dry_run:
            done = await self._growing.look()
        else:
            done = await self._growing.grow(caller_of(context, "DiskService.Grow", request))
        parts = (
            pb.GrownPart(name=one.name, before_bytes=one.before_bytes, after_bytes=one.after_bytes)
            for one in done.grown
        )
        return pb.GrowDiskResponse(disk=self._growing.disk, unused_bytes=done.unused_bytes, parts=parts)
