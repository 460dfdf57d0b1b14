"""Reading the memory: whatever is asked of it, the event loop reads no more than the journal's end."""

import asyncio
import io
import os
import shutil
import threading
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lmdb
import pytest

from capsule.v1 import history_pb2 as pb
from capsuled.examine import verify_apart
from capsuled.processes import run
from capsuled.services.history import HistoryService
from journal.archive import Archive
from journal.entry import LOCAL
from journal.environment import Environment
from journal.events import CallAccepted, CallRead
from journal.reader import Reader
from journal.sequencer import Draft
from journal.writer import Journal
from projections.encoding import encode_state
from projections.fold import FOLD_VERSION, fold
from projections.state import Machine
from tests.support.clock import HandClock
from tests.support.entries import keep, ledger, live_once, with_body
from tests.support.reading import command
from tests.support.until import until

COUNT = 5_000


class Watched(Reader):
    """Counts transactions by thread."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.transactions: Counter[int] = Counter()

    def _begin(self) -> lmdb.Transaction:
        self.transactions[threading.get_ident()] += 1
        return super()._begin()


class Engine:
    machine = Machine()

    def wall_ns(self) -> int:
        return 0

    async def durable(self, seq: int | None = None) -> None:
        pass


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("history") / "journal"
    entries = ledger(COUNT).entries
    keep(directory, entries[:-100])
    live_once(directory)
    keep(directory, entries[-100:])
    return directory


@pytest.fixture
def served(long: Path) -> Iterator[tuple[HistoryService, Watched]]:
    environment = Environment(long, readonly=True)
    reader = Watched(environment)
    yield HistoryService(environment, reader, Engine()), reader  # type: ignore[arg-type]
    environment.close()


async def listed(answers: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in answers]


ASKED: dict[str, Callable[[HistoryService], Any]] = {
    "all": lambda service: listed(service.List(pb.HistoryListRequest(), None)),
    "with reads": lambda service: listed(service.List(pb.HistoryListRequest(audit=True, limit=5), None)),
    "of nobody": lambda service: listed(service.List(pb.HistoryListRequest(actor="nobody", limit=20), None)),
    "of calls": lambda service: listed(service.List(pb.HistoryListRequest(type="snapshot.", limit=20), None)),
    "since ever": lambda service: listed(service.List(pb.HistoryListRequest(actor="nobody", since_unix_ns=1), None)),
    "of an object": lambda service: listed(service.List(pb.HistoryListRequest(name="object-1", limit=1_000), None)),
    "one": lambda service: service.Show(pb.HistoryShowRequest(seq=1), None),
    "figures": lambda service: service.Stats(pb.StatsRequest(), None),
    "an archive": lambda service: listed(service.Export(pb.ExportRequest(), None)),
}


@pytest.mark.parametrize("what", ASKED)
def test_the_event_loop_does_not_read(served: tuple[HistoryService, Watched], what: str) -> None:
    service, reader = served

    async def asked() -> int:
        await ASKED[what](service)
        return threading.get_ident()

    loop = asyncio.run(asked())
    assert reader.transactions[loop] <= 1, "the journal's end"
    assert reader.transactions.total() > reader.transactions[loop]


def entries(service: HistoryService, **asked: Any) -> list[int]:
    return [one.seq for one in asyncio.run(listed(service.List(pb.HistoryListRequest(**asked), None)))]


def test_what_is_listed_is_what_was_asked_for(served: tuple[HistoryService, Watched]) -> None:
    service, _ = served
    everything = list(range(1, COUNT + 1))
    assert entries(service) == everything
    assert entries(service, limit=3) == everything[-3:]
    assert entries(service, limit=3_000) == everything[-3_000:]
    assert entries(service, limit=COUNT * 2) == everything
    accepted = entries(service, type="call.accepted")
    assert accepted and accepted == entries(service, types=["call.accepted"]) == entries(service, type="call.")
    assert entries(service, type="call.", limit=1_500) == entries(service, type="call.accepted", limit=1_500)
    assert entries(service, type="call.accepted", limit=1_500) == accepted[-1_500:]
    assert entries(service, actor="nobody") == entries(service, actor="nobody", limit=5) == []


@pytest.mark.parametrize(("upto", "part"), [(0, False), (COUNT - 1, True), (COUNT, False), (COUNT + 1, False)])
def test_an_archive_says_whether_the_journal_had_more_when_it_was_taken(
    served: tuple[HistoryService, Watched], upto: int, part: bool
) -> None:
    service, _ = served
    chunks = asyncio.run(listed(service.Export(pb.ExportRequest(upto=upto), None)))
    title = Archive(io.BytesIO(b"".join(chunk.data for chunk in chunks))).title
    assert title.part is part


def held(service: HistoryService, **asked: Any) -> int:
    """How many bytes were in use at most while a client took one message after another."""

    async def taken() -> None:
        async for _ in service.List(pb.HistoryListRequest(**asked), None):
            pass

    tracemalloc.start()
    try:
        asyncio.run(taken())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("asked", [{"audit": True}, {"limit": COUNT}, {"audit": True, "limit": 1 << 30}])
def test_however_much_is_listed_only_a_page_is_held(
    served: tuple[HistoryService, Watched], monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    monkeypatch.setattr("capsuled.aside.PAGE_ITEMS", 256)
    service, _ = served
    held(service)
    assert held(service, **asked) < 4 * held(service)  # backwards, pages are copied once more


def test_reads_stand_between_the_facts_by_their_time(tmp_path: Path) -> None:
    clock, expected = HandClock(), []

    async def main() -> None:
        journal = Journal(Environment(tmp_path / "journal"), clock)
        for number in range(60):
            clock.pass_time(number % 3)  # some at the same moment: facts come first then
            if number % 7 in (2, 3, 5):
                journal.note(Draft(CallRead("Test.Get", "web"), LOCAL))
                journal._flush_audit()
                expected.append((clock.wall, 1, "audit"))
            else:
                journal.append([Draft(CallAccepted("Test.Call", objects=("web",)), LOCAL)])
                expected.append((clock.wall, 0, "facts"))
        await journal.close()

    asyncio.run(main())
    expected.sort()
    environment = Environment(tmp_path / "journal", readonly=True)
    service = HistoryService(environment, Reader(environment), Engine())  # type: ignore[arg-type]
    for asked in ({}, {"name": "web"}, {"types": ["call."]}):
        for limit in (0, 1, 2, 3, 11, 59, 60, 61):
            request = pb.HistoryListRequest(audit=True, limit=limit, **asked)
            shown = [(one.at_unix_ns, one.stream) for one in asyncio.run(listed(service.List(request, None)))]
            assert shown == [(at, stream) for at, _, stream in expected[-limit:]], (asked, limit)
    since = expected[40][0]
    request = pb.HistoryListRequest(audit=True, limit=50, since_unix_ns=since)
    assert len(asyncio.run(listed(service.List(request, None)))) == sum(at >= since for at, _, _ in expected)
    environment.close()


def test_a_journal_that_is_closed_while_it_is_read_ends_the_reading(long: Path) -> None:
    environment = Environment(long, readonly=True)
    reader = Reader(environment)
    with environment.map_guard:  # a reader on another thread is in the middle of its transaction
        closing = threading.Thread(target=environment.close)
        closing.start()
        with environment.lmdb.begin() as transaction:
            assert transaction.stat(environment.db["facts"])["entries"] == COUNT
        assert closing.is_alive()
    closing.join(30)
    with pytest.raises(lmdb.Error):
        reader.last()


def test_a_replay_is_compared_with_what_was_kept_at_or_before_its_end(tmp_path: Path) -> None:
    async def told() -> list[tuple[int, int, bool]]:
        environment, machine = Environment(tmp_path / "journal"), Machine()
        journal = Journal(environment, HandClock())
        for _ in range(20):
            for header, event in journal.append([Draft(CallAccepted("Test.Call", call_id="x"), LOCAL)]):
                fold(machine, header, event)
            if header.seq == 10:
                journal.save_snapshot(FOLD_VERSION, 10, partial(encode_state, machine.fork()))
        await journal.durable(journal.seq)
        engine = Engine()
        engine.machine = machine
        service = HistoryService(environment, journal.reader, engine)  # type: ignore[arg-type]
        found = []
        for upto in (0, 20, 15, 10, 9):
            answer = await service.Replay(pb.ReplayRequest(to=upto), None)
            found.append((answer.seq, answer.kept_seq, answer.live_hash == answer.state_hash))
            assert bool(answer.live_hash) == bool(answer.kept_seq)
        await journal.close()
        return found

    assert asyncio.run(told()) == [
        (20, 20, True),
        (20, 20, True),
        (15, 10, True),
        (10, 10, True),
        (9, 0, False),
    ]


def test_what_a_clock_wrote_that_was_behind_hides_nothing_of_the_asked_span_before_it(tmp_path: Path) -> None:
    clock, seqs = HandClock(), list[int]()
    began = clock.wall

    async def main() -> None:
        journal = Journal(Environment(tmp_path / "journal"), clock)
        for count, ahead_s in ((100, 0), (700, -86_400), (50, 86_400)):
            clock.wall += ahead_s * 1_000_000_000
            for _ in range(count):
                clock.pass_time(1)
                ((header, _),) = journal.append([Draft(CallAccepted("Test.Call"), LOCAL)])
                if header.at >= began:
                    seqs.append(header.seq)
        await journal.close()

    asyncio.run(main())
    assert len(seqs) == 150
    environment = Environment(tmp_path / "journal", readonly=True)
    service = HistoryService(environment, Reader(environment), Engine())  # type: ignore[arg-type]
    for limit in (0, 10, 120, 500):
        assert entries(service, since_unix_ns=began, limit=limit) == seqs[-limit:]
    environment.close()


def test_readers_share_few_processes(served: tuple[HistoryService, Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    service, _ = served
    begun, at_once, most = 0, 0, 0

    async def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal begun, at_once, most
        begun, at_once = begun + 1, at_once + 1
        most = max(most, at_once)
        try:
            return await verify_apart(*arguments, **options)
        finally:
            at_once -= 1

    monkeypatch.setattr("capsuled.services.history.verify_apart", counted)

    async def main() -> list[Any]:
        heads = [pb.VerifyRequest()] * 12 + [pb.VerifyRequest(head_seq=seq, head_hash="0" * 64) for seq in (1, 2)]
        return await asyncio.gather(*(service.Verify(head, None) for head in heads))

    answers = asyncio.run(main())
    assert all(answer.checked == COUNT for answer in answers)
    assert [bool(answer.findings) for answer in answers] == [False] * 12 + [True] * 2
    assert most == 2 and begun < 6, "twelve ask for the same"


@pytest.mark.parametrize("asked", ["Verify", "Replay"])
def test_who_asks_no_longer_leaves_no_reader_behind(
    served: tuple[HistoryService, Watched], long: Path, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, _ = served
    environment = service._environment

    def others() -> list[str]:
        lines = environment.lmdb.readers().splitlines()[1:]
        return [line for line in lines if line.strip() and int(line.split()[0]) != os.getpid()]

    async def looks(*_: Any, **__: Any) -> Any:
        await run(*command(long))

    monkeypatch.setattr("capsuled.services.history.verify_apart", looks)
    monkeypatch.setattr("capsuled.services.history.replay_apart", looks)

    async def main() -> None:
        call = (
            service.Verify(pb.VerifyRequest(), None) if asked == "Verify" else service.Replay(pb.ReplayRequest(), None)
        )
        asking = asyncio.ensure_future(call)
        await until(others, 30)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(lambda: not others())

    asyncio.run(main())


def test_what_one_proof_found_others_are_warned_of_and_a_head_that_was_brought_along_is_nobodys_word(
    long: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "journal"
    shutil.copytree(long, directory)
    entries = ledger(COUNT).entries
    environment = Environment(directory, readonly=True)
    service = HistoryService(environment, Reader(environment), Engine())  # type: ignore[arg-type]

    def proven(**head: Any) -> tuple[list[str], tuple[str, ...]]:
        async def ask() -> tuple[list[str], tuple[str, ...]]:
            answer = await service.Verify(pb.VerifyRequest(**head), None)
            return list(answer.findings), await service.warnings()

        return asyncio.run(ask())

    assert proven() == ([], ())
    findings, warnings = proven(head_seq=7, head_hash="0" * 64)
    assert findings and warnings == ()
    environment.close()
    keep(directory, [with_body(entries[6], entries[5].body)])
    findings, (warning,) = proven()
    assert f"the journal is not whole: {findings[0]}" in warning
    keep(directory, [entries[6]])
    assert proven() == ([], ())
