"""Lists, pages, events and waiting, as an operator asks for them."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.daemon import CTL, SERVE, Daemon, manifest
from tests.support.programs import running
from tests.support.terminal import window

pytestmark = pytest.mark.real

NAMES = ("sel-back", "sel-bad", "sel-done", "sel-front")


@pytest.fixture(scope="module")
def several(capsule: Daemon) -> Iterator[Daemon]:
    """Two that run, one that has ended well, one that has failed; each with labels."""
    texts = [
        with_labels("sel-front", SERVE, {"sel": "yes", "app": "web", "tier": "front"}, env={"SECRET": "hunter2"}),
        with_labels("sel-back", SERVE, {"sel": "yes", "app": "web", "tier": "back"}),
        with_labels("sel-done", "exit 0", {"sel": "yes"}, restart="NEVER"),
        with_labels("sel-bad", "exit 3", {"sel": "yes"}, restart="NEVER"),
    ]
    capsule.apply("\n---\n".join(texts))
    capsule.good("wait", "-l", "sel", "--for", "settled")
    yield capsule
    capsule.good("delete", "-l", "sel", "--yes")


def with_labels(name: str, script: str, labels: dict[str, str], **fields: object) -> str:
    return json.dumps({**json.loads(manifest(name, script, **fields)), "labels": labels})


def names(capsule: Daemon, *arguments: str) -> list[str]:
    return capsule.good("list", "-o", "name", *arguments).split()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("-l", "sel"), NAMES),
        (("-l", "app=web"), ("sel-back", "sel-front")),
        (("-l", "app==web,tier!=front"), ("sel-back",)),
        (("-l", "sel,!app"), ("sel-bad", "sel-done")),
        (("-l", "app=web", "-l", "tier=front"), ("sel-front",)),
        (("-l", "sel=no"), ()),
        (("-l", "sel", "--phase", "running"), ("sel-back", "sel-front")),
        (("-l", "sel", "--phase", "stopped,FAILED"), ("sel-bad", "sel-done")),
        (("-l", "sel", "--phase", "completed"), ("sel-done",)),
    ],
)
def test_labels_and_phases_select(several: Daemon, arguments: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert names(several, *arguments) == list(found)


def test_a_wide_list_has_what_one_looks_for_next(several: Daemon) -> None:
    headings, *rows = several.good("list", "-l", "app", "-o", "wide").splitlines()
    assert headings.split() == [
        "NAME",
        "PHASE",
        "RESTARTS",
        "SINCE",
        "IMAGE",
        "PORTS",
        "KIND",
        "VCPUS",
        "MEMORY",
        "ACCEL",
        "RUN",
        "PID",
        "ADDRESS",
        "NETWORK",
        "UID",
        "DIGEST",
        "LABELS",
        "MESSAGE",
    ]
    assert len(rows) == 2 and all("app=web,sel=yes,tier=" in row and "sha256:" in row for row in rows)
    assert several.ctl("list", "-l", "sel=no").stdout.startswith("NAME")


def test_a_page_says_what_it_is_why_it_is_so_and_what_happened(several: Daemon) -> None:
    page = several.good("get", "sel-bad")
    for line in ("Phase:       Failed", "Message:     exited with code 3", "Exit code:   3", "Labels:      sel=yes"):
        assert line in page
    assert re.search(r"^  Running  no +failed \(exited with code 3\)$", page, re.MULTILINE)
    assert re.search(r"^  Settled  yes$", page, re.MULTILINE)
    assert "  restart: NEVER\n" in page and "  networkMode: NONE\n" in page
    assert re.search(r"^ +\d+ +\d+s  sel-bad run 1 exited with code 3", page, re.MULTILINE)
    front = several.good("describe", "sel-front")
    assert "hunter2" not in front and "SECRET: sealed:" in front and "Exit code" not in front


def test_several_are_shown_and_the_missing_are_named(several: Daemon) -> None:
    done = several.ctl("get", "sel-front", "nobody-here", "sel-back")
    assert done.returncode == 1 and done.stdout.count("Name: ") == 2
    assert done.stderr.count("capsulectl: ") == 1 and "no workload nobody-here" in done.stderr
    assert [one["name"] for one in several.data("get", "sel-back", "sel-bad")["workloads"]] == ["sel-back", "sel-bad"]
    assert several.ctl("get", "sel-fornt").stderr.endswith("do you mean sel-front?\n")
    assert several.data("get", "workload/sel-back")["name"] == "sel-back"
    twice = several.good("get", "sel-back", "sel-front", "-o", "yaml")
    assert several.apply(twice) == "workload/sel-back unchanged\nworkload/sel-front unchanged\n"


def test_events_are_the_news_and_all_is_every_step(several: Daemon) -> None:
    news = [json.loads(line)["type"] for line in several.good("events", "sel-bad", "-o", "json").splitlines()]
    assert (news[0], news[-1]) == ("workload.applied", "workload.exited")
    assert all(one.startswith("workload.") for one in news)
    everything = several.good("events", "sel-bad", "--all", "-o", "json").splitlines()
    assert {"call.accepted", "effect.started"} <= {json.loads(line)["type"] for line in everything}
    assert "exited with code 3" in several.good("events", "sel-bad", "-n", "1")
    assert "exited with code 3" in several.good("events", "workload/sel-bad", "-n", "1")


def test_events_of_what_never_was_a_workload_are_none_whatever_else_has_its_name(several: Daemon) -> None:
    several.ctl("image", "logout", "never-heard-of")
    assert "never-heard-of" in several.good("history", "never-heard-of")
    for more in ((), ("-f",), ("--all",), ("--since", "1h")):
        nothing = several.ctl("events", "never-heard-of", *more)
        assert (nothing.returncode, nothing.stdout) == (1, "")
        assert nothing.stderr == several.ctl("get", "never-heard-of").stderr
    several.apply(manifest("sel-gone", "exit 0", restart="NEVER"))
    several.good("delete", "sel-gone", "--yes")
    assert "sel-gone" in several.good("events", "sel-gone")


def test_what_an_event_contains_moves_no_cursor(several: Daemon) -> None:
    several.ctl("exec", "sel-front", "sh", "-c", "true\n# \x1b[2Jgone")
    told = several.good("events", "sel-front", "-n", "1")
    assert told.endswith("sh -c true # \\x1b[2Jgone\n")


def test_waiting_is_for_all_of_them(several: Daemon) -> None:
    several.good("wait", "sel-front", "sel-back", "sel-done")
    several.good("wait", "sel-done", "--for", "completed", "--timeout", "0")
    several.good("wait", "sel-done", "--for", "completed", "--timeout", "8760h")
    several.good("wait", "sel-bad", "--for", "failed", "--timeout", "0")
    several.good("wait", "nobody-here", "--for", "gone", "--timeout", "0")
    for arguments, code, words in (
        (("sel-front", "--for", "stopped", "--timeout", "0"), 124, "not yet: sel-front is running"),
        (("sel-front", "sel-bad"), 1, "sel-bad has failed: exited with code 3"),
        (("sel-done", "--for", "failed"), 1, "sel-done has completed"),
        (("sel-front", "nobody-here"), 1, "no workload nobody-here"),
    ):
        done = several.ctl("wait", *arguments)
        assert done.returncode == code and words in done.stderr, arguments


@pytest.mark.parametrize(
    ("script", "restart", "code", "words"),
    [
        ("exit 3", "NEVER", 1, "brief has failed: exited with code 3"),
        ("exit 3", "ALWAYS", 124, "waited 4 s in vain: brief is "),
        ("exit 0", "NEVER", 0, ""),
        ("exit 0", "ALWAYS", 0, ""),
    ],
)
def test_who_waits_for_what_ends_at_once_is_told_the_same_each_time(
    capsule: Daemon, script: str, restart: str, code: int, words: str
) -> None:
    for _ in range(2):
        text = manifest("brief", script, restart=restart)
        done = capsule.ctl("apply", "-f", "-", "--wait", "--timeout", "4", stdin=text)
        assert done.returncode == code and words in done.stderr
        again = capsule.ctl("start", "brief", "--wait", "--timeout", "4")
        assert again.returncode == code and ("brief has started" in again.stderr) is (code == 0)
        capsule.good("delete", "brief", "--yes")


def test_what_could_not_be_started_is_settled(capsule: Daemon) -> None:
    capsule.apply("name: unable\nkind: Container\ncontainer: {image: 'demo:1', command: [nope]}\n")
    capsule.good("wait", "unable", "--for", "settled", "--timeout", "20")
    capsule.good("delete", "unable", "--yes")


def test_verbs_act_on_all_they_are_given_and_say_what_was_refused(several: Daemon) -> None:
    done = several.ctl("restart", "sel-front", "nobody-here", "sel-back", "--wait")
    assert done.returncode == 1 and "no workload nobody-here" in done.stderr
    assert several.status("sel-back")["run"] == several.status("sel-front")["run"] == 2
    assert several.ctl("stop", "-l", "sel=no").returncode == 1
    assert several.ctl("stop", "sel-front", "-l", "sel").returncode == 2
    plan = several.good("stop", "-l", "app=web", "--dry-run")
    assert plan.count("StopRun") == 2 and names(several, "-l", "sel", "--phase", "running") == ["sel-back", "sel-front"]
    absent = several.ctl("delete", "nobody-here", "--yes")
    assert (absent.returncode, absent.stderr) == (0, "there was no nobody-here\n")
    assert several.ctl("delete", "nobody-here", "--yes", "-q").stderr == ""


def test_a_watch_tells_what_there_is_and_then_every_change(several: Daemon) -> None:
    command = [CTL, "list", "-w", "-l", "watched", "-o", "json"]
    with running(command, env=several.environment, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        several.apply(with_labels("seen", SERVE, {"watched": "yes"}), "--wait")
        phases = []
        while "WORKLOAD_PHASE_RUNNING" not in phases:
            phases.append(json.loads(watch.stdout.readline())["workload"]["status"]["phase"])
        assert set(phases) <= {"WORKLOAD_PHASE_PENDING", "WORKLOAD_PHASE_RUNNING"}
        several.apply(with_labels("seen", SERVE, {}), "--wait")  # it leaves the selection, and is shown once more
        last = json.loads(watch.stdout.readline())
        assert last["workload"]["name"] == "seen" and "labels" not in last["workload"] and not last["removed"]
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=20) == 130 and watch.stdout.read() == ""
    command = [CTL, "get", "seen", "-w"]
    with running(command, env=several.environment, stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None and one.stdout.readline().startswith("NAME ")
        assert "Running" in one.stdout.readline()
        several.good("delete", "seen", "--yes")
        rest, _ = one.communicate(timeout=20)
    assert one.returncode == 0 and rest.splitlines()[-1].split() == ["seen", "Gone"]


def test_a_watched_line_is_another_than_the_one_before(several: Daemon) -> None:
    several.apply(with_labels("blinks", SERVE, {"watched": "twice"}), "--wait")
    command = [CTL, "list", "-w", "-l", "watched=twice"]
    with running(command, env=several.environment, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None and watch.stdout.readline().startswith("NAME ")
        states = [watch.stdout.readline().split()[1]]
        several.good("stop", "blinks", "--wait")
        several.good("start", "blinks", "--wait")
        several.good("delete", "blinks", "--yes")
        while states[-1] != "Gone":
            states.append(watch.stdout.readline().split()[1])
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=20) == 130
    assert states[0] == "Running" and "Stopped" in states and states.count("Running") == 2
    assert states.count("Stopped") == 1, states


def test_a_followed_history_of_one_goes_on(several: Daemon) -> None:
    command = [CTL, "events", "sel-front", "-f", "-n", "1", "-o", "json"]
    with running(command, env=several.environment, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None and json.loads(follower.stdout.readline())["seq"]
        several.good("exec", "sel-front", "true")
        assert json.loads(follower.stdout.readline())["type"] == "stream.opened"
        follower.send_signal(signal.SIGINT)
        assert follower.wait(timeout=20) == 130


@pytest.mark.parametrize("columns", [20, 40])
def test_a_narrow_window_cuts_lines_but_no_names(several: Daemon, columns: int) -> None:
    with window(cols=columns, rows=24) as made:
        made.run([CTL, "list", "-l", "sel"], several.environment)
        assert made.ends() == 0
        lines = made.screen.decode().replace("\r", "").splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", *NAMES]
    assert all(len(line) <= columns for line in lines) and all(line.endswith("…") for line in lines)
    with window(cols=columns, rows=24) as made:
        made.run([CTL, "wait", "--help"], several.environment)
        assert made.ends() == 0
        lines = made.screen.decode().replace("\r", "").splitlines()
    assert "Example: capsulectl workload wait web db --for running --timeout 30" in lines
    assert max(len(line) for line in lines if "capsulectl" not in line and "  -" not in line) <= columns


def test_a_reader_that_has_had_enough_is_no_failure(several: Daemon) -> None:
    for command in (["history"], ["list"], ["get", "sel-front"], ["--help"], ["events", "sel-front", "-f"]):
        pipe = subprocess.PIPE
        with running([CTL, *command], env=several.environment, stdout=pipe, stderr=pipe) as client:
            assert client.stdout is not None and client.stderr is not None
            if command[-1] == "-f":
                client.stdout.readline()
            client.stdout.close()
            if command[-1] == "-f":
                several.good("exec", "sel-front", "true")
            assert (client.wait(timeout=20), client.stderr.read()) == (0, b""), command
