"""The simulated twin of the executor: the same contract on a world in memory."""

import asyncio
from collections.abc import AsyncGenerator

from effects.errors import EntrypointMissing, NotExecutable, NotRunning, RuntimeUnavailable
from effects.runs.exec_protocol import ExecRequest, Window
from effects.runs.twin import Step, World
from effects.runs.twin_process import HANGUP, KILL, TwinProcess

AGAIN_S = 0.1


class TwinExecutor:
    """An executor on a world. See the protocol."""

    def __init__(self, world: World, step: Step) -> None:
        self._world = world
        self._step = step
        self._opened: set[TwinProcess] = set()

    async def open(self, request: ExecRequest) -> "TwinExec":
        """See the protocol."""
        await self._step("exec")
        container = self._world.containers.get((request.name, request.uid, request.run))
        if container is None or container.status != "running":
            raise NotRunning(f"{request.name} is not running")
        match request.argv[0]:
            case "missing":
                raise EntrypointMissing("the command `missing` does not exist in the container")
            case "unexecutable":
                raise NotExecutable("the command `unexecutable` is not executable in the container")
        process = TwinProcess(request)
        self._opened.add(process)
        session = TwinExec(self._world, process, self._step)
        try:
            await self._step("exec started")
        except BaseException:
            await asyncio.shield(session.close())  # nobody else knows of it, also where whoever asked goes now
            raise
        return session

    async def sweep(self) -> None:
        """See the protocol."""
        await self._step("sweep")
        for process in list(self._world.processes):
            if process not in self._opened:
                await self._step("sweep of one")
                process.end(128 + KILL)
                self._world.processes.remove(process)


class TwinExec:
    """One process. See the protocol."""

    def __init__(self, world: World, process: TwinProcess, step: Step) -> None:
        self._world = world
        self._process = process
        self._step = step
        world.processes.append(process)

    async def _insist(self, point: str) -> None:
        while True:
            try:
                return await self._step(point)
            except RuntimeUnavailable:
                await asyncio.sleep(AGAIN_S)

    async def write(self, data: bytes) -> None:
        """See the protocol."""
        await self._insist("write")
        self._process.read(data)

    async def end_input(self) -> None:
        """See the protocol."""
        await self._insist("end of input")
        self._process.read_end()

    async def resize(self, window: Window) -> None:
        """See the protocol."""
        await self._insist("resize")
        self._process.resize(window)

    async def signal(self, number: int) -> None:
        """See the protocol."""
        await self._insist("signal")
        self._process.signal(number)

    async def output(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """See the protocol."""
        while (data := await self._process.written.get()) is not None:
            yield 1, data

    async def wait(self) -> int:
        """See the protocol."""
        await self._process.ended.wait()
        assert self._process.exit_code is not None
        return self._process.exit_code

    async def close(self) -> None:
        """See the protocol. Without the runtime the process ends all the same; its record stays."""
        try:
            await self._step("close")
            if self._process in self._world.processes:
                self._world.processes.remove(self._process)
        except RuntimeUnavailable:
            self._process.end(128 + KILL)
            raise
        self._process.signal(HANGUP)
        self._process.end(128 + KILL)
