"""Looks at a run's health for real: a command inside through the executor, a port by a connection or a request.

What a command writes is counted and dropped, and of an answer only the status is looked at: see projections/health.py.
"""

import asyncio
import contextlib
import logging
from typing import assert_never

from effects.errors import DriverError, GuestBusy, NotRunning, RuntimeUnavailable
from effects.health.protocol import Target
from effects.runs.exec_protocol import ExecRequest, ExecSession, Executor
from projections.health import Failure, Finding

log = logging.getLogger(__name__)

LAST_WORDS_S = 0.1
"""What it wrote last still counts. A command that has ended may have left its output to somebody who keeps it open."""
_OK = range(200, 400)
_HEADERS = {"user-agent": "capsule", "accept": "*/*", "connection": "close"}


class MachineProber:
    """A prober on this machine. See the protocol."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def look(self, target: Target) -> Finding | None:
        """See the protocol."""
        try:
            match target.check.probe:
                case "exec":
                    return await self._run(target)
                case "http":
                    return await self._get(target)
                case "tcp":
                    return await self._connect(target)
                case _:
                    assert_never(target.check.probe)
        except (NotRunning, RuntimeUnavailable, GuestBusy):
            return None
        except DriverError as error:
            return Finding(Failure.NOT_STARTED, reason=error.reason)

    async def _run(self, target: Target) -> Finding:
        request = ExecRequest(target.name, target.uid, target.run, target.check.command, stdin=False, kind=target.kind)
        session = await self._executor.open(request)
        written_bytes = 0

        async def drain() -> None:
            nonlocal written_bytes
            async for _, data in session.output():
                written_bytes += len(data)

        try:
            reading = asyncio.ensure_future(drain())
            try:
                code = await session.wait()
                if code:
                    await asyncio.wait((reading,), timeout=LAST_WORDS_S)
            finally:
                reading.cancel()
                await asyncio.wait((reading,))
        finally:
            # A look may be cut short, and this task with it; the process must go all the same.
            await asyncio.shield(_close(session))
        return Finding(Failure.EXITED, code, written_bytes) if code else Finding()

    async def _get(self, target: Target) -> Finding:
        # Only a machine that has such a check loads the library.
        import httpx

        url = f"http://{target.address}:{target.check.port}{target.check.path}"
        request = httpx.Request("GET", url, headers=_HEADERS)
        try:
            # Without a client around it: a client reads where an answer leads to, followed or not, and takes one that
            # leads nowhere for none.
            async with httpx.AsyncHTTPTransport(verify=False) as transport:
                answer = await transport.handle_async_request(request)
                code = answer.status_code
                await answer.aclose()
        except httpx.ConnectError:
            return Finding(Failure.NO_CONNECTION)
        except httpx.HTTPError:
            return Finding(Failure.NO_ANSWER)
        return Finding() if code in _OK else Finding(Failure.STATUS, code)

    async def _connect(self, target: Target) -> Finding:
        try:
            _, writer = await asyncio.open_connection(target.address, target.check.port)
        except OSError:
            return Finding(Failure.NO_CONNECTION)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return Finding()


async def _close(session: ExecSession) -> None:
    try:
        await session.close()
    except DriverError as error:
        log.warning("%s; the next start sweeps up what is left of a health check", error)
