"""`capsulectl exec`: a further process inside a workload; its exit code becomes ours.

A plain command line never comes here (see exec_line.py); this is what help, completion and the parser's errors know.
"""

from typing import Annotated

from cyclopts import Parameter

from capsulectl.exec_line import ExecLine
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
        tuple[str, ...], Parameter(name=["-e", "--env"], negative="", help="NAME=VALUE, beside the workload's own.")
    ] = (),
    user: Annotated[str, Parameter(name=["-u", "--user"], help="Run as USER[:GROUP], names or numbers.")] = "",
    workdir: Annotated[str, Parameter(name=["-w", "--workdir"], help="Start in this directory.")] = "",
    common: Common = COMMON,
) -> int:
    """Run a command inside a workload; everything behind NAME belongs to it.

    Exits with the command's own code; with 125 when it could not be tried, 126 when it is not executable, 127 when it
    does not exist.

    Example: capsulectl exec -it web sh
    """
    from capsulectl.session import Session

    line = ExecLine(name, command, interactive, tty, env, user, workdir, common.capsule, common.quiet)
    return Session(line).run()
