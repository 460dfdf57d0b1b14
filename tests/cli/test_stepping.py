"""A recorded history without a machine: entry by entry, on a terminal and off it, and as a journal again."""

import json
import os
import subprocess
from pathlib import Path

from tests.support.daemon import CTL
from tests.support.programs import running
from tests.support.terminal import window

ARCHIVE = str(Path(__file__).resolve().parents[1] / "histories" / "0.0.1.capsule")
NOWHERE = os.environ | {"CAPSULE_HOST": "unix:/nowhere", "CAPSULE_CONFIG_DIR": "/nowhere", "NO_COLOR": "1"}


def ctl(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [CTL, "replay", "--file", ARCHIVE, "--step", *arguments]
    return subprocess.run(command, env=NOWHERE, capture_output=True, text=True, check=False)


def test_each_entry_is_shown_with_what_it_made_of_the_state() -> None:
    done = ctl("--to", "12")
    assert done.returncode == 0 and "daemon.started" in done.stdout and "    + boot: " in done.stdout
    folded = subprocess.run(
        [CTL, "replay", "--file", ARCHIVE, "--to", "12", "-o", "name"],
        env=NOWHERE, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"State:     {folded.stdout.strip()} (view 2) after entry 12" in done.stdout


def test_nothing_begins_behind_the_last_entry() -> None:
    done = ctl("--from", "20", "--to", "9")
    assert (done.returncode, done.stdout) == (1, "") and "there is no entry 20 to begin with" in done.stderr


def test_what_it_is_to_go_to_is_there() -> None:
    for step in ((), ("--step",)):
        beyond = subprocess.run(
            [CTL, "replay", "--file", ARCHIVE, "--to", "99999", *step],
            env=NOWHERE, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert beyond.returncode == 1 and "the archive ends at entry" in beyond.stderr
    alone = subprocess.run([CTL, "replay", "--from", "3"], env=NOWHERE, capture_output=True, text=True, check=False)
    assert alone.returncode == 2 and "--from says where --step begins to show: say both" in alone.stderr


def test_as_data_it_is_one_object_an_entry() -> None:
    told = [json.loads(line) for line in ctl("--from", "5", "--to", "9", "-o", "json").stdout.splitlines()]
    assert [one["seq"] for one in told] == [5, 6, 7, 8, 9] and all("changes" in one and "body" in one for one in told)


def test_on_a_terminal_it_waits_to_be_told_how_far() -> None:
    with window() as made:
        made.run([CTL, "replay", "--file", ARCHIVE, "--step"], NOWHERE)
        made.sees("next [Enter]")
        made.type("\n")
        assert b"\r\n2  20" in made.sees("next [Enter]")
        made.type("7\n")
        shown = made.sees("next [Enter]")
        assert b"\r\n7  20" in shown and b"\r\n6  20" not in shown
        made.type("q\n")
        assert made.ends() == 0 and b"after entry 7" in made.screen


def test_a_file_that_is_no_archive_says_so(tmp_path: Path) -> None:
    (tmp_path / "none").write_bytes(b"nothing")
    done = subprocess.run(
        [CTL, "replay", "--file", tmp_path / "none", "--step"],
        env=NOWHERE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "this is no journal archive" in done.stderr


def test_what_nobody_reads_or_takes_is_no_fault_of_the_archive() -> None:
    with running(
        [CTL, "replay", "--file", ARCHIVE, "--step", "-o", "json"],  # more than a pipe holds
        env=NOWHERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as reader:  # fmt: skip
        assert reader.stdout is not None and reader.stderr is not None
        reader.stdout.readline()
        reader.stdout.close()
        assert (reader.wait(30), reader.stderr.read()) == (0, b"")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [CTL, "replay", "--file", ARCHIVE, "--step"],
            env=NOWHERE, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1 and "the output could not be written" in done.stderr


def test_it_is_a_journal_again_that_is_read_back_and_proven(tmp_path: Path) -> None:
    command = [CTL, "journal", "import", str(ARCHIVE), "--dir", str(tmp_path / "journal"), "--verify"]
    done = subprocess.run(command, env=NOWHERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "entries 1 to " in done.stderr, done.stderr
    again = subprocess.run(command, env=NOWHERE, capture_output=True, text=True, check=False)
    assert again.returncode == 1 and "holds a journal already" in again.stderr
