"""`capsulectl exec`: a further process inside a workload; its exit code becomes ours."""

from typing import Annotated

from cyclopts import Parameter

from capsulectl.errors import USAGE, Failure
from capsulectl.options import COMMON, Common, Name


def exec_(
    name: Name,
    /,
    *command: Annotated[str, Parameter(help="The command and its arguments.", allow_leading_hyphen=True)],
    interactive: Annotated[
        bool, Parameter(name=["-i", "--interactive"], negative="", help="Pass our standard input on.")
    ] = False,
    tty: Annotated[bool, Parameter(name=["-t", "--tty"], negative="", help="Give the process a terminal.")] = False,
    env: Annotated[
        list[str], Parameter(name=["-e", "--env"], negative="", help="NAME=VALUE, beside the workload's own.")
    ] = [],  # noqa: B006 - never written to
    user: Annotated[str, Parameter(name=["-u", "--user"], help="Run as USER[:GROUP], names or numbers.")] = "",
    workdir: Annotated[str, Parameter(name=["-w", "--workdir"], help="Start in this directory.")] = "",
    common: Common = COMMON,
) -> int:
    """Run a command inside a workload; everything behind NAME belongs to it.

    Exits with the command's own code; with 125 when it could not be tried, 126 when it is not executable, 127 when it
    does not exist.

    Example: capsulectl exec -it web sh
    """
    variables = dict(_pair(one) for one in env)
    if not command or not command[0]:
        raise Failure(f"nothing to run in {name}: say `capsulectl exec {name} COMMAND`", USAGE)
    from capsulectl.session import Session

    return Session(name, command, interactive, tty, variables, user, workdir, common).run()


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Failure(f"--env {text!r} is not NAME=VALUE", USAGE)
    return name, value
