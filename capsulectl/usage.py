"""What is wrong with a command line, in this house's words: the parser's errors, and the habits of other tools."""

import re
from collections.abc import Sequence
from typing import Any

from cyclopts import App, CycloptsError, MissingArgumentError
from cyclopts.exceptions import (
    CoercionError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from capsulectl.arguments import VALUED

HABITS = {
    "run": "declare it in a file and say `capsulectl apply -f FILE`; `capsulectl explain Container` lists its fields",
    "create": "declare it in a file and say `capsulectl apply -f FILE`",
    "up": "`capsulectl apply -f FILE` declares what shall run",
    "down": "`capsulectl stop NAME` stops, `capsulectl delete NAME` removes",
    "kill": "`capsulectl stop NAME` asks first and kills after the grace",
    "inspect": "`capsulectl get NAME -o json`",
    "attach": "`capsulectl logs -f NAME` shows what it writes, `capsulectl exec -it NAME sh` goes inside",
    "edit": "`capsulectl get NAME -o yaml`, change it, and `capsulectl apply -f FILE`",
    "rmi": "`capsulectl image rm NAME`",
    "images": "`capsulectl image list`",
    "pull": "`capsulectl image pull NAME`",
    "push": "`capsulectl image push ARCHIVE`",
    "load": "`capsulectl image push ARCHIVE`",
    "info": "`capsulectl capsule info`",
    "version": "`capsulectl --version`; the capsule's own is in `capsulectl capsule info`",
    "cluster-info": "`capsulectl capsule info`",
    "config": "`capsulectl context list`",
    "use": "`capsulectl context use NAME`",
    "tail": "`capsulectl logs -f NAME`",
    "undo": "`capsulectl rollback NAME --to previous`; `capsulectl history` shows what was done",
    "shell": "`capsulectl exec -it NAME sh`",
    "ssh": "`capsulectl exec -it NAME sh`",
    "debug": "`capsulectl capsule debug`, on the machine itself; `capsulectl exec -it NAME sh`, in a workload",
    "login": "`capsulectl image login HOST`",
    "build": "nothing is built here: `capsulectl image push ARCHIVE` and `capsulectl image pull NAME` bring images",
    "reboot": "`capsulectl capsule reboot`",
    "verify": "`capsulectl journal verify`",
}
"""What operators of other tools type first, and what it is called here."""


_GUESS = re.compile(r'(?P<what>Unknown option: "?(?P<wrong>[^". ]+)"?\.) Did you mean "?(?P<guess>-[^"?]+)"?\?')
_LISTS = ("list", "ls", "ps", "workload list", "workload ls", "workload ps")
_THESE = ("it alone", "them alone")


def complaint(app: App, error: CycloptsError, path: Sequence[str], behind: Sequence[str]) -> str:
    """One line for what is wrong, one for what to do."""
    verb = " ".join(path)
    if isinstance(error, UnknownCommandError):
        return _unknown(app, path, behind)
    return f"{_what(error, verb, behind)}\n`capsulectl {verb} --help` tells how it is meant".replace("  ", " ")


def _unknown(app: App, path: Sequence[str], behind: Sequence[str]) -> str:
    word = behind[0] if behind else ""
    where = "capsulectl" + "".join(f" {name}" for name in path)
    if word in VALUED:
        return f"there is no value behind {word}\n`{where} --help` lists the verbs"
    if word.startswith("-"):
        return f"no option {word} stands before a verb\n`{where} --help` lists the verbs; options stand behind them"
    if not path and word in HABITS:
        return f"there is no verb {word}\n{HABITS[word]}"
    return f"there is no verb {word}{_near(app, path, word)}\n`{where} --help` lists the verbs"


def _near(app: App, path: Sequence[str], word: str) -> str:
    import difflib

    for name in path:
        app = app[name]
    close = difflib.get_close_matches(word, [name for name in app if not name.startswith("-")], 1)
    return f": do you mean {close[0]}?" if close else ""


def _what(error: CycloptsError, verb: str, behind: Sequence[str]) -> str:
    match error:
        case MissingArgumentError():
            return _missing(error, verb, behind)
        case UnusedCliTokensError(unused_tokens=list(tokens)) if tokens:
            hint = f": `capsulectl get {' '.join(tokens)}` shows {_THESE[len(tokens) > 1]}" if verb in _LISTS else ""
            return f"`{verb}` does not know what to do with {' '.join(tokens)}{hint}"
        case UnknownOptionError() | CoercionError() | ValidationError():
            text = _without_far_guess(_plain(error))
            return f"`{verb}`: {text[0].lower()}{text[1:]}" if verb else text
        case _:
            return _plain(error)


def _missing(error: MissingArgumentError, verb: str, behind: Sequence[str]) -> str:
    argument = error.argument
    name = "" if argument is None else argument.name
    if name in behind or (error.keyword and error.keyword in behind):
        return f"`{verb}`: there is no value behind {error.keyword or name}"
    if name == "-f" or name == "--filename":
        files = [word for word in behind if not word.startswith("-")]
        return f"`{verb}` takes its files behind -f: `capsulectl {verb} -f {files[0] if files else 'FILE'}`"
    return f"`{verb}` needs {name.lstrip('-').upper()}" + (f" ({name})" if name.startswith("-") else "")


def _without_far_guess(text: str) -> str:
    """The parser offers the nearest option, however far that is."""
    import difflib

    found = _GUESS.fullmatch(text)
    if found is None or difflib.get_close_matches(found["wrong"].lstrip("-"), [found["guess"].lstrip("-")]):
        return text
    return found["what"]


def _plain(error: Any) -> str:
    return " ".join(str(error).split())
