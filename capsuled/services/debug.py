"""DebugService: a session on the machine itself."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from capsule.v1 import debug_pb2 as pb
from capsule.v1.debug_pb2_grpc import DebugServiceServicer
from capsuled.debug import METHOD, DebugSessions
from capsuled.rpc import caller_of


class DebugService(DebugServiceServicer):
    """See proto/capsule/v1/debug.proto."""

    def __init__(self, sessions: DebugSessions) -> None:
        self._sessions = sessions

    async def Open(self, requests: AsyncIterator[pb.DebugRequest], context: Any) -> AsyncIterator[pb.DebugOpened]:
        """A container for as long as the call lasts."""
        async with aclosing(self._sessions.run(requests, caller_of(context, METHOD))) as answers:
            async for answer in answers:
                yield answer
