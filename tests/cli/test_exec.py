"""Exec as an operator types it, much of it on a real terminal."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsulectl.app import app
from capsulectl.arguments import arranged
from capsulectl.exec_line import FLAGS, VALUES, ExecLine, read
from tests.support.daemon import CTL, SERVE, Daemon, manifest
from tests.support.programs import running
from tests.support.terminal import Window, window

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def inside(capsule: Daemon) -> Iterator[Daemon]:
    """A capsule with a workload to go into."""
    capsule.apply(manifest("inside", SERVE, env={"OWN": "its own"}), "--wait")
    yield capsule
    capsule.good("delete", "inside", "--yes")


def count(capsule: Daemon, what: str) -> str:
    script = f"ps -o args | grep -v grep | grep -c '{what}'"
    return capsule.ctl("exec", "inside", "sh", "-c", script).stdout.strip()


def opened(made: Window, capsule: Daemon, *command: str) -> None:
    made.run([CTL, "exec", "-it", "inside", *command], capsule.environment)


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("exec web ls -l", "exec -- web ls -l"),
        ("exec web -- ls -l", "exec -- web ls -l"),
        ("exec web env -i A=1 --help", "exec -- web env -i A=1 --help"),
        ("exec -it web sh", "exec -it -- web sh"),
        ("exec web -it -- sh", "exec -it -- web sh"),
        ("exec -e A=1 -u root web sh", "exec -e A=1 -u root -- web sh"),
        ("exec -ite A=1 web sh", "exec -ite A=1 -- web sh"),
        ("exec --env=A=1 -eB=2 web sh", "exec --env=A=1 -eB=2 -- web sh"),
        ("exec -- web ls", "exec -- web ls"),
        ("exec web sh -- x", "exec -- web sh -- x"),
        ("workload exec web ls -a", "workload exec -- web ls -a"),
        ("exec --help", "exec --help"),
        ("exec", "exec"),
        ("--capsule home exec web ls -l", "exec --capsule home -- web ls -l"),
        ("--capsule=home -q list -w", "list --capsule=home -q -w"),
        ("-q workload list", "workload list -q"),
        ("--version", "--version"),
        ("--capsule", "--capsule"),
    ],
)
def test_what_stands_behind_the_name_is_the_commands(typed: str, understood: str) -> None:
    path, behind = arranged(app, typed.split())
    assert [*path, *behind] == understood.split()


@pytest.mark.parametrize(
    "typed",
    [
        "exec web ls -l",
        "workload exec -it -e A=1 --env=B=2 -eC=3 web -- sh -c x",
        "--capsule home -q exec -uroot -w /tmp web true",
        "exec web -it -e A=1 -- sh",
        "exec --interactive --tty --user web --workdir=/x --capsule y --quiet -- web a b",
    ],
)
def test_the_quick_reader_understands_what_the_parser_does(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    understood: list[ExecLine] = []
    monkeypatch.setattr("capsulectl.session.Session.__init__", lambda self, line: understood.append(line))
    monkeypatch.setattr("capsulectl.session.Session.run", lambda self: 0)
    path, behind = arranged(app, typed.split())
    app([*path, *behind], result_action="return_value")
    assert [read(typed.split())] == understood


@pytest.mark.parametrize("typed", ["exec", "exec -h", "exec --bogus web ls", "exec -z web ls", "list", "execute web"])
def test_the_quick_reader_leaves_what_it_does_not_know_to_the_parser(typed: str) -> None:
    assert read(typed.split()) is None


def test_the_quick_reader_knows_every_option_and_no_other() -> None:
    known = {name for argument in app["exec"].assemble_argument_collection() for name in argument.names}
    assert {name for name in known if name.startswith("-")} == VALUES.keys() | FLAGS.keys()


def test_streams_and_exit_codes_are_passed_on(inside: Daemon) -> None:
    done = inside.ctl("exec", "inside", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    text = "x" * 300_000 + "\n"
    assert inside.ctl("exec", "-i", "inside", "cat", stdin=text).stdout == text
    assert inside.ctl("exec", "inside", "cat", stdin="not for it").stdout == ""
    assert inside.ctl("exec", "inside", "sh", "-c", "kill -9 $$").returncode == 137
    assert inside.ctl("exec", "-eA=b", "inside", "--", "sh", "-c", "echo $A $OWN").stdout == "b its own\n"
    assert inside.ctl("exec", "-u", "web", "-w", "/tmp", "inside", "sh", "-c", "id -un; pwd").stdout == "web\n/tmp\n"
    assert inside.ctl("exec", "-i", "inside", "true", stdin="x" * 10_000_000).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("inside", "nothing-like-it"), 127, "does not exist in the container"),
        (("inside", "/etc/passwd"), 126, "is not executable"),
        (("nobody", "true"), 125, "no workload nobody: `capsulectl list`"),
        (("-u", "nobody-here", "inside", "true"), 125, "no user nobody-here"),
        (("-w", "/no/such", "inside", "true"), 125, "directory /no/such does not exist"),
        (("-w", "tmp", "inside", "true"), 125, "must be an absolute path"),
        (("--capsule", "unix:/nonexistent", "inside", "true"), 125, "does not answer"),
        (("-e", "A", "inside", "true"), 2, "is not NAME=VALUE"),
        (("inside",), 2, "nothing to run"),
        (("inside", ""), 2, "nothing to run"),
    ],
)
def test_what_could_not_be_done_has_a_code_of_its_own(
    inside: Daemon, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = inside.ctl("exec", *arguments)
    assert (done.returncode, done.stdout) == (code, "") and words in done.stderr


def test_there_is_no_exec_in_what_does_not_run(inside: Daemon) -> None:
    inside.apply(manifest("ended", "exit 3", restart="NEVER"))
    inside.until(lambda: inside.status("ended")["phase"] == "WORKLOAD_PHASE_FAILED", "it has ended")
    done = inside.ctl("exec", "ended", "true")
    assert done.returncode == 125 and "not running but failed (exited with code 3)" in done.stderr
    inside.good("delete", "ended", "--yes")


def test_a_shell_in_a_window_has_keys_size_and_exit_code(inside: Daemon) -> None:
    with window(cols=101, rows=31) as made:
        opened(made, inside, "sh")
        made.sees("# ")
        assert made.raw
        made.type("stty size; echo $TERM\r")
        made.sees("31 101\r\nxterm\r\n")
        made.resize(44, 12)
        made.sees("# ")
        made.type("stty size\r")
        made.sees("12 44\r\n")
        made.type("exit 7\r")
        assert made.ends() == 7
        assert made.restored


def test_ctrl_c_in_a_window_is_the_processs_own(inside: Daemon) -> None:
    with window() as made:
        opened(made, inside, "sh", "-c", "trap 'echo heard; exit 5' INT; echo ready; while :; do sleep 0.1; done")
        made.sees("ready")
        made.type("\x03")
        made.sees("heard")
        assert made.ends() == 5
        assert made.restored


def test_a_pull_at_the_corner_is_told_at_once(inside: Daemon) -> None:
    with window() as made:
        opened(made, inside, "sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done")
        made.sees("ready")
        made.resize(55, 15)
        made.sees("15 55")
        made.type("\x03")
        assert made.ends() == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda one: one.name)
def test_a_signal_to_the_client_restores_the_window_and_ends_the_process(
    inside: Daemon, number: signal.Signals
) -> None:
    with window() as made:
        opened(made, inside, "sleep", f"77{number}")
        inside.until(lambda: count(inside, f"sleep 77{number}") == "1", "it sleeps")
        assert made.raw and made.process is not None
        made.process.send_signal(number)
        assert made.ends() == 128 + number
        assert made.restored
    inside.until(lambda: count(inside, f"sleep 77{number}") == "0", "it is gone")


def test_a_window_that_is_closed_ends_the_process(inside: Daemon) -> None:
    with window() as made:
        opened(made, inside, "sleep", "8811")
        inside.until(lambda: count(inside, "sleep 8811") == "1", "it sleeps")
        made.hang_up()
        assert made.process is not None and made.process.wait(timeout=20) == 129
    inside.until(lambda: count(inside, "sleep 8811") == "0", "it is gone")


def test_an_error_in_the_client_restores_the_window(inside: Daemon) -> None:
    broken = (
        "import sys; from capsulectl import session; "
        "session._write = lambda fd, data: 1 / 0; from capsulectl.__main__ import main; sys.argv[0] = 'capsulectl'; main()"
    )
    with window() as made:
        made.run([sys.executable, "-c", broken, "exec", "-it", "inside", "sh"], inside.environment)
        assert made.ends() == 125
        assert made.restored
        assert b"capsulectl: a fault in capsulectl itself (ZeroDivisionError" in made.screen


def test_a_program_that_is_cut_off_does_not_leave_its_screen_behind(inside: Daemon) -> None:
    with window() as made:
        script = r"printf '\033[?1049h\033[?25l\033[?1000;2004h'; printf '\033[?2004l'; echo drawn; sleep 100"
        opened(made, inside, "sh", "-c", script)
        made.sees("drawn")
        assert made.process is not None
        made.process.terminate()
        assert made.ends() == 143
        assert b"\x1b[?25h\x1b[?1000l\x1b[?1049l\x1b[0m" in made.screen and b"[?2004l" not in made.screen


def test_a_program_that_is_killed_does_not_leave_its_screen_behind(inside: Daemon) -> None:
    with window() as made:
        opened(made, inside, "sh", "-c", r"printf '\033[?1049h\033[?25ldrawn'; kill -9 $$")
        assert made.ends() == 137 and made.restored
        assert made.screen.endswith(b"drawn\x1b[?25h\x1b[?1049l\x1b[0m")
    with window() as made:
        opened(made, inside, "sh", "-c", r"printf '\033[?1049hdrawn\033[?1049lover'; exit 143")
        assert made.ends() == 143 and made.screen.endswith(b"over"), "what was tidied up is left as it is"


def test_a_terminal_without_keys_leaves_ours_alone(inside: Daemon) -> None:
    with window(cols=61, rows=16) as made:
        made.run([CTL, "exec", "-t", "inside", "sh", "-c", "stty size; echo ready; sleep 100"], inside.environment)
        made.sees("16 61")
        assert not made.raw
        made.sees("ready")
        made.type("\x03")
        assert made.ends() == 130
        assert made.restored


def test_what_is_typed_into_a_pipe_needs_no_terminal(inside: Daemon) -> None:
    done = inside.ctl("exec", "-it", "inside", "cat", stdin="piped\n")
    assert (done.returncode, done.stdout) == (0, "piped\n") and "no terminal" in done.stderr
    assert inside.ctl("exec", "-q", "-it", "inside", "cat", stdin="piped\n").stderr == ""
    alone = inside.ctl("exec", "-t", "inside", "sh", "-c", "stty size; test -t 1 && exit 4")
    assert (alone.returncode, alone.stdout) == (4, "24 80\n")


def test_ctrl_c_without_a_terminal_is_passed_on_once_and_then_ours(inside: Daemon) -> None:
    script = "trap 'echo tidied; exit 9' INT; echo ready; while :; do sleep 0.1; done"
    command = [CTL, "exec", "inside", "sh", "-c", script]
    with running(command, env=inside.environment, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None and client.stdout.readline() == "ready\n"
        client.send_signal(signal.SIGINT)
        assert client.communicate(timeout=20)[0] == "tidied\n" and client.returncode == 9
    deaf = [CTL, "exec", "inside", "sh", "-c", "trap 'echo deaf' INT; echo ready; while :; do sleep 0.1; done"]
    with running(deaf, env=inside.environment, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None and client.stdout.readline() == "ready\n"
        client.send_signal(signal.SIGINT)
        assert client.stdout.readline() == "deaf\n"
        client.send_signal(signal.SIGINT)
        assert client.wait(timeout=20) == 130
    inside.until(lambda: count(inside, "echo deaf") == "0", "it is gone")


def test_a_signal_that_waits_behind_input_which_nobody_reads_is_ours(inside: Daemon) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done # never reads"
    command = [CTL, "exec", "-i", "inside", "sh", "-c", script]
    with (
        open("/dev/zero", "rb") as endless,
        running(command, env=inside.environment, stdin=endless, stdout=subprocess.PIPE, text=True) as client,
    ):
        assert client.stdout is not None and client.stdout.readline() == "ready\n"
        stands = [0, 1]  # how much was read of the input, by number: as long as it grows there is room for a signal
        while stands[-1] != stands[-2]:
            time.sleep(0.5)
            stands.append(int(Path(f"/proc/{client.pid}/io").read_text().split()[1]))
        client.send_signal(signal.SIGTERM)
        assert client.wait(timeout=20) == 143
    inside.until(lambda: count(inside, "never reads") == "0", "it is gone")


def test_a_reader_that_has_had_enough_ends_the_process(inside: Daemon) -> None:
    command = [CTL, "exec", "inside", "yes", "enough"]
    with running(command, env=inside.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        assert client.stdout is not None and client.stdout.read(7) == b"enough\n"
        client.stdout.close()
        assert client.wait(timeout=20) == 141
        assert client.stderr is not None and client.stderr.read() == b""
    inside.until(lambda: count(inside, "yes enough") == "0", "it is gone")


def test_an_output_that_cannot_be_written_is_told_and_ends_the_process(inside: Daemon) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [CTL, "exec", "inside", "yes", "full"],
            env=inside.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 125
    assert done.stderr.startswith(b"capsulectl: the output could not be written: No space left on device. What ran in")
    inside.until(lambda: count(inside, "yes full") == "0", "it is gone")


@pytest.mark.parametrize("argv", [("yes", "vanish"), ("sleep", "9911")], ids=["talking", "silent"])
def test_a_client_that_vanishes_leaves_no_process(inside: Daemon, argv: tuple[str, ...]) -> None:
    command = [CTL, "exec", "inside", "sh", "-c", f"{' '.join(argv)} & exec {' '.join(argv)}"]
    with running(command, env=inside.environment, stdout=subprocess.DEVNULL) as client:
        inside.until(lambda: count(inside, " ".join(argv)) == "2", "both run")
        client.kill()
        client.wait()
    inside.until(lambda: count(inside, " ".join(argv)) == "0", "nothing of it is left")


def test_what_a_command_leaves_behind_ends_with_it_but_for_what_made_a_session_of_its_own(inside: Daemon) -> None:
    script = "sleep 6611 >/dev/null 2>&1 & setsid sleep 6622 >/dev/null 2>&1 & sleep 0.5; echo done"
    assert inside.good("exec", "inside", "sh", "-c", script) == "done\n"
    inside.until(lambda: count(inside, "sleep 6611") == "0", "it ended with the command")
    assert count(inside, "sleep 6622") == "1"


def test_the_memory_has_commands_but_no_values_and_no_bytes(inside: Daemon) -> None:
    secret = "hunter" + str(os.getpid())
    inside.ctl("exec", "-i", "-e", f"SECRET={secret}", "-u", "web", "inside", "cat", stdin=secret)
    (event,) = inside.history("inside", "--type", "stream.opened", "-n", "1")
    assert event["body"]["argv"] == ["cat"] and event["body"]["user"] == "web"
    closed = inside.closed(event["seq"])
    assert closed["outcome"] == "ok" and closed["bytes_in"] == closed["bytes_out"] == len(secret)
    assert secret not in inside.good("history", "-o", "json")
