"""Forgetting under a real daemon, and a machine that forgot without a word."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import SERVE, Daemon, daemon, manifest

pytestmark = pytest.mark.real

SLIP = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        made.apply(manifest("web", SERVE), "--wait")
        yield made


def stats(capsule: Daemon) -> dict[str, int]:
    found: dict[str, int] = capsule.data("journal", "stats")
    return found


def replayed(capsule: Daemon) -> str:
    return str(json.loads(capsule.good("replay", "--verify", "-o", "json"))["stateHash"])


def test_a_mistyped_value_goes_and_a_mark_stays(capsule: Daemon) -> None:
    capsule.apply(manifest("slip", f"{SERVE} # {SLIP}"), "--wait")
    (applied,) = capsule.history("slip", "--type", "workload.applied")
    seq = str(applied["seq"])
    refused = capsule.ctl("journal", "excise", seq, "--yes")
    assert refused.returncode == 1 and f"workload slip is as entry {seq} says" in refused.stderr
    for what in ("better", "best"):  # so that no run of it is remembered, either
        capsule.apply(manifest("slip", f"{SERVE} # {what}"), "--wait")
    assert SLIP in capsule.good("history", "show", seq, "-o", "json")
    asked = capsule.ctl("journal", "excise", seq)
    assert asked.returncode == 2 and "nobody is there to ask" in asked.stderr
    tried = capsule.ctl("journal", "excise", seq, "--dry-run")
    assert f"how the machine was between entry {seq} and now can then not be shown any more" in tried.stderr
    before = stats(capsule)["lastSeq"]
    done = capsule.good("journal", "excise", seq, "--reason", "a password in an argument", "--yes")
    assert f"the content of entry {seq} is removed" in done
    shown = capsule.good("history", "show", seq, "-o", "json")
    assert SLIP not in shown and "(its content was removed)" in shown
    (mark,) = capsule.history("--type", "journal.excised")
    assert mark["summary"] == f"the content of entry {seq} was removed: a password in an argument"
    assert "Whole:    yes" in capsule.good("journal", "verify") and replayed(capsule)
    gone = capsule.ctl("get", "slip", "--at", seq)
    assert gone.returncode == 1 and "cannot be told any more" in gone.stderr
    assert "best" in capsule.good("get", "slip", "--at", str(before), "-o", "yaml"), "right before it was removed"
    assert capsule.data("list", "--at", str(int(seq) - 1)), "nor is what was before it lost"
    between = capsule.ctl("rollback", "web", "--to", seq, "--dry-run")
    assert between.returncode == 1 and "cannot be told any more" in between.stderr, "though it spoke of another"
    capsule.good("rollback", "web", "--to", str(int(seq) - 1), "--dry-run")
    again = capsule.ctl("journal", "excise", seq, "--yes")
    assert again.returncode == 1 and "gone already" in again.stderr
    pid, hashed = capsule.status("slip")["pid"], replayed(capsule)
    capsule.stop()
    held = [path.name for path in (capsule.state / "journal").iterdir() if SLIP.encode() in path.read_bytes()]
    assert not held, "not even in an unused page"
    capsule.start()
    assert capsule.status("slip")["pid"] == pid and replayed(capsule) != hashed != ""


def test_history_begins_later_and_says_so_and_lives_on(capsule: Daemon, tmp_path: Path) -> None:
    archive = tmp_path / "old.capsule"
    capsule.apply(manifest("web", f"{SERVE} # anew"), "--wait")
    then = stats(capsule)["lastSeq"]
    capsule.apply(manifest("later", SERVE), "--wait")
    known = capsule.status("web")["pid"]
    for words, says in (
        (("--before", "999999"), "there is no entry 999998 yet"),
        (("--before", "1"), "nothing is older than that"),
        (("--before", "1970-01-01"), "nothing is older than that"),
        (("--before", "now"), "stays"),
    ):
        for how in ("--dry-run", "--yes"):
            refused = capsule.ctl("journal", "truncate", *words, "--export", str(archive), how)
            assert refused.returncode == 1 and says in refused.stderr, refused.stderr
            assert not archive.exists(), "what is refused is not exported before"
    planned = capsule.ctl("journal", "truncate", "--before", str(then + 1), "--export", str(archive), "--dry-run")
    assert planned.stderr == f"entries 1 to {then} would go, to {archive}\n" and not archive.exists()
    done = capsule.good("journal", "truncate", "--before", str(then + 1), "--export", str(archive), "--yes")
    assert archive.stat().st_mode & 0o777 == 0o600, "it tells every command line"
    assert f"{then} entries cut; history begins with entry {then + 1}" in done
    assert stats(capsule)["firstSeq"] == then + 1
    listed = capsule.ctl("history")
    assert f"history begins with entry {then + 1}" in listed.stderr
    for told in ("web", "web --failed", "--type workload.", "--reads"):
        assert f"history begins with entry {then + 1}" in capsule.ctl("history", *told.split()).stderr, told
    for told in ("--since 1m", "web -n 1"):
        assert "history begins" not in capsule.ctl("history", *told.split()).stderr, told
    assert f"not remembered: history begins with entry {then + 1}" in capsule.good("why", "web")
    assert "history begins" not in capsule.good("why", "later"), "of which all is there"
    unknown = capsule.ctl("why", "nobody")
    assert unknown.returncode == 1 and f"History begins at entry {then + 1}" in unknown.stderr
    assert "Whole:    yes" in capsule.good("journal", "verify")
    early = capsule.ctl("list", "--at", str(then - 5))
    assert early.returncode == 1 and f"history begins at entry {then + 1}" in early.stderr
    cut_off = (
        ("rollback", "web", "--to", "previous", "--dry-run"),
        ("workload", "history", "web"),
        ("history", "show", "1"),
    )
    for verb in cut_off:
        cut = capsule.ctl(*verb)
        assert cut.returncode == 1 and f"history begins at entry {then + 1}" in cut.stderr, cut.stderr
    assert capsule.good("history", "--boot", "0", "-n", "1"), "whose beginning was cut off"
    earlier = capsule.ctl("list", "--at", "boot:-1")
    assert f"no boot before this one is remembered: history begins at entry {then + 1}" in earlier.stderr
    hashed = replayed(capsule)
    offline = json.loads(capsule.good("replay", "--file", str(archive), "-o", "json"))
    assert offline["seq"] == then
    capsule.kill()
    capsule.start()
    assert capsule.status("web")["pid"] == known and hashed
    capsule.good("restart", "web")
    now = tmp_path / "now.capsule"
    capsule.good("journal", "export", str(now))
    folded = json.loads(capsule.good("replay", "--file", str(now), "-o", "json"))
    there = json.loads(capsule.good("replay", "--to", str(folded["seq"]), "-o", "json"))
    assert folded["stateHash"] == there["stateHash"]


def test_an_older_state_in_its_place_is_noticed_until_it_is_accepted(capsule: Daemon, tmp_path: Path) -> None:
    quiet = capsule.ctl("capsule", "info")
    assert quiet.stderr == ""
    capsule.stop()
    shutil.copytree(capsule.state / "journal", tmp_path / "before")
    capsule.start()
    capsule.good("stop", "later", "--wait")
    capsule.stop()
    shutil.rmtree(capsule.state / "journal")
    shutil.copytree(tmp_path / "before", capsule.state / "journal")
    capsule.start()
    streams = ("exec", "web", "true"), ("cp", "web:/etc/passwd", str(tmp_path)), ("cp", __file__, "web:/tmp/")
    for words in (("list",), ("history", "-n", "1"), *streams):
        warned = capsule.ctl(*words)
        assert warned.returncode == 0 and "WARNING: " in warned.stderr, warned.stderr
    assert "it was put back, or cut" in warned.stderr or "history was rewritten" in warned.stderr
    capsule.good("journal", "accept", "--yes")
    assert capsule.ctl("list").stderr == ""
