"""Ctrl-C, and a capsule that goes, in the middle of whatever takes long: what is told, by which exit code, and what is
left."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.daemon import CTL, SERVE, Daemon, daemon, manifest
from tests.support.programs import running

pytestmark = pytest.mark.real

FOLLOWING = (
    "logs -f talks",
    "capsule logs -f",
    "list -w",
    "history -f -n 1",
    "stats -w talks",
    "drift -w",
)
"""What reads, and prints something at once."""

LASTING = {
    "exec talks sleep 100": "Exec(talks)",
    "cp - talks:/in": "CopyTo(talks)",
    "image push -": "ImageService.Push",
}
"""What the history tells the beginning of."""


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        made.apply(manifest("talks", SERVE), "--wait")
        yield made


@pytest.fixture
def programs() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


class Begun:
    """A command that is on its way; `programs` end it, if nothing else does."""

    def __init__(self, programs: ExitStack, capsule: Daemon, line: str, stdin: str = "") -> None:
        pipe = subprocess.PIPE
        self.line = line
        self.process = programs.enter_context(
            running([CTL, *line.split()], env=capsule.environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        )
        if stdin:
            assert self.process.stdin is not None
            self.process.stdin.write(stdin)
            self.process.stdin.close()
            self.process.stdin = None

    def says(self) -> str:
        """Wait for a line of its output."""
        assert self.process.stdout is not None
        return str(self.process.stdout.readline())

    def ended(self) -> tuple[int, str]:
        """Wait for its end: its exit code, and what it says. Its standard input stays open until then."""
        self.process.wait(timeout=30)
        _, told = self.process.communicate()
        return self.process.returncode, told

    def interrupted(self) -> tuple[int, str]:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.ended()


def begun(programs: ExitStack, capsule: Daemon, following: tuple[str, ...]) -> list[Begun]:
    """Everything at once, each once the capsule has it. (Of an older one the word is in the history as well, which is
    counted.)"""
    told = capsule.good("history")
    before = {line: told.count(word) for line, word in LASTING.items()}
    reads = [Begun(programs, capsule, line) for line in following]
    others = [Begun(programs, capsule, line) for line in LASTING]
    for one in reads:
        assert one.says(), one.line
    for line, word in LASTING.items():
        capsule.until(lambda line=line, word=word: capsule.good("history").count(word) > before[line], line)  # type: ignore[misc]
    return [*reads, *others]


def test_ctrl_c_ends_it_at_once_and_says_what_it_did_not_call_off(capsule: Daemon, programs: ExitStack) -> None:
    told = {one.line: one.interrupted() for one in begun(programs, capsule, FOLLOWING)}
    assert told == dict.fromkeys(FOLLOWING, (130, "")) | {
        "exec talks sleep 100": (130, ""),
        "cp - talks:/in": (130, "interrupted: nothing is changed in talks\n"),
        "image push -": (130, ""),
    }
    assert capsule.good("exec", "talks", "--", "ls", "/").split().count("in") == 0
    capsule.until(lambda: "sleep 100" not in capsule.good("exec", "talks", "ps"), "the command has gone")

    never = manifest("never", SERVE, health={"exec": ["false"], "retries": 1000})
    waits = Begun(programs, capsule, "apply -f - --wait", never)
    assert waits.says() == "workload/never created\n"
    assert waits.interrupted() == (
        130, "interrupted: only the waiting has ended: `capsulectl list` shows how far it is\n",
    )  # fmt: skip
    capsule.good("wait", "never", "--for", "running")
    capsule.good("delete", "never", "--yes")

    capsule.apply(manifest("slow", "trap '' TERM; echo ready; sleep 1000", stopGraceSeconds=8), "--wait")
    capsule.until(lambda: capsule.good("logs", "slow"), "its trap is set")
    deletes = Begun(programs, capsule, "delete slow --yes")
    capsule.until(lambda: "slow shall be gone" in capsule.good("history"), "it is asked for")
    assert deletes.interrupted() == (
        130, "interrupted: what was asked for may be done all the same: `capsulectl history` tells\n",
    )  # fmt: skip
    capsule.until(lambda: capsule.ctl("get", "slow").returncode == 1, "it is done all the same", seconds=40)


def test_a_capsule_that_goes_is_told_once_and_a_read_has_changed_nothing(capsule: Daemon, programs: ExitStack) -> None:
    everything = begun(programs, capsule, FOLLOWING[-3:])
    capsule.kill()
    gone = f"capsulectl: the capsule does not answer at unix:{capsule.state}/capsule.sock: the connection broke off"
    running = "is capsuled running? `make up` starts one\n"
    read, change = (
        f"{gone}; {running}",
        f"{gone}. What was to change may have changed, `capsulectl history` tells; {running}",
    )
    lost = (
        f"capsulectl: the connection to the capsule at unix:{capsule.state}/capsule.sock was lost, and with it what exec "
        "ran in talks; `capsulectl get talks` tells whether the workload is well\n"
    )
    assert {one.line: one.ended() for one in everything} == dict.fromkeys(FOLLOWING[-3:], (1, read)) | {
        "drift -w": (2, read),
        "exec talks sleep 100": (125, lost),
        "cp - talks:/in": (1, change),
        "image push -": (1, change),
    }
    capsule.start()
    assert capsule.status("talks")["phase"] == "WORKLOAD_PHASE_RUNNING"
    assert "in" not in capsule.good("exec", "talks", "--", "ls", "/").split()
    assert "yes" in capsule.good("journal", "verify")
