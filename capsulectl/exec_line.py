"""The command line of an exec, read by hand (see plain_line.py)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from capsulectl.arguments import behind_exec, leading_globals
from capsulectl.errors import USAGE, Failure
from capsulectl.plain_line import options

if TYPE_CHECKING:
    from capsulectl.contexts import Target

VALUES = {"-e": "env", "--env": "env", "-u": "user", "--user": "user", "-w": "workdir", "--workdir": "workdir",
          "--capsule": "capsule"}  # fmt: skip
FLAGS = {"-i": "interactive", "--interactive": "interactive", "-t": "tty", "--tty": "tty", "-q": "quiet",
         "--quiet": "quiet"}  # fmt: skip


class ExecLine(NamedTuple):
    """What was asked for. `env` is of NAME=VALUE; `capsule` as it was named, or the machine that is known already."""

    name: str
    command: tuple[str, ...]
    interactive: bool = False
    tty: bool = False
    env: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    capsule: "str | Target" = ""
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
    found = options([*ahead, *own], FLAGS, VALUES)
    if found is None or not dashes or not words:
        return None
    env = tuple(value for name, value in found if name == "env")
    single = {name: value for name, value in found if name != "env"}
    return ExecLine(words[0], tuple(words[1:]), env=env, **single)  # type: ignore[arg-type]


def _split(tokens: list[str]) -> tuple[list[str], bool, list[str]]:
    if "--" not in tokens:
        return tokens, False, []
    at = tokens.index("--")
    return tokens[:at], True, tokens[at + 1 :]
