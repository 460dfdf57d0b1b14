"""What is typed is wrong, or where it is to be written is no good place."""

from tests.cli.mishaps.stage import Stage
from tests.support.daemon import SERVE


def no_such_verb(stage: Stage) -> None:
    """A verb is misspelt, or another system's."""
    stage.types("lsit")
    stage.types("run", "nginx")
    stage.types("volume", "mount")


def no_such_option(stage: Stage) -> None:
    """An option is misspelt, or has no value."""
    stage.types("list", "--ouput", "json")
    stage.types("list", "-o", "xml")
    stage.types("logs")


def wait_in_vain(stage: Stage) -> None:
    """What is waited for does not come in time."""
    stage.runs("web", SERVE)
    stage.types("wait", "web", "--for", "stopped", "--timeout", "1")


def ctrl_c(stage: Stage) -> None:
    """The operator has seen enough."""
    stage.runs("web", SERVE)
    stage.shell(
        "set -o pipefail; (echo $BASHPID > pid; exec capsulectl logs web -f) "
        "| (read line; echo $line; kill -INT $(cat pid); cat)"
    )


def closed_pipe(stage: Stage) -> None:
    """Who reads the output goes away."""
    stage.shell("capsulectl schema | head -n 1; echo ${PIPESTATUS[0]}")


def output_full(stage: Stage) -> None:
    """The output cannot be written."""
    stage.shell("capsulectl list > /dev/full")


def twenty_columns(stage: Stage) -> None:
    """The terminal is 20 columns wide."""
    stage.environment.pop("COLUMNS")
    stage.runs("web")
    stage.apart("volume", "create", "photographs", "16MiB")
    stage.shell("script -qec 'stty cols 20; capsulectl volume list; capsulectl image rm demo:1' /dev/null")


def unknown_shell(stage: Stage) -> None:
    """There is no completion for it."""
    stage.types("completion", "csh")


MISHAPS = (
    no_such_verb, no_such_option, wait_in_vain, ctrl_c, closed_pipe, output_full, twenty_columns, unknown_shell,
)  # fmt: skip
