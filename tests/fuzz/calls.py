"""Cases by chance against a house of its own: who answers what, and what the house holds in the end."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

import capsuled.reflection  # noqa: F401 - its descriptors
from capsuled.roles import METHODS
from capsuled.terms import EOF
from tests.conformance.client import Client, Key
from tests.fuzz.cases import Case, Chance, path_of
from tests.support.refusals import reason_of

SERVED = [name for name in METHODS if not name.startswith("InstallService/")]
AT_A_TIME = 32
OVER_TLS = 5
"""Every so manieth call goes over the network, with a token; the others by the socket, which is quicker."""

CALL_S = 60.0
ITEM_S = 0.2
ITEMS = 3
"""Of a stream of answers so many are read, each within so long; then it is cancelled."""

NATIVE_BYTES = 1 << 20
NATIVE_BYTES_A_CALL = 200
PYTHON_BLOCKS = 5_000
PYTHON_BLOCKS_A_CALL = 0.5
"""By how much what is in use may grow. A bare grpc.aio server, of 1.85, keeps about 200 bytes of each stream that its
client cancels; and every token of the last minutes is remembered. The pages that the process has are no measure: a heap
that is in pieces after storms of all sizes has more of them than it uses."""

QUIET = {"GRPC_VERBOSITY": "NONE"}
"""As capsuled/grpc_core.py says it, which the house's own imports come before."""

BROKEN = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAUTHENTICATED)
OURS = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
"""Good with a reason of the capsule's; without one it is gRPC that says so."""

CUT_SHORT = "Internal error from Core"
"""What grpc.aio's client says of a call that was answered while it still sent. A server's words are others."""


@dataclass
class Outcome:
    """What came of a run. `broken`: the cases whose answer no case may have, with that answer."""

    seed: int
    statuses: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    held: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0


class House:
    """The house's process."""

    def __init__(self, state: Path) -> None:
        state.mkdir(parents=True)
        self.log = state / "stderr"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.house", str(state / "state")],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=os.environ | QUIET,
            )  # fmt: skip
        said = self._line()
        self.address, self.socket = str(said["address"]), str(said["socket"])

    def held(self) -> dict[str, Any]:
        """What it holds now; see tests/fuzz/house.py."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._line()

    def settled(self, seconds: float = 30) -> dict[str, Any]:
        """What it holds once connections that were given up are gone: when two looks agree."""
        deadline = time.monotonic() + seconds
        before, now = self.held(), self.held()
        while before["handles"] != now["handles"] and time.monotonic() < deadline:
            time.sleep(0.5)
            before, now = now, self.held()
        return now

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the house ended: {self.log.read_text(errors='replace')[-4_000:]}"
        found: dict[str, Any] = json.loads(line)
        return found

    def faults(self) -> list[str]:
        """The tracebacks in its log, each place in the code once, with what was said there first."""
        found: dict[str, str] = {}
        for block in self.log.read_text(errors="replace").split("Traceback (most recent call last):")[1:]:
            frames = [line for line in block.splitlines() if line.startswith("  File ")]
            found.setdefault(frames[-1] if frames else block, block[-2_000:])
        return list(found.values())

    def close(self) -> int:
        """End it; its exit code."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.communicate(timeout=60)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        return self.process.returncode


@contextmanager
def house(state: Path) -> Iterator[House]:
    """A house for the length of a block. At its end it must have ended well, without an unexpected error in its log."""
    made = House(state)
    try:
        yield made
    except BaseException:
        made.process.kill()
        made.close()
        raise
    assert made.close() == 0, made.log.read_text(errors="replace")[-4_000:]
    assert not made.faults(), "\n\n".join(made.faults())


def growth(before: dict[str, Any], after: dict[str, Any], calls: int) -> list[str]:
    """What the house holds more of than `calls` calls may have left, in words."""
    found = []
    for what, much in (
        ("handles", 4.0),
        ("threads", 4.0),
        ("native_bytes", NATIVE_BYTES + NATIVE_BYTES_A_CALL * calls),
        ("python_blocks", PYTHON_BLOCKS + PYTHON_BLOCKS_A_CALL * calls),
    ):
        if after[what] > before[what] + much:
            found.append(f"{what} grew from {before[what]:,} to {after[what]:,} in {calls:,} calls")
    return found


class Caller:
    """An admin's two ways in."""

    def __init__(self, made: House) -> None:
        with_contract = Client(made.address)
        self._key = Key()
        with_contract.adopt(self._key)
        self._capsule_id = with_contract.capsule_id
        with_contract.close()
        self._der = with_contract.der
        self._made = made

    async def run(self, outcome: Outcome, cases: Iterator[Case]) -> None:
        """Make the calls, some at a time, and note what came of each."""
        import ssl

        pem = ssl.DER_cert_to_PEM_cert(self._der).encode()
        name = (("grpc.ssl_target_name_override", "capsule"), ("grpc.enable_retries", 0))
        local = grpc.aio.insecure_channel(f"unix:{self._made.socket}", [("grpc.default_authority", "localhost")])
        remote = grpc.aio.secure_channel(self._made.address, grpc.ssl_channel_credentials(pem), name)
        numbered = enumerate(cases)

        async def work() -> None:
            for number, case in numbered:
                if number % OVER_TLS:
                    await judged(outcome, case, local, ())
                else:
                    token = f"Bearer {self._key.token(self._capsule_id)}"
                    await judged(outcome, case, remote, (("authorization", token),))

        async with local, remote, asyncio.TaskGroup() as group:
            for _ in range(AT_A_TIME):
                group.create_task(work())


async def judged(outcome: Outcome, case: Case, channel: Any, metadata: Any) -> None:
    """Make a call, and note its status."""
    try:
        await called(case, channel, metadata)
        code, reason, details = grpc.StatusCode.OK, "", ""
    except grpc.aio.AioRpcError as error:
        reason = reason_of(error)
        code, details = error.code(), str(error.details())
        if details == CUT_SHORT and len(case.messages) > 1:
            code = grpc.StatusCode.CANCELLED
    outcome.statuses[code.name] += 1
    outcome.methods[path_of(case.method)] += 1
    if code in BROKEN or (code in OURS and not reason):
        outcome.broken.append(f"{code.name} ({details[:200]}) for {str(case)[:4_000]}")


async def called(case: Case, channel: Any, metadata: Any) -> None:
    """Make a call of any shape; of what streams back, read a little. Raises AioRpcError."""
    method = case.method
    streams = method.client_streaming, method.server_streaming
    shape = f"{'stream' if streams[0] else 'unary'}_{'stream' if streams[1] else 'unary'}"
    stub = getattr(channel, shape)(path_of(case.method))
    sent: Any = _each(case.messages) if streams[0] else case.messages[0]
    call = stub(sent, metadata=metadata, timeout=CALL_S)
    if not streams[1]:
        await call
        return
    try:
        for _ in range(ITEMS):
            async with asyncio.timeout(ITEM_S):
                if await call.read() is EOF:
                    break
    except TimeoutError:
        pass  # a stream that goes on, and has nothing to say
    finally:
        call.cancel()


async def _each(messages: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for message in messages:
        yield message


def run(state: Path, seed: int, count: int, pieces: int = 4) -> Outcome:
    """`count` calls, in pieces; after each it is looked at what the house holds."""
    outcome = Outcome(seed)
    began = time.monotonic()
    with house(state) as made:
        caller = Caller(made)
        cases = Chance(seed, SERVED).cases(count)
        for _ in range(pieces):
            piece = [next(cases) for _ in range(count // pieces)]
            asyncio.run(caller.run(outcome, iter(piece)))
            outcome.held.append(made.held())
    outcome.seconds = time.monotonic() - began
    return outcome
