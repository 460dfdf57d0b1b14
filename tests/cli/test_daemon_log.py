"""The daemon's own log, as an operator asks for it."""

import json
import subprocess

import pytest

from tests.support.daemon import CTL, Daemon, manifest
from tests.support.programs import running

pytestmark = pytest.mark.real


def test_all_of_it_is_what_the_file_has(capsule: Daemon) -> None:
    (file,) = (capsule.state / "logs" / ".capsuled").glob("*-*-*-*-*.log")
    shown = capsule.good("capsule", "logs")
    assert "INFO capsuled.daemon: serving on " in shown and file.read_text().startswith(shown)


def test_a_number_counts_lines_and_with_a_level_records(capsule: Daemon) -> None:
    assert len(capsule.good("capsule", "logs", "-n", "1").splitlines()) == 1
    assert capsule.good("capsule", "logs", "-n", "0") == ""
    assert "serving on" in capsule.good("capsule", "logs", "-n", "all")
    whole = capsule.good("capsule", "logs", "--level", "info")
    assert capsule.good("capsule", "logs", "--level", "info", "-n", "1") == whole.splitlines(keepends=True)[-1]


def test_times_choose(capsule: Daemon) -> None:
    assert "serving on" in capsule.good("capsule", "logs", "--since", "1h", "--level", "info")
    assert capsule.good("capsule", "logs", "--until", "2026-01-01T00:00") == ""


def test_json_is_an_object_a_record(capsule: Daemon) -> None:
    found = [json.loads(line) for line in capsule.good("capsule", "logs", "-o", "json").splitlines()]
    serving = next(one for one in found if one["message"].startswith("serving on "))
    assert serving["level"] == "info" and serving["source"] == "capsuled.daemon"
    assert capsule.good("capsule", "logs").splitlines()[found.index(serving)].startswith(serving["time"])


def test_following_shows_what_comes(capsule: Daemon) -> None:
    command = [CTL, "capsule", "logs", "-f", "-n", "1", "--level", "info"]
    with running(command, env=capsule.environment, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        following.stdout.readline()
        # A runtime that dies is something that the daemon writes of.
        subprocess.run(["kill", "-9", str(capsule.containerd_pid())], check=True)
        assert "containerd" in following.stdout.readline()
        following.terminate()
    bad = capsule.good("capsule", "logs", "--level", "warning").splitlines()
    assert any("containerd" in line for line in bad)
    assert not [line for line in bad if " INFO capsuled" in line or " DEBUG capsuled" in line]
    capsule.until(lambda: capsule.data("capsule", "info").get("containerdVersion"), "containerd is back")
    capsule.apply(manifest("after", "true", restart="NEVER"), "--wait")
    capsule.good("delete", "after", "--yes")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--boot", "-1"), 1, "is not kept: none before this one"),
        (("--boot", "1"), 2, "0 is the present one, -1 the one before it"),
        (("-f", "--boot", "-1"), 2, "leave out --boot"),
        (("-f", "--until", "1h"), 2, "leave out --until"),
        (("--level", "loud"), 2, "--level"),
        (("--since", "soon"), 2, "--since"),
    ],
)
def test_what_cannot_be_had_is_refused(capsule: Daemon, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = capsule.ctl("capsule", "logs", *arguments)
    assert (done.returncode, done.stdout) == (code, "") and words in done.stderr
