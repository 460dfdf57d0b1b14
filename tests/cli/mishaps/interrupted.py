"""The operator presses Ctrl-C while something is under way."""

from tests.cli.mishaps.stage import Stage
from tests.support.daemon import SERVE, manifest

_PID = "echo $BASHPID > pid"
_PRESS = "kill -INT $(cat pid)"
_HALF = f"(tar c big | head -c 900000; {_PRESS}; sleep 1)"
"""Far more than a pipe holds: who has taken it is in the midst of it."""


def apply_interrupted(stage: Stage) -> None:
    """Ctrl-C while `apply --wait` waits."""
    stage.file("web.yaml", manifest("web", SERVE, health={"exec": ["false"], "startPeriod": "1h"}), shown=False)
    stage.shell(
        f"set -o pipefail; ({_PID}; exec capsulectl apply -f web.yaml --wait) "
        f"| (read line; echo $line; sleep 1; {_PRESS}; cat)"
    )
    stage.types("list", "-o", "name")


def push_interrupted(stage: Stage) -> None:
    """Ctrl-C while an image is pushed."""
    stage.file("big", b"x" * 1_000_000)
    stage.shell(f"set -o pipefail; {_HALF} | ({_PID}; exec capsulectl image push -)")
    stage.types("image", "list", "-o", "name")


def copy_interrupted(stage: Stage) -> None:
    """Ctrl-C while files are copied into a workload."""
    stage.runs("web", SERVE)
    stage.file("big", b"x" * 1_000_000)
    stage.shell(f"set -o pipefail; {_HALF} | ({_PID}; exec capsulectl cp - web:/tmp)")
    stage.types("exec", "web", "--", "ls", "-A", "/tmp")


def export_interrupted(stage: Stage) -> None:
    """Ctrl-C while the journal is exported, by a machine that takes its time."""
    pid = stage.capsule.process.pid if stage.capsule.process else 0
    stage.stands_for(pid, "pid")
    stage.shell(
        f"kill -STOP {pid}; timeout --preserve-status -s INT 4 capsulectl journal export memory.capsule; "
        f"echo $?; kill -CONT {pid}"
    )
    stage.shell("ls -A")


MISHAPS = (apply_interrupted, push_interrupted, copy_interrupted, export_interrupted)
