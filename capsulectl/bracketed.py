"""How to write as a list what a manifest has as something else: for the message that refuses it."""

import json
import re
import shlex
from typing import Any

import yaml

from capsulectl.short_forms import MEANT

_COMMANDS = frozenset({"command", "args", "exec"})
"""What other tools take as one line, and divide as a shell does."""
_TEXT = "tag:yaml.org,2002:str"
_SHOWN_CHARS = 120
_PLAIN = re.compile(r"(?!-$|---|\.\.\.)[\w/.+-]([\w/.:=@%+-]*[\w/.=@%+-])?")
_AS_ITEMS = "each item behind a `- `, or all of them between [ and ]"


def as_list(field: Any, node: yaml.Node) -> str:
    """The list in one line, or where that would be long or nobody knows, how one is written."""
    if isinstance(node, yaml.MappingNode):
        text = _of_mapping(field, node)
    elif field.message_type is not None:
        text = _of_short_form(field.message_type.name, node.value)
    else:
        text = f"[{', '.join(map(_quoted, _words(node.value) if field.name in _COMMANDS else [node.value]))}]"
    return text if 0 < len(text) <= _SHOWN_CHARS else _AS_ITEMS


def _of_mapping(field: Any, node: yaml.MappingNode) -> str:
    """One item of several may have been written alone; Compose names with conditions whom it depends on."""
    if field.name == "depends_on" and all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
        return f"[{', '.join(_as_written(key) for key, _ in node.value)}]"
    if field.message_type is None or not all(isinstance(one, yaml.ScalarNode) for pair in node.value for one in pair):
        return ""
    return f"[{{{', '.join(f'{_as_written(key)}: {_as_written(value)}' for key, value in node.value)}}}]"


def _of_short_form(message: str, text: str) -> str:
    if message not in MEANT:
        return f"[{_quoted(text)}]"
    meant = MEANT[message](text)
    return f"[{meant}]" if meant.startswith("{") else meant


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote of which there is only one
        return [text]


def _quoted(text: str) -> str:
    """A text between brackets, in quotes where it would be read as something else."""
    read = yaml.compose(text, Loader=yaml.SafeLoader) if _is_plain(text) else None
    return text if read is not None and read.tag == _TEXT else json.dumps(text, ensure_ascii=False)


def _as_written(node: Any) -> str:
    return str(node.value) if not node.style and _is_plain(node.value) else json.dumps(node.value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    return _PLAIN.fullmatch(text) is not None
