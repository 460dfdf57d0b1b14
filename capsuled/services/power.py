"""PowerService: the machine's end without another beginning."""

from typing import Any

from capsule.v1 import power_pb2 as pb
from capsule.v1.power_pb2_grpc import PowerServiceServicer
from capsuled.power import Power
from capsuled.rpc import caller_of, refuse


class PowerService(PowerServiceServicer):
    """See proto/capsule/v1/power.proto. `power` is None in hosted mode."""

    def __init__(self, power: Power | None) -> None:
        self._power = power

    async def PowerOff(self, request: pb.PowerOffRequest, context: Any) -> pb.PowerOffResponse:
        """Answers, and then it happens."""
        if self._power is None:
            refuse("UNIMPLEMENTED", "HOSTED", "this capsuled runs hosted: switch the host off with its own means")
        caller = caller_of(context, "PowerService.PowerOff", request)
        return pb.PowerOffResponse(message=await self._power.end("poweroff", caller))
