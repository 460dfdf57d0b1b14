"""`capsulectl completion`: the shell's script; names come from the machine when it answers."""

from typing import Annotated, Literal

from cyclopts import Parameter


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="bash, zsh or fish.")], /) -> None:
    """Print the completion script for a shell.

    Example: source <(capsulectl completion bash)
    """
    from capsulectl.app import app

    print(app.generate_completion(prog_name="capsulectl", shell=shell))
