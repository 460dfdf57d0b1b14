"""`capsule debug` as an operator types it: on a terminal, in a script, and cut off."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import CTL, Daemon
from tests.support.programs import running
from tests.support.terminal import Window, window
from tools.demo_image import archive

pytestmark = pytest.mark.real

DEBUG = "capsule-debug"


def opened(made: Window, capsule: Daemon, *options: str) -> None:
    """A shell on the machine, at its prompt."""
    made.run([CTL, "capsule", "debug", *options], capsule.environment)
    made.sees("chroot /host")
    made.sees("# ")


def is_there(capsule: Daemon) -> bool:
    return DEBUG in capsule.good("list", "-o", "name").split()


def test_a_shell_is_on_the_machine_itself_and_nothing_stays_of_it(capsule: Daemon) -> None:
    with window(cols=93, rows=27) as made:
        opened(made, capsule)
        assert made.raw
        made.type("stty size; id -u; tty\r")
        made.sees("27 93")
        made.sees("0")
        made.sees("/dev/pts/")
        made.type("cat /proc/1/comm; hostname; ls /host | wc -l\r")
        made.sees(Path("/proc/1/comm").read_text().strip())
        made.sees(platform.node())
        made.sees(str(len([name for name in os.listdir("/") if not name.startswith(".")])))
        made.type("exit 3\r")
        assert made.ends() == 3 and made.restored
    assert not is_there(capsule)


def test_a_command_has_its_own_streams_and_exit_code(capsule: Daemon) -> None:
    done = capsule.ctl("capsule", "debug", "-q", "--", "sh", "-c", "cat; echo err >&2; exit 41", stdin="in\n")
    assert (done.returncode, done.stdout, done.stderr) == (41, "in\n", "err\n")
    done = capsule.ctl("capsule", "debug", "--", "chroot", "/host", CTL, "--version")
    assert done.returncode == 0 and done.stdout == capsule.good("--version")
    assert "built by the capsule from /bin/busybox" in done.stderr
    assert capsule.ctl("capsule", "debug", "-q", stdin="echo from $0; exit 5").stdout == "from /bin/sh\n"
    assert capsule.ctl("capsule", "debug", "--", "nothing-like-it").returncode == 127
    assert not is_there(capsule)


def test_an_image_of_ones_own_is_what_the_shell_is_in(capsule: Daemon) -> None:
    done = capsule.ctl("capsule", "debug", "-i", "demo:1", "--", "cat", "/var/www/index.html")
    assert (done.returncode, done.stdout, done.stderr) == (0, "<h1>Capsule remembers.</h1>\n", "")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("no such thing", "is no image reference"),
        ("127.0.0.1:1/x:1", "is not on this machine, and 127.0.0.1:1 cannot be reached"),
    ],
)
def test_an_image_that_is_not_to_be_had_says_so_and_leaves_nothing(capsule: Daemon, image: str, words: str) -> None:
    done = capsule.ctl("capsule", "debug", "-i", image, "--", "true")
    assert (done.returncode, done.stdout) == (125, "") and words in done.stderr
    assert not is_there(capsule)


def test_what_is_kept_stays_until_it_is_deleted_and_takes_the_place_of_another(capsule: Daemon) -> None:
    done = capsule.ctl("capsule", "debug", "--keep", "-i", "demo:1", "--", "touch", "/kept")
    assert done.returncode == 0 and f"{DEBUG} stays: `capsulectl exec -it {DEBUG} sh`" in done.stderr
    assert capsule.ctl("exec", DEBUG, "test", "-f", "/kept").returncode == 0
    second = capsule.ctl("capsule", "debug", "--", "true")
    assert second.returncode == 125 and f"{DEBUG} is there already" in second.stderr
    assert f"`capsulectl delete {DEBUG}` removes it" in second.stderr
    assert capsule.ctl("exec", DEBUG, "test", "-f", "/kept").returncode == 0
    capsule.good("delete", DEBUG, "--yes")


def test_two_at_a_time_are_one_and_a_word_to_the_other(capsule: Daemon) -> None:
    with window() as made:
        opened(made, capsule)
        second = capsule.ctl("capsule", "debug", "--", "true")
        assert second.returncode == 125 and "somebody debugs this machine just now" in second.stderr
        made.type("echo still $((40 + 2))\r")
        made.sees("still 42")
        made.type("exit\r")
        assert made.ends() == 0
    assert not is_there(capsule)


def test_who_deletes_it_ends_the_session(capsule: Daemon) -> None:
    with window() as made:
        opened(made, capsule)
        capsule.good("delete", DEBUG, "--yes")
        assert made.ends() in (125, 129, 137) and made.restored
    assert not is_there(capsule)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_a_signal_to_the_client_restores_the_window_and_removes_it(capsule: Daemon, number: signal.Signals) -> None:
    with window() as made:
        opened(made, capsule)
        assert made.process is not None
        made.process.send_signal(number)
        assert made.ends() == 128 + number and made.restored
    assert not is_there(capsule)


def test_a_signal_that_comes_at_the_worst_moment_ends_it_as_any_other(capsule: Daemon) -> None:
    with window() as made:
        worst = [sys.executable, "-m", "tests.support.worst_moment", str(int(signal.SIGTERM))]
        made.run([*worst, "capsule", "debug"], capsule.environment)
        made.sees("# ")
        made.type("a")
        assert made.ends() == 128 + signal.SIGTERM and made.restored
    assert not is_there(capsule)


def test_ctrl_c_is_the_shells_on_a_terminal_and_the_commands_without_one(capsule: Daemon) -> None:
    with window() as made:
        opened(made, capsule)
        made.type("\x03")
        made.type("echo still $((40 + 2))\r")
        made.sees("still 42")
        made.type("exit 0\r")
        assert made.ends() == 0
    script = "trap 'echo tidied; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    command = [CTL, "capsule", "debug", "-q", "--", "sh", "-c", script]
    pipe = subprocess.PIPE
    with running(command, env=capsule.environment, stdin=pipe, stdout=pipe, text=True) as client:
        assert client.stdout is not None and client.stdout.readline() == "ready\n"
        client.send_signal(signal.SIGINT)
        assert client.communicate(timeout=20)[0] == "tidied\n" and client.returncode == 9
    assert not is_there(capsule)


def test_a_window_that_is_closed_and_a_client_that_is_killed_remove_it(capsule: Daemon) -> None:
    with window() as made:
        opened(made, capsule)
        made.hang_up()
        assert made.process is not None and made.process.wait(timeout=20) == 129
    capsule.until(lambda: not is_there(capsule), "it is gone")
    command = [CTL, "capsule", "debug", "--", "sleep", "4711"]
    with running(command, env=capsule.environment, stderr=subprocess.DEVNULL):
        capsule.until(lambda: "4711" in capsule.good("history", DEBUG, "--type", "stream.opened"), "it sleeps")
    capsule.until(lambda: not is_there(capsule), "it is gone")
    (asked,) = capsule.history(DEBUG, "--type", "workload.delete_requested", "-n", "1")
    opening = capsule.good("history", "show", str(asked["cause"]))
    assert "DebugService.Open" in opening


def test_what_somebody_pushed_under_its_images_name_is_not_what_runs(capsule: Daemon, tmp_path: Path) -> None:
    """An operator may push any name, and what an admin's session runs is root."""
    page = ("capsule", "debug", "--", "cat", "/var/www/index.html")
    said = capsule.ctl(*page).stderr
    own = said.partition(f"{DEBUG} runs ")[2].partition(",")[0]
    assert own.startswith(f"{DEBUG}:")
    archived = tmp_path / "theirs.tar"
    archived.write_bytes(archive("theirs:1"))
    for name in ("alpine:3.20", own):
        capsule.good("image", "push", str(archived), "--name", name)
    try:
        done = capsule.ctl(*page)
        assert done.returncode == 1 and done.stdout == "" and f"runs {own}, built by the capsule" in done.stderr
        named = capsule.ctl("capsule", "debug", "-i", own, "--", "cat", "/var/www/index.html")
        assert named.returncode == 0  # who names an image gets what it means here
    finally:
        capsule.good("image", "rm", "alpine:3.20", own, "--yes")
