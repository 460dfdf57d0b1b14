"""`capsulectl completion`: the shell's script; names come from the machine when it answers."""

from typing import Annotated, Literal

from cyclopts import Parameter

ZSH_TAIL = """
if [ "${funcstack[1]}" = _capsulectl ]; then
  _cyclopts_capsulectl "$@"
elif (( $+functions[compdef] )); then
  compdef _cyclopts_capsulectl capsulectl
fi
"""
"""So that it works from a directory of `fpath`, as a file `_capsulectl`, and by being sourced."""


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="bash, zsh or fish.")], /) -> None:
    """Print the completion script for a shell. It asks the machine for names, for half a second at most.

    Example: source <(capsulectl completion bash)
    """
    from capsulectl.app import app

    script = app.generate_completion(prog_name="capsulectl", shell=shell).rstrip()
    print(script + (ZSH_TAIL if shell == "zsh" else ""))
