"""The daemon's words, as PID 1 takes them from the pipe."""

import asyncio
import os
from pathlib import Path

import pytest

from capsuled.boot.link import VARIABLE, InitLink
from init import records
from init.ending import to_unmount
from init.main import ENVIRONMENT
from init.words import LONGEST_WAIT_S, WORDS, Listener


def test_what_the_daemon_says_is_what_pid_1_hears() -> None:
    reading, writing = os.pipe()
    link, listener = InitLink.given({VARIABLE: str(writing)}), Listener()
    for word in WORDS:
        link.say(word)
    link.say("wait", 90)
    assert listener.heard(os.read(reading, 4096)) == [*((word, 0) for word in WORDS), ("wait", 90)]
    os.close(reading)
    link.say("alive")  # nobody listens any more: that is a line in the log
    os.close(writing)


def test_the_daemon_finds_the_pipe_where_pid_1_left_it() -> None:
    assert ENVIRONMENT[VARIABLE] == "3"


def test_that_the_api_does_not_answer_in_time_is_said_in_words(caplog: pytest.LogCaptureFixture) -> None:
    async def silence() -> None:
        asked.set()
        raise TimeoutError  # it has no words of its own

    async def scene() -> None:
        keeping = asyncio.create_task(InitLink(None).keep_alive(silence))
        await asked.wait()
        await asyncio.sleep(0)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asked = asyncio.Event()
    asyncio.run(scene())
    assert caplog.messages == ["the API does not answer: TimeoutError"]


def test_words_come_in_pieces_and_nonsense_is_dropped() -> None:
    listener = Listener()
    assert listener.heard(b"ali") == []
    assert listener.heard(b"ve\nhello\nwait x\nwait 5\n\xff\n" + b"x" * 100_000) == [("alive", 0), ("wait", 5)]
    assert listener.heard(b"\nready\n") == [("ready", 0)]


def test_no_wait_is_longer_than_an_hour() -> None:
    assert Listener().heard(b"wait 999999999\n") == [("wait", LONGEST_WAIT_S)]


def test_places_are_unmounted_last_mounted_first_and_volumes_below_run_too() -> None:
    mounts = (
        "overlay / overlay rw 0 0\nproc /proc proc rw 0 0\ntmpfs /run tmpfs rw 0 0\ntmp /tmp tmpfs rw 0 0\n"
        "/dev/mapper/capsule-perm /perm ext4 rw 0 0\n/dev/mapper/capsule-journal /perm/journal ext4 rw 0 0\n"
        "/dev/loop0 /run/capsule/volumes/a\\040b ext4 rw 0 0\n"
    )
    assert to_unmount(mounts.encode()) == [b"/run/capsule/volumes/a b", b"/perm/journal", b"/perm", b"/tmp"]


def test_a_place_is_unmounted_by_the_name_that_somebody_gave_it_in_whatever_encoding() -> None:
    mounts = "/dev/sdb1 /perm/Größe\\0401 ext4 rw 0 0\n".encode() + b"/dev/sdc1 /perm/\xff\\134 ext4 rw 0 0\n"
    assert to_unmount(mounts) == [b"/perm/\xff\\", "/perm/Größe 1".encode()]


def test_a_record_has_the_end_of_what_was_said(tmp_path: Path) -> None:
    said = tmp_path / "stderr"
    said.write_bytes(b"x" * 100_000 + b"\nthe end\n")
    records.write(7, 1500, "exit 1", str(tmp_path / "ends"), str(said))
    (file,) = (tmp_path / "ends").iterdir()
    head, _, rest = file.read_bytes().partition(b"\n")
    assert head == b"7 1500 exit 1" and rest.endswith(b"the end\n") and len(rest) == records.TAIL_BYTES


def test_records_that_nobody_reads_do_not_pile_up(tmp_path: Path) -> None:
    for at in range(records.KEPT + 5):
        records.write(at, 0, "exit 1", str(tmp_path), str(tmp_path / "none"))
    assert len(list(tmp_path.iterdir())) == records.KEPT


def test_a_daemon_that_keeps_talking_does_not_fill_the_memory(tmp_path: Path) -> None:
    said = tmp_path / "stderr"
    with said.open("ab") as talking:
        talking.write(b"x" * (records.STDERR_BYTES + 1))
        talking.flush()
        records.cut_stderr(str(said))
        talking.write(b"and on")
    assert said.read_bytes() == b"and on"
