"""A clock that was fast: what of the journal is proof that a time has passed, and what a step back lets in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from capsuled import believed
from capsuled.believed import believed_ns, clock_behind, host_believed_ns, host_time
from capsuled.boot.console import banner
from capsuled.boot.ground import Booted, Ground
from capsuled.boot.ntp import bounds_of, judged
from capsuled.boot.system import System
from capsuled.condition import State
from capsuled.engine import Engine
from capsuled.front import take_over
from capsuled.identity import load_or_make
from capsuled.replays import ReplayGuard
from capsuled.services.capsule import About
from capsuled.session import ANONYMOUS
from capsuled.set_back import BEHIND_NS, ITS_HOST, with_step
from capsuled.startup import ClosedLog
from capsuled.tokens import SKEW_S
from journal.entry import LOCAL, SYSTEM, Actor
from journal.environment import Environment
from journal.errors import JournalReadOnly
from journal.events import CallAccepted, ClockStepped, DaemonStarted, OperatorEnrolled, StreamOpened, UplinkChanged
from journal.reader import Reader
from journal.sequencer import THIS_BATCH, Draft
from projections.state import Machine
from tests.support.clock import HandClock
from tests.support.entries import Ledger, keep, live_once

S = 1_000_000_000
HOUR = 3_600 * S
NOW = 1_800_000_000 * S
BUILT_S = NOW / S - 90 * 86_400
FAST = 10 * HOUR
ANNA = Actor("operator", "kid", "anna", "admin")
T = TypeVar("T")


class Past(Ledger):
    """What the journal holds, at times of its machine's clock."""

    def begins(self, boot: str, at: int) -> None:
        self.boot = boot
        self.add(UplinkChanged("eth0", "10.0.0.2/24", "dhcp"), at=at)
        self.add(DaemonStarted(mode="os", previous="clean"), at=at)

    def is_set(self, at: int, by_ms: int = 3) -> None:
        self.add(ClockStepped(by_ms, "pool"), at=at)

    def goes_on(self, at: int) -> None:
        self.add(UplinkChanged("eth0", "10.0.0.3/24", "dhcp"), at=at)

    def is_called(self, at: int, jti: str, actor: Actor = ANNA) -> None:
        self.add(CallAccepted("Test.Call", jti=jti, token_exp=at // S + 60 if jti else 0), actor=actor, at=at)


@pytest.fixture(params=["no index", "indexed"])
def of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Past, Callable[[Reader], T]], T]:
    """What a reader of that past says."""

    def found(past: Past, ask: Callable[[Reader], T]) -> T:
        keep(tmp_path / "journal", past.entries)
        if request.param == "indexed":
            live_once(tmp_path / "journal")
        environment = Environment(tmp_path / "journal", readonly=True)
        try:
            return ask(Reader(environment))
        finally:
            environment.close()

    return found


def refused(believed: int) -> str:
    """Why a machine that is ten hours fast is not set right."""
    return judged(-FAST / S, (NOW + FAST) / S, True, bounds_of(BUILT_S, believed / S))


def test_a_first_boot_with_a_fast_clock_is_no_proof(of: Any) -> None:
    past = Past()
    past.begins("first", NOW + FAST)
    past.add(OperatorEnrolled("kid", "ab" * 32, "anna", role="admin", how="adopted"), actor=ANONYMOUS, at=NOW + FAST)
    past.is_called(NOW + FAST, "", ANONYMOUS)
    past.is_called(NOW + FAST, "", LOCAL)
    assert (believed := of(past, believed_ns)) == 0 and refused(believed) == ""


def test_the_end_of_a_boot_that_a_server_had_set_is_believed_and_a_fast_boot_behind_it_is_not(of: Any) -> None:
    past = Past()
    past.begins("right", NOW - 5 * HOUR)
    past.is_set(NOW - 4 * HOUR)
    past.goes_on(NOW - 2 * HOUR)
    for boot in ("fast", "fast again", "fast again"):
        past.begins(boot, NOW + FAST)
        past.goes_on(NOW + FAST)
    assert (believed := of(past, believed_ns)) == NOW - 2 * HOUR and refused(believed) == ""
    assert "before the journal's last entry" in judged(-FAST / S, (NOW - HOUR) / S, True, bounds_of(0, believed / S))


def test_a_daemon_that_starts_anew_in_a_boot_that_was_set_right_believes_all_of_it(of: Any) -> None:
    past = Past()
    past.begins("this", NOW + FAST)
    past.is_set(NOW, by_ms=-36_000_000)
    past.goes_on(NOW + S)
    past.begins("this", NOW + 2 * S)
    assert of(past, believed_ns) == NOW + 2 * S


def test_a_call_whose_token_was_good_is_believed_within_what_clocks_may_be_apart(of: Any) -> None:
    past = Past()
    past.begins("never set", NOW - HOUR)
    past.is_called(NOW - HOUR, "one")
    past.begins("fast", NOW + FAST)
    past.is_called(NOW + FAST, "", ANONYMOUS)
    assert of(past, believed_ns) == NOW - HOUR - SKEW_S * S


def test_a_token_that_was_used_before_a_fast_boot_is_good_for_nothing_once_that_is_set_right(of: Any) -> None:
    past = Past()
    past.begins("right", NOW - HOUR)
    past.is_called(NOW, "used")
    past.begins("fast", NOW + FAST)

    def taken(reader: Reader) -> list[bool]:
        guard = ReplayGuard()
        take_over(guard, reader, NOW + FAST, believed_ns(reader))
        expiry = NOW // S + 60
        at_once = guard.take("kid", "used", expiry, NOW / S + 30)
        # Between the two the fast clock looks, by which it is too old.
        guard.take("kid", "of the fast one", (NOW + FAST) // S + 60, (NOW + FAST) / S)
        later = guard.take("kid", "used", expiry, NOW / S + 30)
        return [at_once, later, guard.take("kid", "fresh", expiry + 60, NOW / S + 90)]

    assert of(past, taken) == [False, False, True]


YEAR = 365 * 24 * HOUR


def test_what_stands_in_a_host_s_journal_at_a_time_to_come_is_believed_as_far_as_its_token(of: Any) -> None:
    past = Past()
    past.begins("right", NOW - HOUR)
    past.is_called(NOW - HOUR, "early")
    assert of(past, host_believed_ns) == NOW - HOUR - SKEW_S * S
    past.add(CallAccepted("Test.Call", jti="one", token_exp=NOW // S + 60), actor=ANNA, at=NOW + YEAR)
    assert of(past, host_believed_ns) == NOW + 60 * S - SKEW_S * S
    past.add(StreamOpened("Test.Exec", jti="fast", token_exp=(NOW + YEAR) // S + 60), actor=ANNA, at=NOW + YEAR)
    assert of(past, host_believed_ns) == NOW + YEAR - SKEW_S * S, "the client was on the same machine"
    past.add(CallAccepted("Test.Call", jti="two", token_exp=NOW // S + 90), actor=ANNA, at=NOW + YEAR)
    assert of(past, host_believed_ns) == NOW + 90 * S - SKEW_S * S


def test_a_host_whose_calls_have_no_tokens_is_not_looked_through_for_one(
    of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(believed, "LOOKED_AT", 3)
    past = Past()
    for number in range(2):
        past.is_called(NOW + number * S, "", LOCAL)
    assert of(past, host_believed_ns) == 0
    for number in range(2, 5):
        past.is_called(NOW + number * S, "", LOCAL)
    assert of(past, host_believed_ns) == NOW + 2 * S


def test_a_host_s_clock_is_believed_over_a_boot_that_was_fast_and_not_behind_what_is_read_back() -> None:
    now_ns = NOW
    judged = host_time(NOW + YEAR, lambda: now_ns)
    assert judged() == NOW
    now_ns = NOW + HOUR
    assert judged() == NOW + HOUR
    now_ns = NOW - HOUR
    assert judged() == NOW
    judged = host_time(NOW - 3 * HOUR, lambda: now_ns)
    now_ns = NOW - 2 * HOUR
    assert judged() == NOW - 2 * HOUR, "its owner may set it back"
    now_ns = NOW - 4 * HOUR
    assert judged() == NOW - 3 * HOUR


@pytest.mark.parametrize("fast", [YEAR, 0], ids=["entries of a time to come", "entries of their own time"])
@pytest.mark.parametrize("set_to", [0, HOUR, -HOUR, -YEAR], ids=["right", "later", "an hour back", "a year back"])
def test_no_token_that_acted_on_a_host_is_taken_again_whatever_its_clock_says(of: Any, fast: int, set_to: int) -> None:
    used = [(f"used {number}", NOW + number * S) for number in range(0, 7_200, 600)]
    past = Past()
    for jti, at in used:
        past.add(CallAccepted("Test.Call", jti=jti, token_exp=at // S + 60), actor=ANNA, at=at + fast)
        past.goes_on(at + fast)

    def taken(reader: Reader) -> list[str]:
        guard, now_ns = ReplayGuard(), used[-1][1] + S
        known = host_believed_ns(reader)
        judged = host_time(known, lambda: now_ns)
        take_over(guard, reader, judged(), known)
        now_ns += set_to
        good = [(jti, at // S + 60) for jti, at in used if at // S + 60 + SKEW_S >= judged() / S]
        return [jti for jti, expiry in good if guard.take("kid", jti, expiry, judged() / S)]

    assert of(past, taken) == []


def test_a_host_is_told_of_a_clock_that_is_behind_its_journal_and_what_follows() -> None:
    assert clock_behind(NOW + 60 * S, NOW, NOW) == ""
    said = clock_behind(NOW + YEAR, NOW, NOW + 7)
    assert "says 2027-01-15 08:00:00 UTC, and the journal has an entry from 2028-01-15 08:00:00 UTC" in said
    assert "timedatectl" in said and said.endswith("and times in the history run back once")
    stands = clock_behind(NOW + YEAR, NOW, NOW + YEAR)
    assert "entries get that time until" in stands


def ground() -> Ground:
    """What a boot leaves, of which little is asked."""
    nothing: Any = None
    return Ground(nothing, nothing, Booted("slot_a"), "/dev/vda3", nothing, "0.1.0 abc")


def test_the_system_takes_it_from_the_journal_as_it_was_before_this_life(of: Any) -> None:
    past = Past()
    past.begins("right", NOW - 5 * HOUR)
    past.is_set(NOW - 4 * HOUR)
    system = System(ground())
    of(past, lambda reader: system.knows_time(reader, NOW))
    assert system.believed_ns == NOW - 4 * HOUR
    system.knows_time(None, NOW)
    assert system.believed_ns == 0


def test_a_journal_that_cannot_be_read_so_far_back_stops_no_start(tmp_path: Path) -> None:
    past = Past()
    past.begins("right", NOW)
    past.is_set(NOW)
    keep(tmp_path / "journal", past.entries)
    environment = Environment(tmp_path / "journal")
    with environment.lmdb.begin(write=True) as txn:
        txn.put((2).to_bytes(8, "big"), b"no entry", db=environment.db["facts"])
    system = System(ground())
    system.knows_time(Reader(environment), NOW + S)
    assert system.believed_ns == NOW + S
    environment.close()


def test_the_console_says_that_the_disk_is_read_only_and_the_time_is_not_known(tmp_path: Path) -> None:
    about = About(load_or_make(tmp_path / "identity"), tmp_path, State())
    engine = Engine(ClosedLog(JournalReadOnly("")), Machine(), HandClock(), frozenset())
    problems = ("the state's disk is read-only: so", "the time is not known: so")
    face = System(ground())._face(engine, engine.machine, about, False, "", *problems)
    assert [line for line in banner(face).splitlines() if "!" in line] == [f"  ! {one}" for one in problems]


def test_a_clock_that_went_back_without_a_server_is_not_one_that_anybody_agreed_with(of: Any) -> None:
    past = Past()
    past.begins("right", NOW - 4 * HOUR)
    past.is_set(NOW - 4 * HOUR)
    past.begins("fast", NOW + FAST)
    past.add(ClockStepped(-3_600_000, ITS_HOST), at=NOW + FAST - HOUR)
    past.goes_on(NOW + FAST)
    assert of(past, believed_ns) == NOW - 4 * HOUR


def test_a_batch_from_before_the_last_entry_says_so_but_not_for_a_minute_nor_where_who_set_the_clock_does() -> None:
    batch = (Draft(UplinkChanged("eth0", "10.0.0.2/24", "dhcp"), LOCAL),)
    *first, told = with_step(batch, 10 * BEHIND_NS, BEHIND_NS)
    assert (*first,) == batch and told == Draft(ClockStepped(-9 * 60_000, ITS_HOST), SYSTEM)
    of_a_call = (Draft(UplinkChanged("eth0", "10.0.0.2/24", "dhcp"), LOCAL, call=THIS_BATCH),)
    assert with_step(of_a_call, 10 * BEHIND_NS, BEHIND_NS)[-1].call == THIS_BATCH, "the state that it is answered with"
    for last_ns, stamp_ns in ((2 * BEHIND_NS, BEHIND_NS), (BEHIND_NS, 5 * BEHIND_NS)):
        assert with_step(batch, last_ns, stamp_ns) == batch
    by_a_server = (Draft(ClockStepped(-9 * 60_000, "pool"), SYSTEM),)
    assert with_step(by_a_server, 10 * BEHIND_NS, BEHIND_NS) == by_a_server
