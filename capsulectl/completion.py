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


ZSH_FIRST = """
    '1: :->cmds' \\
"""
ZSH_AHEAD = """
    '--capsule[A context, its HOST\\:PORT, or unix\\:PATH]:capsule:_cyclopts_capsulectl_complete' \\
    '(-q --quiet)'{-q,--quiet}'[Print only what was asked for.]' \\"""
"""Options of the whole program may stand before the verb, of which the parser knows nothing."""

FISH_TAIL = """
complete -c capsulectl -n '__fish_capsulectl_using_command' -l capsule -x -a '(__fish_capsulectl_complete)'
complete -c capsulectl -n '__fish_capsulectl_using_command' -s q -l quiet -d 'Print only what was asked for.'
"""
"""The same."""

BASH_TAIL = """
_capsulectl_ahead() {  # an option of the whole program is begun, or its value, and no verb stands there yet
  local number
  for ((number = 1; number < COMP_CWORD; number++)); do
    case "${COMP_WORDS[number]}" in
      -q | --quiet) ;;
      --capsule) ((number++)) ;;
      *) return 1 ;;
    esac
  done
  if [[ "${COMP_WORDS[COMP_CWORD]}" == -* ]]; then
    COMPREPLY=($(compgen -W "--capsule --quiet -q --help -h --version" -- "${COMP_WORDS[COMP_CWORD]}"))
  elif ((number > COMP_CWORD)); then
    local -a COMP_WORDS=("${COMP_WORDS[0]}" list "${COMP_WORDS[@]:1}")
    local COMP_CWORD=$((COMP_CWORD + 1))
    _capsulectl "$@"
  else
    return 1
  fi
}
_capsulectl_words() {
  _capsulectl_ahead "$@" || _capsulectl "$@"
}
_capsulectl_whole() {
  local line="${COMP_LINE:0:COMP_POINT}" number
  local word="${line##*[[:space:]]}"
  if [[ "$line" != *:* || "$COMP_WORDBREAKS" != *:* ]]; then
    _capsulectl_words "$@"
    [[ "${COMPREPLY[*]}" != *: ]] || compopt -o nospace  # a path follows, in the workload
    return
  fi
  local -a COMP_WORDS
  read -ra COMP_WORDS <<< "$line"
  [[ -n "$word" ]] || COMP_WORDS+=("")  # a word that is not begun yet, which `read` leaves out
  local COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  _capsulectl_words "$@"
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
    if shell == "zsh":
        script = script.replace(ZSH_FIRST, ZSH_AHEAD + ZSH_FIRST, 1)
    if shell == "fish":  # whose own word for it takes the value of an option for a verb
        script = script.replace("-n __fish_use_subcommand ", "-n __fish_capsulectl_using_command ")
    print(script + {"bash": BASH_TAIL, "zsh": ZSH_TAIL, "fish": FISH_TAIL}[shell])
