"""Copies into a storm's workloads and back, also while they are restarted: what comes back is one whole content."""

import asyncio
import io
import tarfile
import time
from random import Random

import grpc

from capsule.v1 import workload_pb2 as pb
from tests.support.refusals import reason_of
from tests.support.storm.calls import Calls
from tests.support.storm.inside import COPIED, FILE, MISSING, digest_of
from tests.support.storm.wishes import WorkloadWish
from tests.support.trees import member, tar

MOST_BYTES = 1 << 20
COMES_BACK_S = 30.0
CLEAR = ("NOT_RUNNING", "CALLED_OFF", "RUNTIME_UNAVAILABLE", "cut")
"""Why a copy is refused or called off because of what becomes of the workload, containerd or the daemon meanwhile."""


async def copy(calls: Calls, name: str, wish: WorkloadWish, random: Random, restart: bool) -> tuple[str, list[str]]:
    """There and back again. Returns what was done in words, and what is wrong."""
    content = random.randbytes(random.randint(1, MOST_BYTES))
    before, ran = wish.copied, await _run_of(calls, name)
    words = f"copy {len(content)} bytes to {name}{', which is restarted' if restart else ''}"
    sent = asyncio.ensure_future(_send(calls, name, content))
    if restart:
        await asyncio.sleep(random.uniform(0.0, 0.05))
        await calls.answered("Restart", pb.WorkloadRestartRequest(name=name))
    failure = await sent
    if failure and failure not in CLEAR:
        return words, [f"{words}: {failure}"]
    # One that was cut may have come whole.
    wish.copied = frozenset({digest_of(content)}) if not failure else before | {digest_of(content)}
    # A guest keeps it in its memory for a while, which goes with a monitor that is killed.
    kept = not wish.program.machine or await _synced(calls, name)
    if not kept:
        wish.copied |= before
    came = await _fetched(calls, name)
    words += f": {failure or 'whole'}, {('back' if came else 'nothing there') if came is not None else 'out of reach'}"
    if came is None:
        return words, []
    if came == MISSING and not failure and await _run_of(calls, name) != ran:
        # What was just applied had not replaced it yet: another run took the copy, and that is gone.
        wish.copied = frozenset({MISSING})
    if came not in wish.copied:
        return words, [f"{words}: what came back is none of what was sent"]
    if kept:
        wish.copied = frozenset({came})
    return words, []


async def _synced(calls: Calls, name: str) -> bool:
    """Whether what was written there before is on its disk for certain."""
    try:
        return await calls.ran(name, "sync") == 0
    except grpc.aio.AioRpcError as error:
        if reason_of(error) in CLEAR or error.code() is grpc.StatusCode.UNAVAILABLE:
            return False
        raise


async def _run_of(calls: Calls, name: str) -> int:
    """The number of its newest run."""
    return int((await calls.answered("Get", pb.WorkloadGetRequest(name=name))).status.run)


async def _send(calls: Calls, name: str, content: bytes) -> str:
    """Empty when all of it was taken; else why not."""
    try:
        await calls.into(name, f"/{COPIED}/", tar(member(FILE, content=content)))
    except grpc.aio.AioRpcError as error:
        reason = reason_of(error) or ("cut" if error.code() is grpc.StatusCode.UNAVAILABLE else "")
        return reason if reason in CLEAR else f"{reason}: {error.code()}: {error.details()}"
    return ""


async def _fetched(calls: Calls, name: str) -> str | None:
    """The digest of what is there, or MISSING; None while it cannot be reached: it is on its way to another run."""
    deadline = time.monotonic() + COMES_BACK_S
    while True:
        try:
            archive = await calls.out_of(name, f"/{COPIED}/{FILE}")
        except grpc.aio.AioRpcError as error:
            reason = reason_of(error)
            if reason == "PATH_MISSING":
                return MISSING
            known = reason in CLEAR or error.code() is grpc.StatusCode.UNAVAILABLE
            if not known:
                raise
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(0.2)
            continue
        with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
            (info,) = opened.getmembers()
            file = opened.extractfile(info)
            assert file is not None and info.name == FILE
            return digest_of(file.read())
