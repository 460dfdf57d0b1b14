"""JSON as the nodes that YAML's reader makes, each with its line. YAML 1.1 reads most of JSON, and some otherwise: what
stands above U+FFFF in escapes it refuses, and line ends of Unicode's within a text it folds to a space.

Source: RFC 8259.
"""

import re
from bisect import bisect_right
from json import JSONDecoder

import yaml

from capsulectl.node_tags import BOOL, FLOAT, INT, MAP, NULL, SEQ, STR

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS = {"true": BOOL, "false": BOOL, "null": NULL}
_DEEPEST = 100
"""Nothing that is declared has so many levels, and each takes some of Python's stack."""


def json_node(text: str) -> yaml.Node | None:
    """The one value that the text is; None where it is no JSON, or has half of a character, which is in no text."""
    text = text.removeprefix("\ufeff")
    if not text.lstrip(" \t\r\n").startswith(("{", "[")):
        return None
    try:
        return _Reader(text).whole()
    except ValueError:
        return None


class _Reader:
    """Reads a text from its beginning to its end. What is no JSON raises ValueError."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._strings = JSONDecoder()
        self._ends = [found.end() for found in re.finditer("\n", text)]

    def whole(self) -> yaml.Node:
        """The value, which has to be all there is."""
        node = self._value(0)
        if self._next() or self._at < len(self._text):
            raise ValueError("something follows")
        return node

    def _next(self) -> str:
        """What comes next that is no space; empty at the end."""
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._text[self._at : self._at + 1]

    def _take(self, mark: str) -> bool:
        """Whether it comes next; then it is taken."""
        if self._next() != mark:
            return False
        self._at += 1
        return True

    def _must(self, mark: str) -> None:
        if not self._take(mark):
            raise ValueError(f"no {mark}")

    def _mark(self) -> yaml.Mark:
        line = bisect_right(self._ends, self._at)
        return yaml.Mark("", self._at, line, self._at - (self._ends[line - 1] if line else 0), None, 0)

    def _value(self, level: int) -> yaml.Node:
        begins = self._next()
        if level > _DEEPEST:
            raise ValueError("too many levels")
        mark = self._mark()
        if self._take("{"):
            return yaml.MappingNode(MAP, self._pairs(level + 1), mark, self._mark(), flow_style=True)
        if self._take("["):
            return yaml.SequenceNode(SEQ, self._items(level + 1), mark, self._mark(), flow_style=True)
        if begins == '"':
            return self._string()
        return self._bare(mark)

    def _pairs(self, level: int) -> list[tuple[yaml.Node, yaml.Node]]:
        pairs: list[tuple[yaml.Node, yaml.Node]] = []
        while not (not pairs and self._take("}")):
            if self._next() != '"':
                raise ValueError("no key")
            key = self._string()
            self._must(":")
            pairs.append((key, self._value(level)))
            if not self._take(","):
                self._must("}")
                break
        return pairs

    def _items(self, level: int) -> list[yaml.Node]:
        items: list[yaml.Node] = []
        while not (not items and self._take("]")):
            items.append(self._value(level))
            if not self._take(","):
                self._must("]")
                break
        return items

    def _string(self) -> yaml.ScalarNode:
        mark = self._mark()
        value, self._at = self._strings.raw_decode(self._text, self._at)
        value.encode()  # raises for half of a character
        return yaml.ScalarNode(STR, value, mark, self._mark(), style='"')

    def _bare(self, mark: yaml.Mark) -> yaml.ScalarNode:
        """A number, true, false or null."""
        found = _NUMBER.match(self._text, self._at)
        word = found[0] if found else next((one for one in _WORDS if self._text.startswith(one, self._at)), "")
        if not word:
            raise ValueError("no value")
        tag = _WORDS.get(word) or (FLOAT if found and (found[1] or found[2]) else INT)
        self._at += len(word)
        return yaml.ScalarNode(tag, word, mark, self._mark())
