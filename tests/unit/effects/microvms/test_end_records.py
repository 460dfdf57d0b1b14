"""What a guest says of its payload's end, and what is made of it and of everything else that is left."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from effects.microvms.end_record import MOST_BYTES, Ending, Record, parse
from effects.microvms.judging import Traces, Verdict, judged
from effects.microvms.seemly import seemly
from effects.microvms.serial_tail import panic_in

PANIC = b"[    3.1] Kernel panic - not syncing: Attempted to kill init!\r\n[    3.2] CPU: 0\r\n"


def lines(*said: object) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in said)


@pytest.mark.parametrize(
    ("content", "record"),
    [
        (b"", Record()),
        (lines({"started": 1}), Record(started=True)),
        (lines({"started": 1}, {"exit": 7}), Record(True, Ending(7))),
        (lines({"started": 1}, {"signal": 15, "oom": 2}), Record(True, Ending(143, 2), 2)),
        (lines({"started": 1}, {"oom": 1}, {"oom": 3}, {"oom": -9}), Record(started=True, oom_kills=3)),
        (lines({"oom": 2**62}), Record(oom_kills=1_000_000)),
        (
            lines({"unexecutable": "no", "reason": "BAD_USER"}),
            Record(False, Ending(unexecutable="no", reason="BAD_USER")),
        ),
        (lines({"started": 1}, {"fault": "lost"}), Record(True, Ending(fault="lost"))),
        (lines({"started": 1}, {"exit": 1}, {"exit": 0}), Record(True, Ending(1))),
        (lines({"started": 1}) + b'{"exit": 0}', Record(started=True)),  # cut
        (
            b"\xff\n[1]\n{}\n" + lines({"exit": 300}, {"signal": 0}, {"exit": "7"}, {"exit": 3}),
            Record(False, Ending(3)),
        ),
        (b"[" * 3_000 + b"\n" + lines({"exit": 3}), Record(False, Ending(3))),
        (b" " * MOST_BYTES + lines({"exit": 3}), Record()),  # beyond what is read
    ],
)
def test_a_record_says_what_whole_lines_of_it_say(content: bytes, record: Record) -> None:
    assert parse(content) == record


@given(st.binary(max_size=300))
def test_whatever_a_guest_writes_is_read_and_shown_within_limits(content: bytes) -> None:
    parse(content)
    shown = seemly(content.decode(errors="replace"))
    assert len(shown) <= 300 and all(sign.isprintable() for sign in shown)


def test_what_would_move_a_cursor_or_turn_the_writing_is_not_shown() -> None:
    assert seemly("all\x1b[2J is\r\nwell\u202e now\u2028\u200b!") == "all [2J is well now !"


RAN, SAID = Record(started=True), Record(True, Ending(3))


@pytest.mark.parametrize(
    ("traces", "verdict"),
    [
        (Traces(SAID, 5, status=0), Verdict(3, 5)),
        (Traces(SAID, 5, status=-9, asked=True), Verdict(3, 5)),  # the guest's word counts first
        (Traces(RAN, 5, status=-9, asked=True), Verdict(137, 5)),
        (Traces(RAN, 5, status=-9), Verdict(137, 5, fault="killed", fault_text="by SIGKILL")),
        (Traces(Record(True, None, 2), 5, status=-9), Verdict(137, 5, 2, fault="killed", fault_text="by SIGKILL")),
        (Traces(RAN, 5, status=-11), Verdict(137, 5, fault="crashed", fault_text="by SIGSEGV")),
        (Traces(RAN, 5, status=1, words="no\x07 memory"), Verdict(137, 5, fault="crashed", fault_text="no memory")),
        (Traces(RAN, 5, status=0, serial=PANIC), Verdict(137, 5, fault="panic", fault_text="Attempted to kill init!")),
        (Traces(RAN, 5, status=-9, why=("silent", "a minute")), Verdict(137, 5, fault="silent", fault_text="a minute")),
        (Traces(Record(True, Ending(fault="x")), 5), Verdict(137, 5, fault="agent", fault_text="x")),
        (Traces(Record(), 5, status=0, agent=False), Verdict(0, 5)),
        (
            Traces(Record(False, Ending(unexecutable="no", reason="BAD_USER")), 5, status=0),
            Verdict(1, 5, unexecutable="no"),
        ),
        (Traces(Record(True, Ending()), 5, status=-11), Verdict(137, 5, fault="crashed", fault_text="by SIGSEGV")),
    ],
)
def test_an_end_is_judged_by_all_that_is_left(traces: Traces, verdict: Verdict) -> None:
    assert judged(traces) == verdict


def test_a_monitor_that_outgrew_its_cgroup_is_starved_and_one_that_nobody_saw_end_is_killed() -> None:
    assert judged(Traces(RAN, 5, status=-9, starved=True)).fault == "starved"
    assert judged(Traces(RAN, 5)).fault == "killed"
    assert judged(Traces(RAN, 5, status=0)).fault == "agent"


def test_the_last_panic_of_a_console_is_the_one() -> None:
    assert panic_in(b"well\n") == ""
    assert panic_in(PANIC + b"Kernel panic - not syncing: \x1b[31mlast\x1b[0m\n") == "[31mlast [0m"
