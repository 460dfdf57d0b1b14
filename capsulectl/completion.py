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


BASH_TAIL = """
_capsulectl_whole() {
  local line="${COMP_LINE:0:COMP_POINT}" number
  local word="${line##*[[:space:]]}"
  if [[ "$line" != *:* || "$COMP_WORDBREAKS" != *:* ]]; then
    _capsulectl "$@"
    [[ "${COMPREPLY[*]}" != *: ]] || compopt -o nospace  # a path follows, in the workload
    return
  fi
  local -a COMP_WORDS
  read -ra COMP_WORDS <<< "$line"
  [[ -n "$word" ]] || COMP_WORDS+=("")  # a word that is not begun yet, which `read` leaves out
  local COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _capsulectl "$@"
  [[ "$word" == *:* ]] || return 0
  for number in "${!COMPREPLY[@]}"; do
    COMPREPLY[number]="${COMPREPLY[number]#"${word%:*}:"}"
  done
}
complete -F _capsulectl_whole capsulectl
"""
"""Bash breaks words at colons, which images' names have: the whole word is completed, and what stands behind the last
colon given back."""


def completion(shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="bash, zsh or fish.")], /) -> None:
    """Print the completion script for a shell. It asks the machine for names, for half a second at most.

    Example: source <(capsulectl completion bash)
    """
    from capsulectl.app import app

    script = app.generate_completion(prog_name="capsulectl", shell=shell).rstrip()
    print(script + {"bash": BASH_TAIL, "zsh": ZSH_TAIL}.get(shell, ""))
