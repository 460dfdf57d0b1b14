"""Logs of real containers: every line once, over rotation, kills of the daemon, floods and a full disk."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.daemon import CTL, Daemon, daemon, manifest

pytestmark = pytest.mark.real

KIB, MIB = 1 << 10, 1 << 20
WAIT = "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done"
# About 1.3 MB on the two streams in some three seconds.
COUNTS = (
    "i=0; while [ $i -lt 200 ]; do "
    "for j in 0 1 2 3 4 5 6 7 8 9; do for k in 0 1 2 3 4; do"
    " echo out $i$j$k; echo out $((i))$j$((k+5)); echo err $i$j$k >&2; done; done;"
    " usleep 5000; i=$((i+1)); done; " + WAIT
)


@pytest.fixture
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        yield made


def log_directory(capsule: Daemon, name: str) -> Path:
    return capsule.state / "logs" / name


def taken(directory: Path) -> int:
    """What a directory's files take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in directory.iterdir())


def numbers(text: str, word: str) -> list[int]:
    return [int(line.split()[1]) for line in text.splitlines() if line.startswith(word)]


def counted(word: str) -> list[int]:
    """What COUNTS prints on a stream, as numbers."""
    found = []
    for i in range(200):
        for j in range(10):
            for k in range(5):
                found.append(int(f"{i}{j}{k}"))
                if word == "out":
                    found.append(int(f"{i}{j}{k + 5}"))
    return found


@contextmanager
def follower(capsule: Daemon, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [CTL, "logs", *arguments], env=capsule.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_follower_gets_every_line_once_while_the_log_is_cut_under_it(capsule: Daemon) -> None:
    begins = "echo ready; until [ -e /go ]; do usleep 50000; done; "
    capsule.apply(manifest("counts", begins + COUNTS, logs={"maxSizeBytes": 128 * KIB}), "--wait")
    with follower(capsule, "counts", "-f") as client:
        assert (
            client.stdout is not None and client.stdout.readline() == "ready\n"
        )  # from here on it is told of each cut
        capsule.good("exec", "counts", "--", "touch", "/go")
        end = f"out {counted('out')[-1]}"
        capsule.until(lambda: end in capsule.good("logs", "counts", "-n", "1", "--stream", "stdout"), "it counted")
        capsule.good("stop", "counts", "--wait")
        out, err = client.communicate(timeout=30)
    assert numbers(out, "out") == counted("out") and numbers(err, "err") == counted("err")
    assert taken(log_directory(capsule, "counts")) <= 128 * KIB + 3 * 4 * KIB


def test_what_is_kept_over_kills_of_the_daemon_has_no_gap_and_nothing_twice(capsule: Daemon) -> None:
    capsule.apply(manifest("whole", COUNTS))
    capsule.apply(manifest("bounded", COUNTS, logs={"maxSizeBytes": 128 * KIB}))
    for name in ("whole", "bounded"):  # `--wait` waits until it has run for a second, in which most is written
        capsule.until(log_directory(capsule, name).exists, f"{name} began")
    for _ in range(4):
        time.sleep(0.5)
        capsule.kill()
        time.sleep(0.2)
        capsule.start()
    end = f"out {counted('out')[-1]}"
    capsule.until(lambda: end in capsule.good("logs", "whole", "-n", "1", "--stream", "stdout"), "it counted")
    capsule.until(lambda: end in capsule.good("logs", "bounded", "-n", "1", "--stream", "stdout"), "it counted")
    whole, bounded = capsule.ctl("logs", "whole"), capsule.ctl("logs", "bounded")
    assert numbers(whole.stdout, "out") == counted("out") and numbers(whole.stderr, "err") == counted("err")
    for text, word in ((bounded.stdout, "out"), (bounded.stderr, "err")):
        kept = numbers(text, word)
        assert 100 < len(kept) < len(counted(word)) and kept == counted(word)[-len(kept) :]
    assert re.search(r"\[capsule\] \d+ bytes of older stdout are gone", bounded.stderr)
    stamped = capsule.good("logs", "whole", "-t").splitlines()
    late = [line for line in stamped if line.startswith("~")]
    assert len(stamped) == len(counted("out")) and 0 < len(late) < len(stamped)
    assert all(re.match(r"~?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d out \d+$", line) for line in stamped)


def test_a_flood_stays_near_its_bound_and_the_run_before_keeps_its_part(capsule: Daemon) -> None:
    script = "[ -e /n ] || { touch /n; echo why it ended; exit 3; }; echo first >&2; "
    # At most 20 MB/s, whatever the machine could do.
    script += "while :; do yes flood | head -c 3999996; sleep 0.2; done"
    capsule.apply(manifest("flood", script, logs={"maxSizeBytes": MIB}))
    directory = log_directory(capsule, "flood")

    def written() -> int:
        return max((path.stat().st_size for path in directory.glob("*.out")), default=0)

    highest = 0

    def flooded() -> bool:
        nonlocal highest
        highest = max(highest, taken(directory)) if directory.exists() else 0
        return written() > 200 * MIB

    capsule.until(flooded, "it flooded", seconds=60)
    capsule.good("stop", "flood", "--wait")
    capsule.until(lambda: taken(directory) <= MIB + 12 * KIB, "the bound holds")
    # A flood is let go as fast as the daemon is woken: three seconds late it would have let too much come.
    assert highest < 64 * MIB
    assert capsule.good("logs", "flood", "--previous") == "why it ended\n"
    newest = capsule.ctl("logs", "flood")
    assert "first\n" in newest.stderr and set(newest.stdout.splitlines()[:-1]) == {"flood"}


def test_logs_of_replaced_runs_stay_until_the_workload_is_deleted(capsule: Daemon) -> None:
    capsule.apply(manifest("made", "echo revision one; " + WAIT), "--wait")
    capsule.until(lambda: capsule.good("logs", "made") == "revision one\n", "it spoke")
    capsule.apply(manifest("made", "echo revision two; " + WAIT), "--wait")
    capsule.until(lambda: capsule.good("logs", "made") == "revision two\n", "it spoke")
    capsule.kill()
    capsule.start()
    assert capsule.good("logs", "made", "-p") == "revision one\n"
    assert capsule.good("logs", "made", "--run", "1") == "revision one\n"
    refused = capsule.ctl("logs", "made", "--run", "1", "-p")
    assert refused.returncode == 1 and "no log of a run before" in refused.stderr
    capsule.good("delete", "made", "--yes")
    assert not log_directory(capsule, "made").exists()


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[Path]:
    at.mkdir(parents=True)
    image = at.parent / "small.img"
    subprocess.run(["truncate", "-s", size, image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", at], check=True)


def test_a_full_disk_stops_no_workload_and_the_log_says_what_it_cost() -> None:
    with daemon(start=False) as capsule, small_disk(capsule.state / "logs", "16M") as disk:
        capsule.start()
        capsule.push_image()
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(12 * MIB))
        script = (
            f"x={'0' * 200}; n=0; while :; do n=$((n+1)); echo $n $x; [ ! -e /slowly ] || sleep 0.01;"
            " [ $((n % 500)) != 0 ] || { echo $n > /new; mv /new /n; }; done"
        )
        capsule.apply(manifest("talks", script, logs={"maxSizeBytes": 4 * MIB}), "--wait")

        def count() -> int:
            return int(capsule.good("exec", "talks", "cat", "/n") or 0)

        def goes_on() -> None:
            before = count()
            capsule.until(lambda: count() > before + 1_000, "it goes on although nothing can be written")

        capsule.until(lambda: free(disk) < 64 * KIB, "the disk is full", seconds=60)
        for kill in (False, True):
            if kill:
                capsule.kill()
                capsule.start()
            goes_on()
        # What the log says of it stands in it only until the next 4 MiB have come.
        capsule.good("exec", "talks", "touch", "/slowly")
        ballast.unlink()
        capsule.until(lambda: "the disk was full" in log_text(capsule, "talks"), "it is written again")
        before = count()
        capsule.until(lambda: numbers_of(capsule, "talks")[-1] > before, "the newest lines are there")
        capsule.good("stop", "talks", "--wait")
        told = [event["body"] for event in capsule.history("talks", "--type", "workload.log_dropped")]
        assert {body["stream"] for body in told} == {"stdout"}
        assert sum(body["dropped_bytes"] for body in told) > 64 * KIB
        lines = numbers_of(capsule, "talks")
        assert lines == sorted(set(lines))


def test_a_log_that_was_given_up_once_is_kept_by_each_next_daemon_without_a_word_of_a_loss() -> None:
    with daemon(start=False) as capsule, small_disk(capsule.state / "logs", "16M") as disk:
        capsule.start()
        capsule.push_image()
        ballast = disk / "ballast"
        script = (
            "n=0; while :; do n=$((n+1)); echo $n; [ -e /n ] || head -c 4000 /dev/zero | tr '\\0' x; sleep 0.01; done"
        )
        capsule.apply(manifest("talks", script), "--wait")
        with suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(MIB))

        def newest() -> int:
            lines = re.findall(r"^(\d+)$", log_text(capsule, "talks"), re.MULTILINE)
            return int(lines[-1]) if lines else 0

        capsule.until(lambda: "kept from here" in capsule.output(), "it was given up")
        capsule.good("exec", "talks", "touch", "/n")
        ballast.unlink()
        capsule.until(lambda: "the disk was full" in log_text(capsule, "talks"), "the gap is named")
        assert capsule.stop() == 0
        capsule.start()

        def told() -> tuple[int, int]:
            said = log_text(capsule, "talks").count("the disk was full")
            return said, len(capsule.history("talks", "--type", "workload.log_dropped"))

        before = told()
        for end in (capsule.stop, capsule.kill):
            end()
            taken_over = capsule.output().count("kept from here")
            capsule.start()
            assert capsule.output().count("kept from here") == taken_over + 1
            reached = newest()
            capsule.until(lambda reached=reached: newest() > reached, "it is written on")  # type: ignore[misc]
        capsule.good("stop", "talks", "--wait")
        assert told() == before


def free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def log_text(capsule: Daemon, name: str) -> str:
    return capsule.good("logs", name, "-n", "200000")


def numbers_of(capsule: Daemon, name: str) -> list[int]:
    """Whole lines of `N text`; a line that was torn where the disk was full is none."""
    return [int(found[1]) for found in re.finditer(r"^(\d+) 0{200}$", log_text(capsule, name), re.MULTILINE)]
