"""What systemd makes of a file of variables (`EnvironmentFile=`): other than a shell, which has no line for a value
with spaces and no quotes, and runs what stands in `$( )`.

Source: systemd.exec(5) and systemd's src/basic/env-file.c.
"""

import shlex

_BLANK = " \t\r"
_ESCAPED_IN_DOUBLES = '"\\`$'


def variables(text: str) -> dict[str, str]:
    """By name; the last line of a name counts."""
    found: dict[str, str] = {}
    rest = text
    while rest:
        line = rest.lstrip(_BLANK + "\n")
        if line.startswith(("#", ";")):
            _, rest = _unquoted(line)
            continue
        end = line.find("\n") if "\n" in line else len(line)
        equals = line.find("=", 0, end)
        if equals < 0:
            rest = line[end:]
            continue
        found[line[:equals].rstrip(_BLANK)], rest = _value(line[equals + 1 :])
    return found


def words(value: str) -> list[str]:
    """What `$NAME` becomes in `ExecStart=`. Raises ValueError for a quote that nothing closes."""
    return shlex.split(value)


def _value(text: str) -> tuple[str, str]:
    """The value that begins there, and what stands behind its line: quoted pieces, or one without quotes."""
    value, rest = "", text.lstrip(_BLANK)
    while rest.startswith(("'", '"')):
        piece, rest = _quoted(rest[1:], rest[0])
        value, rest = value + piece, rest.lstrip(_BLANK)
    piece, rest = _unquoted(rest)
    return value + piece, rest


def _quoted(text: str, quote: str) -> tuple[str, str]:
    piece, at = "", 0
    while at < len(text) and text[at] != quote:
        if quote == '"' and text[at] == "\\" and at + 1 < len(text):
            at += 1
            kept = "" if text[at] in _ESCAPED_IN_DOUBLES or text[at] == "\n" else "\\"
            piece += kept + text[at].replace("\n", "")
        else:
            piece += text[at]
        at += 1
    return piece, text[at + 1 :]


def _unquoted(text: str) -> tuple[str, str]:
    """Up to the line's end; a backslash in front of that joins the next one, and in front of anything else is none."""
    piece, kept, at = "", 0, 0
    while at < len(text) and text[at] != "\n":
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
            piece += text[at].replace("\n", "")
            kept = len(piece)
        else:
            piece += text[at]
        at += 1
    return piece[:kept] + piece[kept:].rstrip(_BLANK), text[at + 1 :]
