"""One ordeal: so many kills of one daemon at random moments under load, everything checked after each and at the end."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from random import Random

import grpc
import msgspec

from capsuled.examine import replay_apart, verify_apart
from capsuled.processes import CommandFailed
from tests.support.daemon import Daemon, daemon
from tests.support.ordeal.judge import judge_ends, judge_memory, judge_processes
from tests.support.ordeal.operators import Operators

NAMES = ("web", "db", "job", "cache", "queue", "mail")
BIRTH_S, LIFE_S = 1.5, 1.0
CALM_S = 90.0
REPLAY_EVERY = 10


class Outcome(msgspec.Struct):
    """What an ordeal came to. `wrong` is empty when nothing was lost, altered, doubled or left undone."""

    kills: int = 0
    runtime_kills: int = 0
    calls: int = 0
    entries: int = 0
    wrong: list[str] = []


async def _endure(capsule: Daemon, seed: int, kills: int) -> Outcome:
    random, outcome = Random(seed), Outcome()
    mark = f"ordeal{os.getpid()}x{seed}"
    operators = Operators(capsule.state / "capsule.sock", Random(seed), mark)
    working = [asyncio.ensure_future(operators.operate(name)) for name in NAMES]
    try:
        while outcome.kills < kills and not outcome.wrong:
            await _live(operators, random)
            if outcome.kills % REPLAY_EVERY == REPLAY_EVERY - 1:
                outcome.wrong += await _compare(operators)
            if random.random() < 0.15:
                outcome.runtime_kills += _kill(_runtime(capsule))
            runtime = _runtime(capsule) if random.random() < 0.25 else 0
            capsule.kill()
            outcome.kills += 1
            outcome.runtime_kills += _kill(runtime)
            await _look(capsule, operators, outcome)
            capsule.start(wait=False)
        operators.storm = False
        async with asyncio.timeout(CALM_S):
            await asyncio.gather(*working)
        outcome.wrong += operators.memory.wrong
        outcome.wrong += await _settled(capsule, operators, mark)
        outcome.wrong += await _compare(operators)
        outcome.calls = len(operators.memory.calls)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await operators.close()
    return outcome


async def _live(operators: Operators, random: Random) -> None:
    """The length of a life: some end while they begin, most under load."""
    if random.random() < 0.4:
        await asyncio.sleep(random.uniform(0.0, BIRTH_S))
        return
    operators.heard.clear()
    async with asyncio.timeout(CALM_S):
        await operators.heard.wait()
    await asyncio.sleep(random.uniform(0.0, LIFE_S))


async def _look(capsule: Daemon, operators: Operators, outcome: Outcome) -> None:
    """The journal as the dead daemon left it: whole, and with every acknowledged call in it."""
    try:
        replayed, machine = await replay_apart(capsule.state / "journal")
    except CommandFailed as failure:
        outcome.wrong.append(str(failure))
        return
    outcome.entries = replayed.seq
    outcome.wrong += [replayed.problem] if replayed.problem else judge_memory(machine, operators.memory)


async def _compare(operators: Operators) -> list[str]:
    """A daemon that lives: its state is the fold of its journal."""
    while True:
        with contextlib.suppress(grpc.aio.AioRpcError):
            seq, replayed, live = await operators.hashes()
            return [] if replayed == live else [f"at {seq} the state is {live}, the replay {replayed}"]
        await asyncio.sleep(0.05)


async def _settled(capsule: Daemon, operators: Operators, mark: str) -> list[str]:
    """Wait until every container is as desired; what is not by then is wrong."""
    deadline = asyncio.get_running_loop().time() + CALM_S
    while wrong := judge_processes(operators.memory, mark):
        if (
            asyncio.get_running_loop().time() > deadline
            or capsule.process is None
            or capsule.process.poll() is not None
        ):
            return wrong
        await asyncio.sleep(0.1)
    return []


def _runtime(capsule: Daemon) -> int:
    try:
        return capsule.containerd_pid()
    except AssertionError:
        return 0  # between two of them


def _kill(pid: int) -> int:
    """How many were killed: one, or none that lived."""
    if pid == 0:
        return 0
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def endure(seed: int, kills: int, keep: Path | None = None) -> Outcome:
    """Run one ordeal. What is left of a bad one is moved to `keep`."""
    with daemon() as capsule:
        capsule.push_image()
        outcome = asyncio.run(_endure(capsule, seed, kills))
        capsule.stop()
        if not outcome.wrong:
            report = asyncio.run(verify_apart(capsule.state / "journal"))
            outcome.wrong += [finding.problem for finding in report.findings]
            outcome.wrong += judge_ends(capsule.state / "journal", capsule.state / "logs")
        if outcome.wrong and keep is not None:
            for part in ("journal", "logs"):
                capsule.copy_out(part, keep)
    return outcome
