"""Exec as a stream: the client's messages to the process, its output to the client, and its exit code last."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import NoReturn

import msgspec

from capsule.v1 import workload_pb2 as pb
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.exec_feed import Feed, Requests, window_of
from capsuled.rpc import Refused, own_kernel, refuse
from capsuled.streams import OpenStream, opened
from capsuled.wire_fields import field_with_nul
from effects.errors import DriverError
from effects.runs.exec_protocol import ExecRequest, ExecSession, Executor
from journal.clock import Clock
from projections.phases import RunPhase
from projections.refusals import no_workload
from projections.state import Workload
from projections.status import status_of

log = logging.getLogger(__name__)

STOP_GRACE_S = 1.0
SWEEP_RETRY_S = 0.5

Answers = AsyncGenerator[pb.WorkloadExecServerMessage, None]


class ExecStreams:
    """Opens sessions through the executor; a session never outlives its stream. Without `commands` the journal is not
    told the command lines."""

    def __init__(self, engine: Engine, executor: Executor, commands: bool = True) -> None:
        self._engine = engine
        self._executor = executor
        self._commands = commands
        self._sessions: set[ExecSession] = set()
        self._changed = asyncio.Event()
        self._stopping = False

    async def run(self, requests: Requests, caller: Caller) -> Answers:
        """One exec. Refuses before the first byte what cannot be run."""
        first = await anext(aiter(requests), None)
        feed = Feed(requests, None if first is None else window_of(first.config.size))
        try:
            request = self._request(first)
            told = request.argv if self._commands else ()
            async with (
                opened(self._engine, caller, request.name, told, request.tty, request.user) as stream,
                self._session(request, feed, stream) as session,
                aclosing(self._converse(session, feed, stream)) as answers,
            ):
                async for answer in answers:
                    yield answer
        finally:
            await feed.close()

    async def _converse(self, session: ExecSession, feed: Feed, stream: OpenStream) -> Answers:
        async with aclosing(session.output()) as output:
            async for number, data in output:
                stream.bytes_out += len(data)
                if number == 1:
                    yield pb.WorkloadExecServerMessage(stdout=data)
                else:
                    yield pb.WorkloadExecServerMessage(stderr=data)
        exit_code = await session.wait()
        if feed.wrong is not None:
            raise feed.wrong
        if self._stopping:
            _refuse_stopping()
        stream.exit_code = exit_code
        yield pb.WorkloadExecServerMessage(exit=pb.WorkloadExecExit(exit_code=exit_code))

    @asynccontextmanager
    async def _session(self, request: ExecRequest, feed: Feed, stream: OpenStream) -> AsyncIterator[ExecSession]:
        # What the client said while the beginning was made durable is known by now.
        window = await feed.size() if request.tty else None
        if feed.wrong is not None:
            raise feed.wrong
        request = msgspec.structs.replace(request, window=window or request.window, stdin=not feed.ended)
        session = await self._executor.open(request)
        self._sessions.add(session)
        try:
            feed.begin(session)
            yield session
        finally:
            stream.bytes_in = feed.bytes_in
            # The client may have gone, and this task with it; the process must go all the same.
            await asyncio.shield(self._ended(session, feed))

    async def _ended(self, session: ExecSession, feed: Feed) -> None:
        try:
            await feed.close()
            await session.close()
        except DriverError as error:
            log.warning("%s; the next start sweeps up what is left of an exec", error)
        finally:
            self._sessions.discard(session)
            self._changed.set()

    async def sweep(self, clock: Clock) -> None:
        """End what an earlier life of the daemon left open, however long the runtime does not answer."""
        while True:
            try:
                return await self._executor.sweep()
            except DriverError as error:
                log.warning("what exec left behind could not be ended yet: %s", error)
                await clock.sleep(SWEEP_RETRY_S)

    async def stop(self) -> None:
        """End every session, asking first; from now on none is opened. For the daemon's own end."""
        self._stopping = True
        for number in (signal.SIGHUP, signal.SIGKILL):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_GRACE_S):
                    await asyncio.gather(*(one.signal(number) for one in self._sessions))
                    while self._sessions:
                        self._changed.clear()
                        await self._changed.wait()

    # --- what is asked for ---------------------------------------------------------------------------------------

    def _request(self, first: pb.WorkloadExecClientMessage | None) -> ExecRequest:
        if self._stopping:
            _refuse_stopping()
        if first is None or first.WhichOneof("payload") != "config":
            refuse("INVALID_ARGUMENT", "NO_CONFIG", "the first message of an exec must be its config", "config")
        config = first.config
        _check(config)
        workload = self._engine.machine.workloads.get(config.name)
        if workload is None:
            raise Refused(no_workload(config.name, self._engine.machine.workloads, "config.name"))
        if workload.run is None or workload.run.phase is not RunPhase.RUNNING:
            refuse("FAILED_PRECONDITION", "NOT_RUNNING", _not_running(workload), "config.name")
        if not (workload.run.spec or workload.spec).has_image:
            words = own_kernel(config.name, "nothing in it takes commands from here")
            refuse("FAILED_PRECONDITION", "OWN_KERNEL", words, "config.name")
        return ExecRequest(
            name=config.name,
            uid=workload.uid,
            run=workload.run.number,
            argv=tuple(config.command),
            env=tuple(sorted(config.env.items())),
            tty=config.tty,
            user=config.user,
            working_dir=config.working_dir,
            kind=workload.kind,
            patient=True,
        )


def _check(config: pb.WorkloadExecConfig) -> None:
    if not config.command or not config.command[0]:
        refuse("INVALID_ARGUMENT", "NO_COMMAND", "nothing to run: give a command", "config.command")
    spoiled = field_with_nul(config)
    if spoiled:
        words = f"{spoiled} holds a NUL byte, which no process can be given"
        refuse("INVALID_ARGUMENT", "BAD_TEXT", words, f"config.{spoiled}")
    if any(not name or "=" in name for name in config.env):
        refuse("INVALID_ARGUMENT", "BAD_ENV", "a variable's name must not be empty, nor have a `=` in it", "config.env")
    if config.working_dir and not config.working_dir.startswith("/"):
        message = f"the working directory {config.working_dir} must be an absolute path"
        refuse("INVALID_ARGUMENT", "BAD_WORKING_DIR", message, "config.working_dir")


def _not_running(workload: Workload) -> str:
    name, status = workload.name, status_of(workload)
    why = f" ({status.message})" if status.message else ""
    if workload.desired == "stopped":
        return f"{name} is {status.detail}{why}: `capsulectl start {name}` lets it run again"
    return f"{name} is not running but {status.detail}{why}: `capsulectl why {name}` tells why"


def _refuse_stopping() -> NoReturn:
    message = "capsuled is being stopped, and what was run by exec with it; the workloads themselves run on"
    refuse("UNAVAILABLE", "STOPPING", message)
