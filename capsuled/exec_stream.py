"""Exec as a stream: the client's messages to the process, its output to the client, and its exit code last."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from capsule.v1 import workload_pb2 as pb
from capsuled.engine import Caller, Engine
from capsuled.rpc import refuse
from capsuled.streams import OpenStream, opened
from effects.containers.exec_protocol import ExecRequest, ExecSession, Executor
from projections.phases import RunPhase

Requests = AsyncIterator[pb.WorkloadExecClientMessage]


class ExecStreams:
    """Opens sessions through the executor; a session never outlives its stream."""

    def __init__(self, engine: Engine, executor: Executor) -> None:
        self._engine = engine
        self._executor = executor

    async def run(self, requests: Requests, caller: Caller) -> AsyncIterator[pb.WorkloadExecServerMessage]:
        """One exec. Refuses before the first byte what cannot be run."""
        request, tty = await self._request(requests)
        async with opened(self._engine, caller, request.name, request.argv, tty) as stream:
            session = await self._executor.open(request)
            feeding = asyncio.ensure_future(_feed(requests, session, stream))
            try:
                async for number, data in session.output():
                    stream.bytes_out += len(data)
                    if number == 1:
                        yield pb.WorkloadExecServerMessage(stdout=data)
                    else:
                        yield pb.WorkloadExecServerMessage(stderr=data)
                stream.exit_code = await session.wait()
                yield pb.WorkloadExecServerMessage(exit=pb.WorkloadExecExit(exit_code=stream.exit_code))
            finally:
                feeding.cancel()
                # The client may have gone, and this task with it; the process must go all the same.
                await asyncio.shield(_ended(feeding, session))

    async def _request(self, requests: Requests) -> tuple[ExecRequest, bool]:
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("payload") != "config":
            await _drain(requests)
            refuse("INVALID_ARGUMENT", "NO_CONFIG", "the first message of an exec must be its config", "config")
        config = first.config
        if not config.command:
            await _drain(requests)
            refuse("INVALID_ARGUMENT", "NO_COMMAND", "nothing to run: give a command", "config.command")
        if config.tty:
            await _drain(requests)
            refuse(
                "UNIMPLEMENTED",
                "NO_TERMINAL",
                "this release runs exec without a terminal: leave `-t` out",
                "config.tty",
            )
        workload = self._engine.machine.workloads.get(config.name)
        if workload is None:
            await _drain(requests)
            refuse("NOT_FOUND", "WORKLOAD_NOT_FOUND", f"there is no workload {config.name}", "config.name")
        if workload.run is None or workload.run.phase is not RunPhase.RUNNING:
            await _drain(requests)
            refuse("FAILED_PRECONDITION", "NOT_RUNNING", f"{config.name} is not running", "config.name")
        env = tuple(sorted(config.env.items()))
        return ExecRequest(config.name, workload.uid, workload.run.number, tuple(config.command), env), config.tty


async def _drain(requests: Requests) -> None:
    """A client that is refused while it still sends would see only the end of its stream: read on, bounded."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            async for _ in requests:
                pass


async def _feed(requests: Requests, session: ExecSession, stream: OpenStream) -> None:
    async for message in requests:
        if message.WhichOneof("payload") == "stdin":
            stream.bytes_in += len(message.stdin)
            await session.write(message.stdin)
    await session.end_input()


async def _ended(feeding: "asyncio.Future[None]", session: ExecSession) -> None:
    await asyncio.gather(feeding, return_exceptions=True)
    await session.close()
