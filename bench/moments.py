"""asof.random, history.filter: what is asked of a past of a million entries, by a connected client.

The daemon has the snapshots that one has left there which lived through it. A moment's peer is one fold of everything,
without a proof; a workload's entries' peer is a look at every entry.
"""

import shutil
import time
from functools import partial
from pathlib import Path
from random import Random

from bench.client import Client
from bench.past import SELDOM, past
from bench.report import Row, in_turn, row
from capsule.v1 import history_pb2 as pb
from capsule.v1 import history_pb2_grpc
from capsuled.history import Filter
from capsuled.memory import recall
from journal.environment import Environment
from journal.follower import Follower
from journal.reader import Reader
from projections.fold import FOLD_VERSION
from tests.support.daemon import Daemon
from tests.support.site import site

ROUNDS = 3
MOMENTS = 100


def rows(directory: Path) -> list[Row]:
    """Both, of one daemon."""
    with site() as place:
        daemon = Daemon(directory, place.inside)
        daemon.state.mkdir()
        _lived(daemon.state / "journal")
        daemon.start()
        try:
            with Client(daemon.state / "capsule.sock") as client:
                return _measured(client)
        finally:
            daemon.close()


def _lived(journal: Path) -> None:
    """The past with its snapshots."""
    shutil.copytree(past(), journal)
    environment = Environment(journal)
    reader = Reader(environment)
    recall(reader, proven=True, leave=partial(Follower(environment, reader).save_snapshot, FOLD_VERSION))
    environment.close()


def _measured(client: Client) -> list[Row]:
    stub, random = history_pb2_grpc.HistoryServiceStub(client.channel), Random(3)
    reader = Reader.open(past())  # without a snapshot
    last = reader.last()
    assert last is not None
    wanted, found = Filter(name=SELDOM), list[int]()

    def p99_ms() -> float:
        taken = []
        for _ in range(MOMENTS):
            begun = time.perf_counter()
            stub.AsOf(pb.AsOfRequest(at=pb.Moment(seq=random.randint(1, last.header.seq))))
            taken.append((time.perf_counter() - begun) * 1e3)
        return sorted(taken)[MOMENTS * 99 // 100 - 1]

    def fold_ms() -> float:
        begun = time.perf_counter()
        recall(reader, proven=True)
        return (time.perf_counter() - begun) * 1e3

    def filter_ms() -> float:
        begun = time.perf_counter()
        count = sum(1 for _ in stub.List(pb.HistoryListRequest(name=SELDOM)))
        found.append(count)
        return (time.perf_counter() - begun) * 1e3

    def scan_ms() -> float:
        begun = time.perf_counter()
        found.append(sum(map(wanted.matches, reader.entries())))
        return (time.perf_counter() - begun) * 1e3

    asof, fold = in_turn(ROUNDS, p99_ms, fold_ms)
    filtered, scanned = in_turn(ROUNDS, filter_ms, scan_ms)
    reader.close()
    assert len(set(found)) == 1, f"they found {set(found)} entries"
    note = f"the slowest but one of {MOMENTS} moments, 10^6 entries"
    return [
        row("asof.random", asof, "ms", "one full fold", fold, "<=0.02", note),
        row(
            "history.filter", filtered, "ms", "a look at every entry", scanned, "<=0.02", f"{found[0]} of 10^6 entries"
        ),
    ]
