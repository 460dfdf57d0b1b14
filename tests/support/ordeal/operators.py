"""Operators on the daemon's own socket: one a workload, each repeating a call by its id until it is answered."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import grpc

from capsule.v1 import history_pb2, history_pb2_grpc, workload_pb2_grpc
from capsule.v1 import workload_pb2 as pb

CALL_S = 30.0
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)
SERVE = "echo born; trap 'echo end 0; exit 0' TERM; while :; do sleep 1 & wait $!; done"
JOB = "echo born; sleep 0.3; echo end {code}; exit {code}"


@dataclass
class Wish:
    """What was acknowledged last for a name. `token` stands in the command line of the program that it means."""

    wanted: str = "absent"
    token: str = ""
    serves: bool = True


@dataclass
class Acknowledged:
    """Everything that was answered. `open` are the names with a call under way: either outcome is right for them."""

    calls: dict[tuple[str, str], int] = field(default_factory=dict)
    wishes: dict[str, Wish] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


class Operators:
    """Their connection, their memory, and what they do. `mark` tells this ordeal's programs from everybody else's."""

    def __init__(self, socket: Path, random: Random, mark: str) -> None:
        options = [("grpc.default_authority", "localhost"), ("grpc.max_reconnect_backoff_ms", 100)]
        self._channel = grpc.aio.insecure_channel(f"unix:{socket}", options=options)
        self._stub: Any = workload_pb2_grpc.WorkloadServiceStub(self._channel)
        self._history: Any = history_pb2_grpc.HistoryServiceStub(self._channel)
        self._random = random
        self._mark = mark
        self._count = 0
        self.memory = Acknowledged()
        self.storm = True
        self.heard = asyncio.Event()

    async def operate(self, name: str) -> None:
        """Call after call while the storm lasts, and a last word that nothing disturbs."""
        while self.storm:
            await asyncio.sleep(self._random.expovariate(4.0))
            await self._one(name, self._random.choice(("apply", "apply", "stop", "start", "restart", "delete", "look")))
        await self._one(name, self._random.choice(("apply", "apply", "stop", "start", "delete")))

    async def hashes(self) -> tuple[int, str, str]:
        """(seq, hash of a replay, the daemon's own hash there)."""
        answer = await self._history.Replay(history_pb2.ReplayRequest(), timeout=CALL_S)
        return answer.seq, answer.state_hash, answer.live_hash

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close(None)

    async def _one(self, name: str, verb: str) -> None:
        self._count += 1
        call_id, memory = f"{self._mark}-{self._count}", self.memory
        wish = memory.wishes.get(name, Wish())
        after, method, request = self._asked(name, verb, wish)
        memory.open.add(name)
        answer = await self._answered(method, request, call_id)
        if answer is not None and verb != "look":
            memory.calls[f"WorkloadService.{method}", call_id] = answer.seq
            memory.wishes[name] = after
        memory.open.discard(name)

    def _asked(self, name: str, verb: str, wish: Wish) -> tuple[Wish, str, Any]:
        """What is wished for if the call is accepted; the method, and the request."""
        match verb:
            case "apply":
                serves = self._random.random() < 0.5
                token = f"{self._mark}-{name}-{self._count}"
                return (
                    Wish("running", token, serves),
                    "Apply",
                    pb.WorkloadApplyRequest(workload=self._spec(name, token, serves)),
                )
            case "stop":
                return Wish("stopped", wish.token, wish.serves), "Stop", pb.WorkloadStopRequest(name=name)
            case "start":
                return Wish("running", wish.token, wish.serves), "Start", pb.WorkloadStartRequest(name=name)
            case "restart":
                return wish, "Restart", pb.WorkloadRestartRequest(name=name)
            case "delete":
                return Wish(), "Delete", pb.WorkloadDeleteRequest(name=name)
        return wish, "List", pb.WorkloadListRequest()

    def _spec(self, name: str, token: str, serves: bool) -> pb.Workload:
        script = SERVE if serves else JOB.format(code=self._random.randrange(1, 100))
        return pb.Workload(
            name=name,
            container=pb.ContainerSpec(
                image="demo:1",
                command=["sh", "-c", script, token],
                env={"TOKEN": token},
                stop_grace_seconds=1,
                restart_policy=pb.RestartPolicy(backoff_first_ms=200, backoff_cap_ms=1_000),
            ),
        )  # fmt: skip

    async def _answered(self, method: str, request: Any, call_id: str) -> Any | None:
        """The answer, however many daemons it takes; None for a refusal."""
        call = getattr(self._stub, method)
        while True:
            try:
                answer = await call(request, metadata=(("capsule-call-id", call_id),), timeout=CALL_S)
                self.heard.set()
                return answer
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AGAIN:
                    if error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
                        self.memory.wrong.append(f"{method} {call_id}: {error.details()}")
                    return None
                await asyncio.sleep(0.02)
