"""What is typed is wrong, or where it is to be written is no good place."""

from tests.cli.mishaps.stage import Stage
from tests.histories.recorded import paths_of, record_of
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


def no_colour(stage: Stage) -> None:
    """The terminal has no colours, or nobody wants any: what they say stands there without them."""
    stage.environment.pop("NO_COLOR", None)
    stage.file("memory.capsule", paths_of("0.1.0")[0].read_bytes())
    last = record_of("0.1.0").entries
    for word in "NO_COLOR=1 TERM=xterm", "TERM=dumb":
        line = f"capsulectl replay --file memory.capsule --step --from {last} </dev/null"
        stage.shell(f"{word} script -qec '{line}' /dev/null")


def unknown_shell(stage: Stage) -> None:
    """There is no completion for it."""
    stage.types("completion", "csh")


MISHAPS = (
    no_such_verb, no_such_option, wait_in_vain, ctrl_c, closed_pipe, output_full, twenty_columns, no_colour,
    unknown_shell,
)  # fmt: skip
