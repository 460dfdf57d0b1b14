"""The command line of an exec, read by hand: half of what such a process would otherwise do is to load a parser.

What is written in any way that this reader does not know is left to the parser, which has the words for what is wrong.
"""

from collections.abc import Sequence
from typing import NamedTuple

from capsulectl.arguments import behind_exec, leading_globals
from capsulectl.errors import USAGE, Failure

VALUES = {"-e": "env", "--env": "env", "-u": "user", "--user": "user", "-w": "workdir", "--workdir": "workdir",
          "--capsule": "capsule"}  # fmt: skip
FLAGS = {"-i": "interactive", "--interactive": "interactive", "-t": "tty", "--tty": "tty", "-q": "quiet",
         "--quiet": "quiet"}  # fmt: skip


class ExecLine(NamedTuple):
    """What was asked for. `env` is of NAME=VALUE."""

    name: str
    command: tuple[str, ...]
    interactive: bool = False
    tty: bool = False
    env: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    capsule: str = ""
    quiet: bool = False

    def variables(self) -> dict[str, str]:
        """`env` by name. Raises Failure."""
        found = {}
        for text in self.env:
            name, equals, value = text.partition("=")
            if not name or not equals:
                raise Failure(f"--env {text!r} is not NAME=VALUE", USAGE)
            found[name] = value
        return found


def read(tokens: Sequence[str]) -> ExecLine | None:
    """None for everything that is no exec, or no plain one."""
    ahead, rest = leading_globals(list(tokens))
    verb = 2 if rest[:1] == ["workload"] else 1
    if rest[verb - 1 : verb] != ["exec"]:
        return None
    own, dashes, words = _split(behind_exec(rest[verb:]))
    options = _options([*ahead, *own])
    if options is None or not dashes or not words:
        return None
    env = tuple(value for name, value in options if name == "env")
    single = {name: value for name, value in options if name != "env"}
    return ExecLine(words[0], tuple(words[1:]), env=env, **single)  # type: ignore[arg-type]


def _split(tokens: list[str]) -> tuple[list[str], bool, list[str]]:
    if "--" not in tokens:
        return tokens, False, []
    at = tokens.index("--")
    return tokens[:at], True, tokens[at + 1 :]


def _options(tokens: list[str]) -> list[tuple[str, str | bool]] | None:
    """(field, value) of each; None when one is not known."""
    found: list[tuple[str, str | bool]] = []
    left = tokens[::-1]
    while left:
        token = left.pop()
        name, equals, value = token.partition("=")
        if token in FLAGS:
            found.append((FLAGS[token], True))
        elif token in VALUES and left:
            found.append((VALUES[token], left.pop()))
        elif equals and name.startswith("--") and name in VALUES:
            found.append((VALUES[name], value))
        elif token[:1] == "-" and token[:2] in FLAGS and token[1:2] != "-":
            found.append((FLAGS[token[:2]], True))
            left.append("-" + token[2:])
        elif token[:1] == "-" and token[:2] in VALUES and len(token) > 2:
            found.append((VALUES[token[:2]], token[2:]))
        else:
            return None
    return found
