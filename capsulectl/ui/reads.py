"""All that the page's server can ask a machine for: a closed list of reads, each by its method. No other can be called.

The methods are taken from the connection once; the connection itself is not kept.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

from capsule.v1 import capsule_pb2, history_pb2, machine_pb2, volume_pb2, workload_pb2
from capsulectl.connection import UNARY_S, Connection, failures, metadata
from capsulectl.errors import NO_TIMES, Failure
from capsulectl.heads import told_in
from capsulectl.log_lines import Lines
from capsulectl.moments import moment
from capsulectl.ui import shapes
from capsulectl.ui.shapes import Data

METHODS = {
    "info": ("capsule", "CapsuleService", "GetInfo"),
    "list": ("history", "HistoryService", "List"),
    "show": ("history", "HistoryService", "Show"),
    "why": ("history", "HistoryService", "Why"),
    "as_of": ("history", "HistoryService", "AsOf"),
    "compare": ("history", "HistoryService", "Compare"),
    "watch": ("machine", "MachineService", "Watch"),
    "volumes": ("volume", "VolumeService", "List"),
    "snapshots": ("volume", "SnapshotService", "List"),
    "logs": ("workload", "WorkloadService", "Logs"),
}
"""Each is a reader's in capsuled's table of roles, and acts on nothing: a test compares."""

WINDOW = 1_000
"""So many entries are shown at once."""
FIRST = 150
"""So many of them are told first, so that there is something to look at: a list of events is no longer."""
SHOWN = ("workloads", "volumes", "snapshots")
"""What the page shows of the machine then."""
BEFORE_ALL = history_pb2.Moment(at_unix_ns=1)


class Followed:
    """A stream of a machine's answers. `cancel` ends it, from any thread."""

    def __init__(self, call: Any, address: str) -> None:
        self._call = call
        self._address = address

    def __iter__(self) -> Iterator[Any]:
        """Raises Failure."""
        with failures(self._address, changes=False):
            yield from self._call

    def cancel(self) -> None:
        """Nothing more comes."""
        self._call.cancel()


class Log:
    """A workload's log, with times; that of a console, which has none, without. Either in whole lines."""

    def __init__(self, timed: Followed, untimed: Callable[[], Followed]) -> None:
        self._call = timed
        self._untimed = untimed
        self._turn = threading.Lock()
        self._over = False

    def __iter__(self) -> Iterator[Any]:
        """Raises Failure."""
        try:
            yield from self._call
            return
        except Failure as failure:
            if failure.reason != NO_TIMES:
                raise
        with self._turn:
            if self._over:  # cancelled between the two: nobody would cancel the second
                return
            self._call = self._untimed()
        lines = Lines()
        for chunk in self._call:
            yield from (_of(line, of) for line, of in lines.of(chunk))
        yield from (_of(line, of) for line, of in lines.end())

    def cancel(self) -> None:
        """Nothing more comes."""
        with self._turn:
            self._over = True
            self._call.cancel()


def _of(line: bytes, chunk: Any) -> Any:
    return workload_pb2.WorkloadLogChunk(data=line + b"\n", stderr=chunk.stderr, run=chunk.run)


class Reads:
    """Of one machine. Everything raises Failure."""

    def __init__(self, connection: Connection) -> None:
        self._methods = {
            name: getattr(connection.stub(module, service), method)
            for name, (module, service, method) in METHODS.items()
        }
        self._address = connection.address
        self._heads = connection.heads
        self._one_hears = threading.Lock()

    def _ask(self, name: str, request: Any) -> Any:
        question = self._heads.question()
        with failures(self._address, changes=False):
            answer, call = self._methods[name].with_call(
                request, timeout=UNARY_S, metadata=(*metadata(acting=True), *question.metadata)
            )
        with self._one_hears:
            self._heads.hear(told_in(call.trailing_metadata()), question)
        return answer

    def _follow(self, name: str, request: Any, timeout: float | None = None) -> Followed:
        return Followed(self._methods[name](request, timeout=timeout, metadata=metadata()), self._address)

    # --- the machine now ---------------------------------------------------------------------------------------------

    def info(self) -> Any:
        """What it says of itself, as its message."""
        return self._ask("info", capsule_pb2.GetInfoRequest())

    def world(self) -> Data:
        """What is watched by no stream: the machine itself, and volumes."""
        volumes = self._ask("volumes", volume_pb2.VolumeListRequest())
        snapshots = self._ask("snapshots", volume_pb2.SnapshotListRequest()).snapshots
        return {
            "info": shapes.info(self.info()),
            "volumes": [shapes.volume(one, snapshots) for one in volumes.volumes],
        }

    def watch(self) -> Followed:
        """Every workload, then each that changes."""
        return self._follow("watch", machine_pb2.WatchRequest())

    def follow(self) -> Followed:
        """The newest entries, then each new one."""
        return self._follow("list", history_pb2.HistoryListRequest(limit=FIRST, follow=True))

    # --- the machine then --------------------------------------------------------------------------------------------

    def machine(self, at: str) -> Data:
        """As it was at a moment, as an operator writes moments."""
        answer = self._ask("as_of", history_pb2.AsOfRequest(at=moment(at, "the moment"), only=SHOWN))
        return {
            "seq": answer.seq,
            "at": shapes.ms(answer.at_unix_ns),
            "workloads": [shapes.workload(one) for one in answer.workloads],
            "volumes": [shapes.volume(one, answer.snapshots) for one in answer.volumes],
        }

    def entries(self, upto: int, limit: int = WINDOW) -> list[Data]:
        """The newest of history up to an entry."""
        request = history_pb2.HistoryListRequest(limit=limit, upto=upto)
        return [shapes.entry(one) for one in self._follow("list", request, UNARY_S)]

    def entry(self, seq: int) -> Data:
        """One entry whole, with the tree of what led to it and what came of it."""
        answer = self._ask("show", history_pb2.HistoryShowRequest(seq=seq))
        return {
            "entry": shapes.whole_entry(answer.entry),
            "tree": [{"depth": node.depth, **shapes.entry(node.entry)} for node in answer.tree],
        }

    def changes(self, before: int, after: int) -> list[Data]:
        """What is different between two entries. `before` may be 0, which is before the first; `after` 0 is now."""
        was = history_pb2.Moment(seq=before) if before else BEFORE_ALL
        request = history_pb2.CompareRequest(before=was, after=history_pb2.Moment(seq=after))
        return [shapes.change(one) for one in self._ask("compare", request).changes]

    def why(self, name: str, at: int) -> Data:
        """Why a workload or a volume was as it was after an entry; 0: is as it is."""
        return shapes.why(self._ask("why", history_pb2.WhyRequest(name=name, at=history_pb2.Moment(seq=at))))

    def logs(self, name: str, lines: int, run: int = 0, until_ms: int = 0) -> Log:
        """What a workload wrote last, and goes on to write; or what a run of it wrote up to a moment."""
        request = workload_pb2.WorkloadLogsRequest(
            name=name,
            tail_lines=lines,
            run=run,
            until_unix_ns=until_ms * 1_000_000,
            follow=not until_ms,
            timestamps=True,
        )
        untimed = workload_pb2.WorkloadLogsRequest()
        untimed.CopyFrom(request)
        untimed.timestamps = False
        return Log(self._follow("logs", request), lambda: self._follow("logs", untimed))
