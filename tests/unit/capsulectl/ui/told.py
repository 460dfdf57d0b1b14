"""A machine for the page's server that is not there: it answers from memory, and notes what it was asked."""

from collections.abc import Iterator
from queue import Queue
from typing import Any

from capsule.v1 import capsule_pb2, history_pb2, machine_pb2, volume_pb2, workload_pb2
from capsulectl.errors import Failure
from capsulectl.heads import Heads

HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe\x1b]0;title\x07"
"""What a workload might write: markup, a turned reading direction, a terminal's command."""


class Call:
    """What gRPC keeps of a call that was answered."""

    def trailing_metadata(self) -> tuple[()]:
        return ()


class Streamed:
    """Answers that a test gives one by one; a Failure breaks them off, None ends them."""

    def __init__(self, *first: Any) -> None:
        self.queue: Queue[Any] = Queue()
        self.cancelled = False
        for one in first:
            self.queue.put(one)

    def __iter__(self) -> Iterator[Any]:
        while (one := self.queue.get()) is not None:
            if isinstance(one, Failure):
                raise one
            yield one

    def cancel(self) -> None:
        self.cancelled = True
        self.queue.put(None)


class Method:
    """One method of the machine's."""

    def __init__(self, machine: "Machine", name: str) -> None:
        self._machine, self._name = machine, name

    def with_call(self, request: Any, timeout: float, metadata: Any) -> tuple[Any, Call]:
        self._machine.asked.append((self._name, request))
        answer = self._machine.answers[self._name]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Failure):
            raise answer
        return answer, Call()

    def __call__(self, request: Any, timeout: float | None, metadata: Any) -> Streamed:
        self._machine.asked.append((self._name, request))
        named = self._machine.by_name.pop(self._name.partition("/")[2], None)
        return named or self._machine.streams.pop(0)


class Machine:
    """Stands for a connection: whatever method is taken from it is noted when it is called. A function among its answers
    makes one, in its own time."""

    address = "unix:/nowhere"

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.streams: list[Streamed] = []
        self.by_name: dict[str, Streamed] = {}
        """Streams of methods that are asked for in no certain order."""
        self.heads = Heads("nowhere", lambda seen, told: "")
        self.answers: dict[str, Any] = {
            "CapsuleService/GetInfo": capsule_pb2.GetInfoResponse(hostname="home", journal_seq=2, condition="ok"),
            "VolumeService/List": volume_pb2.VolumeListResponse(volumes=[volume_pb2.Volume(name="data", uid=1)]),
            "SnapshotService/List": volume_pb2.SnapshotListResponse(),
            "HistoryService/AsOf": history_pb2.AsOfResponse(seq=1, at_unix_ns=5_000_000),
            "HistoryService/Compare": history_pb2.CompareResponse(
                changes=[machine_pb2.FieldChange(name="web", op="add", path="image", new='"x"')]
            ),
            "HistoryService/Why": history_pb2.WhyResponse(name="web", kind="workload", conclusion=HOSTILE),
            "HistoryService/Show": history_pb2.HistoryShowResponse(entry=entry(1)),
        }

    def stub(self, module: str, service: str) -> Any:
        machine = self

        class Stub:
            def __getattr__(self, method: str) -> Method:
                return Method(machine, f"{service}/{method}")

        return Stub()


def entry(seq: int, type_: str = "workload.started", **fields: Any) -> history_pb2.HistoryEntry:
    given: dict[str, Any] = {
        "at_unix_ns": seq * 1_000_000,
        "stream": "facts",
        "version": 1,
        "body_json": "{}",
        "actor": "effect",
    }
    return history_pb2.HistoryEntry(seq=seq, type=type_, summary=HOSTILE, **given | fields)


def watched(name: str, phase: str = "RUNNING") -> machine_pb2.WatchItem:
    status = workload_pb2.WorkloadStatus(phase=f"WORKLOAD_PHASE_{phase}", message=HOSTILE)
    return machine_pb2.WatchItem(workload=workload_pb2.Workload(name=name, uid=7, status=status))


SYNCED = machine_pb2.WatchItem(synced=True)
