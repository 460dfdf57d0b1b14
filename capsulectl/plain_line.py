"""Command lines read by hand: to load the parser and what it inspects is half of what a short command takes.

What is written in any way that a reader does not know is left to the parser, which has the words for what is wrong.
"""

from collections.abc import Mapping, Sequence

FORMATS = frozenset({"table", "wide", "json", "yaml", "name"})
"""What `--output` may be."""


def options(
    tokens: Sequence[str], flags: Mapping[str, str], values: Mapping[str, str]
) -> list[tuple[str, str | bool]] | None:
    """(field, value) of each option, in order. `flags` and `values` lead from what is written to the field.

    None when a token is none of them, or an empty word names the capsule.
    """
    found: list[tuple[str, str | bool]] = []
    left = list(tokens)[::-1]
    while left:
        token = left.pop()
        name, equals, value = token.partition("=")
        if token in flags:
            found.append((flags[token], True))
        elif token in values and left:
            found.append((values[token], left.pop()))
        elif equals and name.startswith("--") and name in values:
            found.append((values[name], value))
        elif token[:1] == "-" and token[:2] in flags and token[1:2] != "-":
            found.append((flags[token[:2]], True))
            left.append("-" + token[2:])
        elif token[:1] == "-" and token[:2] in values and len(token) > 2:
            found.append((values[token[:2]], token[2:]))
        else:
            return None
    return None if any(name == "capsule" and not str(value).strip() for name, value in found) else found
