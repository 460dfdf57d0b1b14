"""What an operator typed, in the order that the parser knows.

Three habits of this field need it: options of the whole program before the verb (`capsulectl --capsule home list`); in
`exec` everything behind the workload's name belonging to the command (`exec web ls -l`, `exec web env -i`); and `help`
before a verb, or instead of one.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import App

_GLOBAL = {"--capsule": True, "-q": False, "--quiet": False}
"""Options that may stand before the verb, and whether they take a value."""

VALUED = frozenset(name for name, valued in _GLOBAL.items() if valued)
COMPLETE = "__complete"
"""What a shell's script says before the words that stand on its line."""
_EXEC_VALUES = frozenset({"-e", "--env", "-u", "--user", "-w", "--workdir", "--capsule"})
_HELP = frozenset({"-h", "--help"})


def arranged(app: "App", tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """The same command, as the words that name its verb and everything behind them."""
    if tokens[:1] == [COMPLETE]:
        return [], [COMPLETE, *_begun(app, list(tokens[1:]))]
    ahead, rest = leading_globals(list(tokens))
    path = _path(app, rest)
    behind = rest[len(path) :]
    if behind[:1] == ["help"] and _is_noun(app, path):
        more = _path(app, [*path, *behind[1:]])
        return more, [*ahead, *[*path, *behind[1:]][len(more) :], "--help"]
    if path and path[-1] == "exec":
        behind = behind_exec(behind)
    return path, [*ahead, *behind]


def _begun(app: "App", words: list[str]) -> list[str]:
    """A line that a shell completes the last word of, with the options before its verb behind that. Where there is no
    verb yet, a value of such an option is that of any verb's."""
    ahead, rest = leading_globals(words)
    if not rest:
        return ["list", *words]
    path = _path(app, rest[:-1])
    return [*path, *ahead, *rest[len(path) :]]


def asks_for_help(behind: Sequence[str]) -> bool:
    """Whether what stands behind a verb asks what it does."""
    own = behind[: list(behind).index("--")] if "--" in behind else behind
    return not behind or not _HELP.isdisjoint(own)


def leading_globals(tokens: list[str]) -> tuple[list[str], list[str]]:
    """Options of the whole program that stand before the verb, and the rest."""
    at = 0
    while at < len(tokens):
        name, equals, _ = tokens[at].partition("=")
        if name not in _GLOBAL:
            break
        at += 2 if _GLOBAL[name] and not equals else 1
    return tokens[:at], tokens[at:]


def _path(app: "App", tokens: list[str]) -> list[str]:
    """The tokens that name the command."""
    path: list[str] = []
    for token in tokens:
        if token.startswith("-") or token not in app:
            break
        path.append(token)
        app = app[token]
    return path


def _is_noun(app: "App", path: list[str]) -> bool:
    """Whether only verbs can stand behind, so that `help` is none of its arguments."""
    for name in path:
        app = app[name]
    return app.default_command is None


def behind_exec(tokens: list[str]) -> list[str]:
    """Put `--` behind the workload's name. Options between the name and a `--` of the operator's own are ours still."""
    name = _first_word(tokens)
    if name is None or any(token in _HELP for token in tokens[:name]):
        return tokens
    before = [token for token in tokens[:name] if token != "--"]
    behind = tokens[name + 1 :]
    if behind[:1] and behind[0].startswith("-") and "--" in behind:
        own, command = behind[: behind.index("--")], behind[behind.index("--") + 1 :]
        if _first_word(own) is None:
            return [*before, *own, "--", tokens[name], *command]
    return [*before, "--", tokens[name], *(behind[1:] if behind[:1] == ["--"] else behind)]


def _first_word(tokens: list[str]) -> int | None:
    """Where the first token stands that is neither an option nor an option's value."""
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token == "--":
            return at + 1 if at + 1 < len(tokens) else None
        if not token.startswith("-") or token == "-":
            return at
        at += 2 if _takes_next(token) else 1
    return None


def _takes_next(token: str) -> bool:
    """`-e A=b`, `-ite A=b` and `--env A=b` do; `--env=A=b` and `-eA=b` carry it themselves."""
    if token.startswith("--"):
        return token in _EXEC_VALUES
    letters = token[1:]
    for number, letter in enumerate(letters):
        if f"-{letter}" in _EXEC_VALUES:
            return number == len(letters) - 1
    return False
