"""What is said to be forgotten is forgotten: also when its caller has gone, or the disk had no room for an earlier one."""

import asyncio
import gc
import io
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from capsule.v1 import history_pb2
from capsule.v1 import retention_pb2 as pb
from capsulectl.folding import Folding
from capsuled.beginning import Beginning, beginning
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.memory import Recollection, replay_journal
from capsuled.moments import Moments
from capsuled.retention import NoRoom, Retention
from capsuled.rpc import Refused
from capsuled.services.retention import RetentionService
from capsuled.session import CURRENT, Session
from journal import retention
from journal.archive import Archive, export, import_archive
from journal.entry import LOCAL
from journal.environment import Environment
from journal.errors import HistoryCut, JournalError
from journal.events import CallRead, DaemonStarted, DaemonStopped
from journal.former import drop_former
from journal.reader import Reader
from journal.space import Space
from journal.verify import verify
from journal.writer import Journal
from projections.intents import Apply, Declared
from projections.refusals import Refusal
from projections.state import Machine, Slots
from projections.views import state_hash
from tests.support.clock import HandClock
from tests.support.story import ALL, declared


class Memory:
    """A journal on the disk, with the service that forgets of it."""

    def __init__(self, directory: Path) -> None:
        clock = HandClock()
        self.journal = Journal(Environment(directory), clock)
        self.engine = Engine(self.journal, Machine(), clock, ALL)
        reader = self.journal.reader
        self.service = RetentionService(self.engine, reader, Retention(self.journal, reader), JournalError())

    async def excise(self, *seqs: int, call_id: str = "") -> pb.RetentionResponse:
        CURRENT.set(Session(LOCAL, call_id=call_id))
        return await self.service.Excise(pb.ExciseRequest(seqs=seqs), None)

    async def truncate(self, upto: int, head_hash: str, *, dry_run: bool, call_id: str = "") -> pb.RetentionResponse:
        CURRENT.set(Session(LOCAL, call_id=call_id))
        moment = history_pb2.Moment(seq=upto)
        request = pb.TruncateRequest(upto=moment, head_hash=head_hash, exported_to="old.capsule", dry_run=dry_run)
        return await self.service.Truncate(request, None)

    async def apply(self, workload: Declared) -> None:
        CURRENT.set(Session(LOCAL))
        outcome = await self.engine.call(Apply((workload,)), Caller(LOCAL, "apply", "", ""))
        assert not isinstance(outcome, Refusal), outcome
        await self.engine.durable()

    def says(self, seq: int) -> bool:
        stored = self.journal.reader.get(seq)
        assert stored is not None
        return not stored.excised


def telling(directory: Path, story: Callable[[Memory], Awaitable[None]]) -> None:
    async def told() -> None:
        memory = Memory(directory)
        memory.engine.record([DaemonStopped(reason="asked to"), CallRead("a"), CallRead("b")])
        try:
            await asyncio.wait_for(story(memory), 20)
        finally:
            await memory.journal.close()

    asyncio.run(told())


def test_a_caller_who_goes_leaves_nothing_half_and_the_journal_as_good_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gone = threading.Event(), threading.Event()
    real = retention.set_base

    def late(*arguments: Any, **named: Any) -> None:
        begun.set()
        gone.wait(10)
        real(*arguments, **named)

    async def story(memory: Memory) -> None:
        call = asyncio.create_task(memory.excise(2))
        await asyncio.to_thread(begun.wait, 10)
        call.cancel()
        await asyncio.sleep(0)
        gone.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not memory.says(2) and memory.says(3)
        memory.engine.record([CallRead("c")])
        await memory.engine.durable()
        await memory.excise(3)

    monkeypatch.setattr(retention, "set_base", late)
    telling(tmp_path, story)


def test_what_had_no_room_goes_before_what_is_asked_for_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(memory: Memory) -> None:
        with monkeypatch.context() as full:
            full.setattr(Space, "extend", lambda *_: threading.current_thread() is threading.main_thread())
            with pytest.raises(NoRoom, match="not done yet"):
                await memory.excise(2)
        assert memory.says(2)
        await memory.excise(3)
        assert not memory.says(2) and not memory.says(3)

    telling(tmp_path, story)


def test_nothing_goes_while_what_runs_is_on_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(memory: Memory) -> None:
        with monkeypatch.context() as full:
            full.setattr(Space, "extend", lambda *_: threading.current_thread() is threading.main_thread())
            with pytest.raises(NoRoom):
                await memory.excise(2, call_id="one")
        memory.engine.machine.slots = Slots("slot_b", "slot_a", tentative=True)
        said = await memory.excise(2, call_id="one")
        assert said.seq and memory.says(2), "it is said, and a start that is not on trial comes to it"
        with pytest.raises(Refused, match="not confirmed"):
            await memory.excise(3)
        assert memory.says(2) and memory.says(3)
        memory.engine.machine.slots = Slots("slot_b", "slot_b")
        await memory.excise(2, call_id="one")
        assert not memory.says(2)

    telling(tmp_path, story)


def test_a_cut_is_tried_before_its_archive_is_there_and_made_behind_the_right_one_alone(tmp_path: Path) -> None:
    async def story(memory: Memory) -> None:
        for head_hash, dry_run in (("", False), ("ab" * 32, False), ("ab" * 32, True)):
            with pytest.raises(Refused, match="does not end with entry 2"):
                await memory.truncate(2, head_hash, dry_run=dry_run)
        with pytest.raises(Refused, match="the newest entry, 3, stays: name an entry before it"):
            await memory.truncate(3, "", dry_run=True)
        tried = await memory.truncate(2, "", dry_run=True)
        assert (tried.entries, tried.first_seq, tried.seq) == (2, 3, 0)
        assert memory.journal.reader.first_seq() == 1, "and nothing was cut"

    telling(tmp_path, story)


def test_a_call_that_is_made_again_is_answered_and_forgets_nothing_more(tmp_path: Path) -> None:
    async def story(memory: Memory) -> None:
        await memory.engine.durable()
        head = memory.journal.reader.get(1)
        assert head is not None
        cut = await memory.truncate(1, head.hash.hex(), dry_run=False, call_id="cut")
        removed = await memory.excise(2, call_id="removed")
        assert (cut.entries, removed.entries) == (1, 1)
        known = memory.engine.machine.seq
        for _ in range(2):
            again = await memory.truncate(1, head.hash.hex(), dry_run=False, call_id="cut")
            assert (again.upto, again.seq, again.entries, again.first_seq) == (1, cut.seq, 0, 2)
            again = await memory.excise(2, call_id="removed")
            assert (again.upto, again.seq, again.entries) == (removed.upto, removed.seq, 0)
        with pytest.raises(Refused, match="is gone already"):
            await memory.excise(2, call_id="anew")
        assert [e.header.type for e in memory.journal.reader.entries(known + 1)] == []

    telling(tmp_path, story)


def _as_by_a_release_that_knew_one_base(memory: Memory) -> None:
    environment = memory.journal.reader._env
    with environment.lmdb.begin(write=True) as txn:
        drop_former(environment, txn)


def test_where_a_cut_has_lost_what_it_began_with_the_past_is_not_told_and_nothing_is_called_damaged(
    tmp_path: Path,
) -> None:
    async def story(memory: Memory) -> None:
        reader = memory.journal.reader
        await memory.engine.durable()
        before = reader.get(2)
        assert before is not None
        await memory.truncate(2, before.hash.hex(), dry_run=False)
        call = memory.engine.machine.seq - 1
        assert Moments(reader, HandClock().wall_ns).machine(call + 1).seq == call + 1
        memory.engine.record([CallRead("c")])
        await memory.excise(3)
        for asked in (Moments(reader, HandClock().wall_ns).machine, Moments(reader, HandClock().wall_ns).check_told):
            asked(call + 1)
        await Recollection(reader).after(call)
        _as_by_a_release_that_knew_one_base(memory)
        for asked in (Moments(reader, HandClock().wall_ns).machine, Moments(reader, HandClock().wall_ns).check_told):
            with pytest.raises(Refused, match="history begins at entry 3, and since the content of a later entry"):
                asked(call + 1)
        Moments(reader, HandClock().wall_ns).check_told(memory.engine.machine.seq)
        with pytest.raises(HistoryCut, match="what is so now is what counts"):
            await Recollection(reader).after(call)

    telling(tmp_path, story)


def test_each_removal_takes_from_sight_what_is_between_it_and_its_mark_and_nothing_else(tmp_path: Path) -> None:
    async def story(memory: Memory) -> None:
        reader, started = memory.journal.reader, DaemonStarted(mode="hosted", previous="clean", keeps_streaks=True)
        moments = Moments(reader, HandClock().wall_ns)

        def untold() -> list[int]:
            dark = []
            for seq in range(reader.first_seq(), memory.engine.machine.seq + 1):
                try:
                    assert moments.machine(seq).seq == seq
                except Refused:
                    dark.append(seq)
            return dark

        memory.engine.record([started] * 3)
        await memory.engine.durable()
        head = reader.get(3)
        assert head is not None
        await memory.truncate(3, head.hash.hex(), dry_run=False)
        memory.engine.record([started] * 3)
        first = memory.engine.machine.seq - 1
        await memory.excise(first)
        memory.engine.record([started] * 4)
        second = memory.engine.machine.seq - 2
        await memory.excise(second)
        memory.engine.record([started])
        await memory.engine.durable()
        assert untold() == [first, second, second + 1]
        made = Archive(io.BytesIO(b"".join(export(reader, reader.journal_id))))
        list(made.entries())
        assert [base.seq for base in made.bases] == [3, first + 1, second + 2] == [*reader.base_seqs()]
        then = Folding(Archive(io.BytesIO(b"".join(export(reader, reader.journal_id)))), first - 1).all_of_it()
        assert state_hash(then) == state_hash(moments.machine(first - 1))
        import_archive(io.BytesIO(b"".join(export(reader, reader.journal_id))), tmp_path / "elsewhere")
        assert verify(tmp_path / "elsewhere").whole
        elsewhere = Reader.open(tmp_path / "elsewhere")
        assert elsewhere.base_seqs() == reader.base_seqs()
        told, _ = replay_journal(elsewhere, first - 1)
        assert not told.problem and told.state_hash == state_hash(then)
        elsewhere.close()

    telling(tmp_path / "here", story)


@pytest.mark.parametrize("cut", [True, False])
def test_a_replay_under_which_something_is_forgotten_folds_what_is_left(
    tmp_path: Path, cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capsuled.memory.STRIDE_ENTRIES", 100)

    async def story(memory: Memory) -> None:
        reader, loop, upto = memory.journal.reader, asyncio.get_running_loop(), 1_200
        for _ in range(15):
            memory.engine.record([DaemonStopped(reason="asked to")] * 100)
        await memory.engine.durable()
        await asyncio.wrap_future(memory.journal._mover.move_all())
        head = reader.get(upto)
        assert head is not None
        forgetting = memory.truncate(upto, head.hash.hex(), dry_run=False) if cut else memory.excise(upto)
        begun, held = list[int](), list[int]()

        def begins(*arguments: Any) -> Beginning:
            gc.collect()
            held.append(sum(isinstance(one, Machine) for one in gc.get_objects()))
            return beginning(*arguments)

        def forgets() -> None:
            if not begun:
                begun.append(reader.first_seq())
                asyncio.run_coroutine_threadsafe(forgetting, loop).result(10)

        monkeypatch.setattr("capsuled.memory.beginning", begins)
        replayed, machine = await asyncio.to_thread(lambda: replay_journal(reader, proceeds=forgets))
        assert len(held) > 1 and held[0] == held[-1], "the state of one turn at a time"
        assert begun == [1] and (replayed.problem, machine.seq) == ("", memory.engine.machine.seq)
        assert replayed.state_hash == state_hash(memory.engine.machine)

    telling(tmp_path, story)


def test_a_former_base_goes_with_what_was_removed_at_or_before_it_or_is_said_in_it_too(tmp_path: Path) -> None:
    async def story(memory: Memory) -> None:
        reader, slip = memory.journal.reader, declared("web", "--password=a-slip")
        for call in (slip, declared("db", "--as-ever")):
            await memory.apply(call)
        upto = memory.engine.machine.seq
        memory.engine.record([CallRead("d")])
        await memory.engine.durable()
        head = reader.get(upto)
        assert head is not None
        await memory.truncate(upto, head.hash.hex(), dry_run=False)
        await memory.apply(replace(slip, labels=(("app", "web"),)))
        said = memory.engine.machine.seq
        memory.engine.record([CallRead("c")])
        await memory.apply(declared("web", "--mended"))
        await memory.excise(said + 1)
        kept = reader.base_seqs()
        assert kept[0] == upto and len(kept) == 2, "it has nothing of a read"
        await memory.excise(said)
        assert len(reader.base_seqs()) == 1, "the one is newer than what was removed, and the other has the value, too"

    telling(tmp_path, story)
    assert [path.name for path in tmp_path.iterdir() if path.is_file() and b"a-slip" in path.read_bytes()] == []


def test_a_later_cut_leaves_no_former_base(tmp_path: Path) -> None:
    async def story(memory: Memory) -> None:
        reader = memory.journal.reader
        await memory.excise(2)
        memory.engine.record([CallRead("c")])
        await memory.excise(memory.engine.machine.seq)
        assert len(reader.base_seqs()) == 2
        memory.engine.record([CallRead("d"), CallRead("e")])
        await memory.engine.durable()
        upto = memory.engine.machine.seq - 1
        head = reader.get(upto)
        assert head is not None
        await memory.truncate(upto, head.hash.hex(), dry_run=False)
        assert reader.base_seqs() == (upto,)

    telling(tmp_path, story)
    assert verify(tmp_path).whole
