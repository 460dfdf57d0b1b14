"""Operators who go into workloads by exec: some wait for the end, some leave before it, some are thrown out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from capsule.v1 import workload_pb2 as pb
from capsuled.caller import Caller
from capsuled.rpc import Refused
from effects.errors import DriverError
from journal.entry import LOCAL
from journal.errors import JournalFull, JournalReadOnly
from tests.simulation.life import Crash, Life

if TYPE_CHECKING:
    from tests.simulation.machine import Simulation

PROGRAMS = (("true",), ("exit", "3"), ("cat",), ("sleep",), ("stubborn",), ("size",), ("missing",))
ENDLESS = frozenset({"sleep", "stubborn", "size"})
STAY_S = 2.0


async def visit(simulation: "Simulation", name: str) -> None:
    """Exec after exec, as long as there are faults."""
    random = simulation.random
    while simulation.faults:
        await asyncio.sleep(random.expovariate(0.5))
        await simulation.alive.wait()
        life = simulation.life
        assert life is not None
        words, tty = random.choice(PROGRAMS), random.random() < 0.5
        try:
            code = await life.visited(_exec(life, name, words, tty, random.uniform(0.0, STAY_S)))
        except (Refused, DriverError, JournalFull, JournalReadOnly, Crash) as error:
            simulation.trace.note(f"visitor: {words} in {name}: {type(error).__name__}")
            continue
        simulation.trace.note(f"visitor: {words} in {name} -> {code}")
        if code is not None:
            simulation.oracle.visited(words, code)


async def _exec(life: Life, name: str, words: tuple[str, ...], tty: bool, stay_s: float) -> int | None:
    """The exit code; None for a visitor who left before it."""
    stream = life.execs.run(_requests(name, words, tty, stay_s), Caller(LOCAL, "exec"))
    try:
        async with asyncio.timeout(stay_s if words[0] in ENDLESS else None), aclosing(stream) as answers:
            async for answer in answers:
                if answer.WhichOneof("payload") == "exit":
                    return answer.exit.exit_code
    except TimeoutError:
        pass
    return None


async def _requests(
    name: str, words: tuple[str, ...], tty: bool, stay_s: float
) -> AsyncIterator[pb.WorkloadExecClientMessage]:
    yield pb.WorkloadExecClientMessage(config=pb.WorkloadExecConfig(name=name, command=words, tty=tty))
    yield pb.WorkloadExecClientMessage(resize=pb.WorkloadExecResize(cols=100, rows=30))
    await asyncio.sleep(stay_s / 2)
    yield pb.WorkloadExecClientMessage(stdin=b"word\n")
    if tty:
        yield pb.WorkloadExecClientMessage(stdin=b"\x04")
