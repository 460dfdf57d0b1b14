"""Moments of the past: which entry each means, and the state right after it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsule.v1 import history_pb2 as pb
from capsuled.engine import Engine
from capsuled.memory import packed
from capsuled.moments import Moments
from capsuled.rpc import Refused
from journal.codec import decode
from journal.environment import Environment
from journal.events import CallRead, ClockStepped, DaemonStarted, EmergencyRecovered, MachineHalted, VolumeApplied
from journal.follower import Follower
from journal.reader import Reader
from journal.writer import Journal
from projections.encoding import encode_state
from projections.fold import FOLD_VERSION, fold
from projections.state import Machine
from projections.views import state_hash
from tests.support.clock import HandClock
from tests.support.entries import Ledger, keep, value_of

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
WALL_NS = HandClock().wall_ns()


def story() -> Ledger:
    """Three boots of two volumes each, an hour apart; in each the daemon starts twice."""
    ledger = Ledger()
    for number, boot in enumerate(("first", "second", "third")):
        ledger.boot = boot
        for part in range(2):
            at = (1 + number) * HOUR + part * SECOND
            ledger.add(DaemonStarted(mode="hosted", previous="clean"), at=at)
            ledger.add(VolumeApplied(f"v{number}{part}", 1 << 30, created=True), at=at + 1)
    return ledger


@pytest.fixture
def moments(tmp_path: Path) -> Iterator[Moments]:
    directory = tmp_path / "journal"
    keep(directory, story().entries)
    environment = Environment(directory, readonly=True)
    yield Moments(Reader(environment), HandClock().wall_ns)
    environment.close()


NOW = 12


def test_the_present_boot_is_known_where_its_beginning_was_cut_off(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.boot = "present"
    ledger.add(VolumeApplied("data", 1 << 30, created=True))
    keep(tmp_path / "journal", ledger.entries)
    environment = Environment(tmp_path / "journal", readonly=True)
    there = Moments(Reader(environment), HandClock().wall_ns)
    assert there.boot_id(0, 1, "boot") == "present"
    for asked in (lambda: there.boot_id(1, 1, "boot"), lambda: there.seq_of(pb.Moment(boot=-1), 1, "at")):
        with pytest.raises(Refused) as refused:
            asked()
        assert refused.value.refusal.message == "no boot before this one is remembered"
    environment.close()


@pytest.mark.parametrize(
    ("moment", "seq"),
    [
        (pb.Moment(), 12),
        (pb.Moment(seq=5), 5),
        (pb.Moment(at_unix_ns=HOUR - 1), 0),
        (pb.Moment(at_unix_ns=HOUR), 1),
        (pb.Moment(at_unix_ns=2 * HOUR - 1), 4),
        (pb.Moment(at_unix_ns=2 * HOUR + 1), 6),
        (pb.Moment(at_unix_ns=9 * HOUR), 12),
        (pb.Moment(at_unix_ns=WALL_NS + 299 * SECOND), 12),  # by a clock that is a little fast
        (pb.Moment(boot=-1), 8),
        (pb.Moment(boot=-2), 4),
    ],
)
def test_which_entry_a_moment_means(moments: Moments, moment: pb.Moment, seq: int) -> None:
    assert moments.seq_of(moment, NOW, "at") == seq


def test_what_a_boot_writes_before_its_daemon_s_start_is_not_the_end_of_the_boot_before(tmp_path: Path) -> None:
    ledger = Ledger()
    for boot, volume in (("first", "one"), ("second", "two"), ("present", "three")):
        ledger.boot = boot
        ledger.add(MachineHalted(1, "zeroth"))
        ledger.add(EmergencyRecovered("stop", "web", 1))
        ledger.add(DaemonStarted(mode="hosted", previous="clean"))
        ledger.add(VolumeApplied(volume, 1 << 30, created=True))
    keep(tmp_path / "journal", ledger.entries)
    environment = Environment(tmp_path / "journal", readonly=True)
    moments = Moments(Reader(environment), HandClock().wall_ns)
    for back, last, boot in ((1, 8, "second"), (2, 4, "first")):
        assert moments.seq_of(pb.Moment(boot=-back), ledger.seq, "at") == last
        assert moments.boot_id(back, ledger.seq, "boot") == boot == ledger.entries[last - 1].header.boot
    environment.close()


@pytest.mark.parametrize(
    ("moment", "reason", "says"),
    [
        (pb.Moment(seq=13), "NO_SUCH_ENTRY", "the newest is 12"),
        (
            pb.Moment(at_unix_ns=WALL_NS + 301 * SECOND),
            "NOT_YET",
            "by the capsule's clock it is 2023-11-14 22:13:20 UTC",
        ),
        (pb.Moment(boot=-3), "NO_SUCH_BOOT", "2 boots before this one are remembered"),
        (pb.Moment(boot=1), "BAD_MOMENT", "counted back"),
    ],
)
def test_moments_that_never_were(moments: Moments, moment: pb.Moment, reason: str, says: str) -> None:
    with pytest.raises(Refused) as caught:
        moments.seq_of(moment, NOW, "at")
    assert caught.value.reason == reason and says in str(caught.value)
    assert caught.value.refusal.fields == ("at",)


def test_what_has_been_has_come_also_where_the_clock_was_set_back_since(tmp_path: Path) -> None:
    ledger = story()
    ledger.add(VolumeApplied("late", 1 << 30, created=True), at=WALL_NS + 2 * HOUR)
    keep(tmp_path / "journal", ledger.entries)
    environment = Environment(tmp_path / "journal", readonly=True)
    moments = Moments(Reader(environment), HandClock().wall_ns)
    for at_ns, seq in ((WALL_NS + HOUR, 12), (WALL_NS + 2 * HOUR, 13)):
        assert moments.seq_of(pb.Moment(at_unix_ns=at_ns), 13, "at") == seq
    with pytest.raises(Refused):
        moments.seq_of(pb.Moment(at_unix_ns=WALL_NS + 3 * HOUR), 13, "at")
    environment.close()


def test_a_moment_after_the_clock_was_set_back_is_not_looked_for_before(tmp_path: Path) -> None:
    ledger = story()
    ledger.boot = "fast"
    for late_s in range(8):
        ledger.add(VolumeApplied("fast", 1 << 30, created=True), at=9 * HOUR + late_s * SECOND)
    ledger.add(ClockStepped(-18_000_000, "a server"), at=4 * HOUR)
    ledger.add(VolumeApplied("right", 1 << 30, created=True), at=4 * HOUR + SECOND)
    keep(tmp_path / "journal", ledger.entries)
    environment = Environment(tmp_path / "journal", readonly=True)
    moments = Moments(Reader(environment), HandClock().wall_ns)
    for at_ns, seq in ((4 * HOUR + 1, 21), (8 * HOUR, 22), (4 * HOUR - 1, 12), (2 * HOUR + 1, 6), (1, 0)):
        assert moments.seq_of(pb.Moment(at_unix_ns=at_ns), 22, "at") == seq
    assert moments.seq_of(pb.Moment(at_unix_ns=9 * HOUR), 20, "at") == 13
    environment.close()


def test_each_minute_is_found_where_a_server_set_the_hosts_clock_back_behind_the_daemons_start(tmp_path: Path) -> None:
    """As on a machine whose hardware keeps the local time: an hour fast until it is asked for."""
    clock = HandClock()
    began, right = clock.wall, clock.wall + 9 * HOUR

    async def main() -> None:
        journal = Journal(Environment(tmp_path), clock)
        engine = Engine(journal, Machine(), clock, frozenset())
        for boot, at, count, apart_s in (
            ("before", began, 700, 40),
            ("present", right + HOUR, 30, 0.1),
            ("present", right, 120, 25),
        ):
            clock.boot_id, clock.wall = boot, at
            for _ in range(count):
                engine.record((CallRead("a"), CallRead("b")))
                clock.pass_time(apart_s)
        await engine.durable()
        moments, now = Moments(journal.reader, clock.wall_ns), journal.seq
        history = [(one.header.seq, one.header.at) for one in journal.reader.entries()]
        for minutes in range(10 * 60):
            at_ns = clock.wall - minutes * 60 * SECOND
            there = max((seq for seq, at in history if at <= at_ns), default=0)
            assert moments.last_up_to(at_ns, now) == there, minutes
        stepped = [decode(one) for one in journal.reader.of_type("clock.stepped")]
        assert [type(one) for one in stepped] == [ClockStepped] and len(history) == now == 2 * 850 + 1
        await journal.close()

    asyncio.run(main())


def test_history_that_was_cut_begins_later(tmp_path: Path) -> None:
    entries = story().entries
    environment = Environment(tmp_path / "journal")
    with environment.lmdb.begin(write=True) as txn:
        for stored in entries[6:]:
            txn.put(stored.header.seq.to_bytes(8, "big"), value_of(stored), db=environment.db["facts"])
    cut = Moments(Reader(environment), HandClock().wall_ns)
    assert cut.seq_of(pb.Moment(seq=7), NOW, "at") == 7
    for moment in (pb.Moment(seq=6), pb.Moment(at_unix_ns=1), pb.Moment(at_unix_ns=2 * HOUR)):
        with pytest.raises(Refused, match="history begins at entry 7: `capsulectl history"):
            cut.seq_of(moment, NOW, "at")
    environment.close()


def test_the_state_of_every_moment_is_the_fold_of_what_came_before_also_from_snapshots(tmp_path: Path) -> None:
    entries = story().entries
    keep(tmp_path / "journal", entries)
    environment = Environment(tmp_path / "journal")
    folded = Machine()
    hashes = [state_hash(folded)]
    for stored in entries:
        fold(folded, stored.header, decode(stored))
        hashes.append(state_hash(folded))
    reader = Reader(environment)
    moments = Moments(reader, HandClock().wall_ns)
    assert [state_hash(moments.machine(seq)) for seq in range(NOW + 1)] == hashes
    follower = Follower(environment, reader)
    for seq in (4, 8):
        follower.save_snapshot(FOLD_VERSION, seq, encode_state(moments.machine(seq)))
    assert [state_hash(moments.machine(seq)) for seq in range(NOW + 1)] == hashes
    for unreadable in (b"no state", packed(Machine())[:-1]):
        follower.save_snapshot(FOLD_VERSION, 8, unreadable)
        assert [state_hash(moments.machine(seq)) for seq in range(NOW + 1)] == hashes
    environment.close()


def test_what_a_look_at_the_past_had_to_fold_is_left_for_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capsuled.memory.STRIDE_ENTRIES", 4)
    keep(tmp_path / "journal", story().entries)
    environment = Environment(tmp_path / "journal")
    reader = Reader(environment)
    follower, folded = Follower(environment, reader), Moments(reader, HandClock().wall_ns).machine(11)
    left: list[int] = []

    def leave(seq: int, content: bytes) -> None:
        left.append(seq)
        follower.save_snapshot(FOLD_VERSION, seq, content)

    moments = Moments(reader, HandClock().wall_ns, leave)
    assert moments.machine(11) == folded and reader.snapshots() == (4, 8) == tuple(left)
    assert moments.machine(11) == folded and left == [4, 8], "nothing of a stride's length was folded"
    environment.close()


def test_nothing_is_left_that_would_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each look far back would write, and what it wrote would go with the next one."""
    monkeypatch.setattr("capsuled.memory.STRIDE_ENTRIES", 2)
    for name, value in (("STRIDE_ENTRIES", 2), ("NEAR_STRIDES", 1), ("NEWEST_KEPT", 1)):
        monkeypatch.setattr(f"journal.strides.{name}", value)
    keep(tmp_path / "journal", story().entries)
    environment = Environment(tmp_path / "journal")
    reader = Reader(environment)
    follower, folded = Follower(environment, reader), Moments(reader, HandClock().wall_ns).machine(11)
    follower.save_snapshot(FOLD_VERSION, NOW, packed(Moments(reader, HandClock().wall_ns).machine(NOW)))
    left: list[int] = []

    def leave(seq: int, content: bytes) -> None:
        left.append(seq)
        follower.save_snapshot(FOLD_VERSION, seq, content)

    moments = Moments(reader, HandClock().wall_ns, leave)
    assert moments.machine(11) == folded and left == [2, 4, 8, 10]
    assert reader.snapshots() == (2, 4, 8, 10, NOW)
    assert moments.machine(11) == moments.machine(11) == folded and left == [2, 4, 8, 10]
    environment.close()


def test_before_the_first_entry_there_was_nothing(moments: Moments) -> None:
    assert moments.machine(0) == Machine()
