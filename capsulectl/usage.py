"""What is wrong with a command line, in this house's words: the parser's errors, and the habits of other tools
(habits.py)."""

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
from capsulectl.habits import IRREVOCABLE, meant

_GUESS = re.compile(r'(?P<what>Unknown option: "?(?P<wrong>[^". ]+)"?\.) Did you mean "?(?P<guess>-[^"?]+)"?\?')
_LISTS = ("list", "ls", "ps", "workload list", "workload ls", "workload ps")
_UNSEEN = ("secret create", "secret rotate")
_NEAR = 0.7
"""How alike a verb must be to one that there is; below, `df` is `diff`."""
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
    habit = meant(path, word)
    if habit:
        return f"there is no verb {word}\n{habit}"
    return f"there is no verb {word}{_near(app, path, word)}\n`{where} --help` lists the verbs"


def _near(app: App, path: Sequence[str], word: str) -> str:
    """The verb that was probably meant, unless it is one that nobody shall be talked into; nor is another offered in
    its place."""
    import difflib

    for name in path:
        app = app[name]
    close = difflib.get_close_matches(word, [name for name in app if not name.startswith("-")], 1, _NEAR)
    return f": do you mean {close[0]}?" if close and close[0] not in IRREVOCABLE else ""


def _what(error: CycloptsError, verb: str, behind: Sequence[str]) -> str:
    match error:
        case MissingArgumentError():
            return _missing(error, verb, behind)
        case UnusedCliTokensError() if verb in _UNSEEN:  # what was typed is not repeated
            shown = "what was typed stands in the shell's history by now"
            return f"`{verb}` takes no value on the command line: it is read from standard input, or -f FILE; {shown}"
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
    """The parser offers the nearest option, however far that is; a letter is near to all that have it."""
    import difflib

    found = _GUESS.fullmatch(text)
    if found is None:
        return text
    wrong = found["wrong"].lstrip("-")
    if len(wrong) > 1 and difflib.get_close_matches(wrong, [found["guess"].lstrip("-")]):
        return text
    return found["what"]


def _plain(error: Any) -> str:
    return " ".join(str(error).split())
