"""`stats` and `top` as an operator sees them: tables, documents, and a window of its own."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.support.daemon import CTL, SERVE, Daemon, manifest
from tests.support.programs import running
from tests.support.terminal import Window, window

pytestmark = pytest.mark.real

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@pytest.fixture(scope="module")
def two(capsule: Daemon) -> Iterator[Daemon]:
    """One that works, one that waits, with limits; and one that has ended."""
    capsule.apply(labelled("use-busy", "while :; do :; done"), "--wait")
    writes = f"head -c 70000 /dev/zero > /of-its-own; {SERVE}"
    capsule.apply(labelled("use-lean", writes, resources={"memory": "64MiB", "pids": 20}), "--wait")
    capsule.apply(labelled("use-over", "exit 0", restart="NEVER"))
    capsule.good("wait", "use-over", "--for", "completed")
    yield capsule
    capsule.good("delete", "use-busy", "use-lean", "use-over", "--yes")


def labelled(name: str, script: str, **fields: object) -> str:
    return json.dumps({**json.loads(manifest(name, script, **fields)), "labels": {"use": "yes"}})


def cells(text: str) -> dict[str, list[str]]:
    """A table's lines, by their first cell."""
    return {line.split()[0]: re.split(r" {2,}", line.strip()) for line in text.splitlines()}


def test_a_table_shows_rates_memory_and_limits(two: Daemon) -> None:
    found = cells(two.good("stats", "-l", "use"))
    assert found["NAME"] == ["NAME", "CPU", "MEMORY", "LIMIT", "PIDS", "READ/S", "WRITE/S", "RX/S", "TX/S"]
    assert re.fullmatch(r"\d+\.\d%", found["use-busy"][1]) and float(found["use-busy"][1][:-1]) > 2
    assert found["use-lean"][3] == "64 MiB" and found["use-busy"][3] == "-"
    assert found["use-lean"][-2:] == ["-", "-"], "no link of its own"
    assert found["use-over"][1:] == ["-"] * 8


def test_figures_stand_below_each_other(two: Daemon) -> None:
    lines = two.good("stats", "use-busy", "use-lean").splitlines()
    for heading in ("CPU", "MEMORY", "LIMIT", "PIDS"):
        end = lines[0].index(heading) + len(heading)
        assert all(line[end - 1] != " " and line[end : end + 1] in ("", " ") for line in lines)


def test_what_rests_is_named_on_the_other_stream_and_left_out_where_nobody_named_it(two: Daemon) -> None:
    done = two.ctl("stats", "use-over", "use-lean", "--window", "0")
    assert done.returncode == 0 and done.stderr == "nothing to measure of use-over: not running\n"
    assert two.ctl("stats", "use-over", "--window", "0", "-q").stderr == ""
    assert "use-over" not in two.good("stats", "--window", "0")


def test_documents_have_figures_also_where_they_are_zero(two: Daemon) -> None:
    found = two.data("stats", "use-lean", "--window", "500ms")
    (lean,) = found["workloads"]
    assert lean["memory"]["limitBytes"] == 64 << 20 and lean["pids"]["limit"] == 20 and lean["cpu"]["throttledNs"] == 0
    assert 0 <= lean["cpu"]["percent"] < 50 and "network" not in lean and "layerBytes" not in lean
    assert found["machine"]["cpuCores"] == os.cpu_count() and found["machine"]["cpuPercent"] >= 0
    assert "percent" not in two.data("stats", "use-lean", "--window", "0")["workloads"][0]["cpu"]
    assert "workingSetBytes: " in two.good("stats", "use-lean", "-o", "yaml", "--window", "0")


def test_wide_has_what_came_together_and_layers_on_request(two: Daemon) -> None:
    head, line = two.good("stats", "use-lean", "-o", "wide", "--layers").splitlines()
    assert head.split()[-1] == "RUN" and line.split()[-1] == "1" and "KiB" in line.split("MiB", 1)[1]
    assert "CPU TIME" in head and "HELD BACK" in head and "LAYER" in head


def test_the_order_is_by_name_or_by_what_is_used(two: Daemon) -> None:
    assert two.good("stats", "-l", "use", "-o", "name").split() == ["use-busy", "use-lean", "use-over"]
    by_cpu = two.data("stats", "-l", "use", "--sort", "cpu")["workloads"]
    assert by_cpu[0]["name"] == "use-busy"
    assert two.good("stats", "-l", "use", "-o", "name", "--sort", "pids").split()[-1] == "use-over"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("stats", "use-nobody"), 1, "there is no workload use-nobody"),
        (("stats", "--window", "9s"), 2, "'9s' is not from 0 to 5s"),
        (("stats", "--window", "soon"), 2, "no duration with its unit"),
        (("stats", "--window", "-1"), 2, "'-1' is no time to wait"),
        (("stats", "-w", "-i", "0"), 2, "'0' is not from 500ms to 1m"),
        (("stats", ""), 2, "is a variable unset?"),
        (("stats", "-w", "--layers"), 2, "leave out --watch"),
        (("stats", "--sort", "age"), 2, "--sort"),
        (("stats", "use-lean", "-l", "use"), 2, "names or -l"),
        (("top", "use-nobody"), 1, "there is no workload use-nobody"),
        (("top", "-i", "2m"), 2, "'2m' is not from 500ms to 1m"),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_helps(
    two: Daemon, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = two.ctl(*arguments)
    assert (done.returncode, done.stdout) == (code, "") and words in done.stderr


def test_watching_prints_a_sample_each_interval_until_it_is_interrupted(two: Daemon) -> None:
    command = [CTL, "stats", "use-busy", "-w", "-i", "500ms", "-o", "json"]
    with running(command, env=two.environment, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        samples = [json.loads(watching.stdout.readline()) for _ in range(3)]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130
    moments = [one["atUnixNs"] for one in samples]
    assert all(later - earlier > 4e8 for earlier, later in pairwise(moments))
    assert all("percent" in one["workloads"][0]["cpu"] for one in samples)


def test_off_a_terminal_top_is_one_plain_sample(two: Daemon) -> None:
    done = two.ctl("top", "-l", "use")
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert list(cells(done.stdout))[:2] == ["NAME", "use-busy"]
    assert two.data("workload", "top", "use-lean")["workloads"][0]["name"] == "use-lean"


# --- the window -----------------------------------------------------------------------------------------------------


def opened(made: Window, capsule: Daemon, *arguments: str, term: str = "xterm") -> None:
    made.run([CTL, "top", "-l", "use", "-i", "500ms", *arguments], {**capsule.environment, "TERM": term})


def test_top_takes_the_window_refreshes_orders_and_gives_it_back(two: Daemon) -> None:
    with window(100, 20) as made:
        opened(made, two)
        made.sees(ENTER)
        page = made.sees("q quit").decode()
        if "running" not in page:  # the first sample takes its half second
            page = made.sees("q quit").decode()
        assert re.search(r"\d\d:\d\d:\d\d  cpu .+% of \d+ cores, load .+ · memory .+ · 2 running", page)
        assert page.index("use-busy") < page.index("use-lean") and "use-over" not in page
        assert not made.modes()[3] & 0o12, "keys come one by one and unseen"  # ICANON, ECHO
        for _ in range(2):
            made.sees("cpu first · q quit")
        made.type("a")
        made.sees("name first · q quit")
        made.type("\x1b[A")  # an arrow is none of its letters
        made.sees("name first · q quit")
        made.type("m")
        made.sees("memory first · q quit")
        made.type("q")
        assert made.ends() == 0 and made.restored
        assert made.screen.endswith(LEAVE.encode())


@pytest.mark.parametrize(
    ("end", "code"), [("\x03", 130), (signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGHUP, 128 + signal.SIGHUP)]
)
def test_whatever_ends_top_the_window_is_as_it_was(two: Daemon, end: str | int, code: int) -> None:
    with window() as made:
        opened(made, two)
        made.sees("use-busy")
        assert made.process is not None
        if isinstance(end, str):
            made.type(end)
        else:
            made.process.send_signal(end)
        assert made.ends() == code and made.restored and made.screen.endswith(LEAVE.encode())


def test_a_capsule_that_goes_away_is_told_once_the_window_is_back(two: Daemon) -> None:
    with window() as made:
        made.run(
            [CTL, "top", "--capsule", "unix:/nowhere/capsule.sock"], {**two.environment, "TERM": "xterm"}
        )  # fmt: skip
        made.sees(LEAVE)
        made.sees("the capsule does not answer")
        assert made.ends() == 1 and made.restored


def test_a_stopped_top_leaves_the_window_and_takes_it_again(two: Daemon) -> None:
    with window() as made:
        opened(made, two)
        made.sees("use-busy")
        assert made.process is not None
        made.process.send_signal(signal.SIGTSTP)
        made.sees(LEAVE)
        deadline = time.monotonic() + 10
        while not made.restored:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        made.process.send_signal(signal.SIGCONT)
        made.sees(ENTER)
        made.sees("use-busy")
        made.type("q")
        assert made.ends() == 0 and made.restored


def test_a_window_that_changes_its_size_is_filled_anew(two: Daemon) -> None:
    with window(100, 20) as made:
        opened(made, two)
        made.sees("2 running")
        made.resize(40, 7)
        assert made.process is not None
        made.process.send_signal(signal.SIGWINCH)
        shown = made.sees("… 1 more").decode()
        assert "use-busy" in shown and "use-lean" not in shown.rpartition("\x1b[H")[2]
        made.type("q")
        assert made.ends() == 0


def test_on_a_terminal_that_can_do_nothing_top_is_one_plain_sample(two: Daemon) -> None:
    with window() as made:
        opened(made, two, term="dumb")
        assert made.ends() == 0 and b"use-busy" in made.screen and b"\x1b" not in made.screen
