"""Lines from a log as they may stand in the journal: so many, so long, printable, and nothing in them that looks like a
secret. Pure.

It promises more than effects/microvms/seemly.py does, which takes out nothing but what moves a cursor.

Nothing of ours logs a secret; a kernel's or another program's line is nobody's promise. What is taken out is what
follows a word such as `password=`, tokens by their form, and long runs of base64 or hexadecimal digits. Digests by
which images, entries and certificates are known stay: they are 64 hexadecimal digits, and no secret.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

LINES, LINE_CHARS = 120, 400
CHARS = 16 << 10
"""Of all lines together: an entry of the journal is no log."""
HIDDEN = "…"
_T = TypeVar("_T")

# None of them looks back and forth: a line is anybody's, and is to be read in a time that grows with its length alone.
_SECRETS = (
    re.compile(
        r"(?i)((?:password|passwd|passphrase|secret|token|credential|(?:api|access|private)[-_]?key)"
        r"""[a-z0-9_.-]{0,64}(?:\\*["'])?\s*[=:]\s*)("[^"]*"?|'[^']*'?|\S+)"""
    ),
    re.compile(r"(?i)\b((?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}"),
    re.compile(r"()\beyJ[\w-]+\.[\w-]+\.[\w-]+"),
    re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)"),
    re.compile(r"()(?<![\w+/=-])(?![0-9a-f]{64}(?![\w+/=-]))(?=[\w+/=-]*\d)(?=[\w+/=-]*[A-Za-z])[A-Za-z0-9+_=-]{48,}(?![\w+/=-])"),
    # Base64 has slashes, as paths have: it is told from those by its capitals.
    re.compile(r"()(?<![\w+/=-])(?=[\w+/=-]*\d)(?=(?:[a-z0-9_+/=-]*[A-Z]){10})[A-Za-z0-9+/_=-]{48,}"),
)  # fmt: skip
_FRAME = re.compile(r'^\s*File "([^"]+)", line (\d+)(?:, in (\S+)|.* in (\S+))')


def redacted(lines: Iterable[str], most: int = LINES) -> tuple[str, ...]:
    """The last `most` of them, as far as they fit."""
    return newest([redacted_line(line) for line in deque(lines, most)], len)


def newest(them: Sequence[_T], length: Callable[[_T], int], room: int = CHARS) -> tuple[_T, ...]:
    """The last of them, as far as they fit into so many characters."""
    for number, one in enumerate(reversed(them)):
        room -= length(one)
        if room < 0:
            return tuple(them[len(them) - number :])
    return tuple(them)


def redacted_line(line: str) -> str:
    """One of them."""
    begin = line[: 4 * LINE_CHARS].rstrip()
    text = "".join(one if one.isprintable() else "\t" if one == "\t" else f"\\x{ord(one):02x}" for one in begin)
    text = text if len(text) <= 4 * LINE_CHARS else text[: 4 * LINE_CHARS]
    for pattern in _SECRETS:
        text = pattern.sub(lambda found: found[1] + HIDDEN, text)
    return text if len(text) <= LINE_CHARS else text[: LINE_CHARS - 1] + HIDDEN


def without_messages(lines: Iterable[str]) -> Iterable[str]:
    """A log of ours without what an error said in a traceback: nobody knows what is in that. The places stay, and the
    kind of the error."""
    inside = False
    for line in lines:
        if line.strip().startswith("Traceback (most recent call last)"):
            inside = True
            yield line
        elif not inside or not line.startswith(" "):
            inside = False
            yield line
        elif (frame := _FRAME.match(line)) is not None:
            yield f"    {frame[1]}:{frame[2]} {frame[3] or frame[4]}"
        elif (kind := re.match(r"^  ((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?::|$)", line)) is not None:
            yield f"  {kind[1]}"
