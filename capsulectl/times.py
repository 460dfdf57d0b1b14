"""Times as an operator writes them: spans back from now, and what a clock shows. In wall nanoseconds, in whole numbers
throughout: a float has no room for them.
"""

import datetime
import re
import time

from capsulectl.errors import USAGE, Failure

_SECOND_NS = 1_000_000_000
_SPAN = re.compile(r"(\d+)\s*([smhdw])(\s*ago)?")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_CLOCK = re.compile(
    r"(.{7,10}[^\d-]\d\d(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d))?)?)"
    r"(?(second)(?:[.,](?P<fraction>\d{1,9})\d*)?)(Z|[+-][\d:.]+)?"
)
"""A day and a time of ISO 8601, as far as it is to be known what they end with."""
_FURTHEST_NS = (1 << 63) - 1


def parse_since(text: str, now: float | None = None, option: str = "--since") -> int:
    """A span back from now (`2h`, `2h ago`), or a moment in local time (with an offset: there), in wall nanoseconds; 0
    for none, as on the wire: the very first moment of 1970 is told by the one behind it. Raises Failure for what is
    neither, or too far away to be told in nanoseconds."""
    return _parse(text, now, option, is_end=False)


def parse_until(text: str, now: float | None = None, option: str = "--until") -> int:
    """The same of an end, up to which something is meant: what a clock shows lasts until it shows the next, 10:07:48 to
    10:07:48.999999999. So a time that was printed, which is cut, has what happened at it. An hour or a day that has
    begun lasts until now."""
    return _parse(text, now, option, is_end=True)


def _parse(text: str, now: float | None, option: str, is_end: bool) -> int:
    if not text:
        return 0
    text = text.strip()
    now_ns = time.time_ns() if now is None else int(now * _SECOND_NS)
    span = _SPAN.fullmatch(text)
    try:
        if span is not None:
            at_ns = now_ns - int(span[1]) * _UNITS[span[2]] * _SECOND_NS
        else:
            at_ns, lasts_ns = _shown(text)
            if is_end:
                end_ns = at_ns + lasts_ns - 1
                at_ns = end_ns if lasts_ns <= 60 * _SECOND_NS else max(at_ns, min(end_ns, now_ns))
        if abs(at_ns) <= _FURTHEST_NS:
            return at_ns or 1
    except (ValueError, OverflowError):
        pass
    raise Failure(f"{option} {text!r}: give a span like 10m, 2h, 7d or a moment like 2026-11-24T10:00", USAGE)


def _shown(text: str) -> tuple[int, int]:
    """When a clock begins to show it, and for how long it does. Raises ValueError for what no clock shows."""
    clock = _CLOCK.fullmatch(text)
    day = datetime.datetime.fromisoformat(text if clock is None else f"{clock[1]}{clock[5] or ''}")
    at_ns = int(day.timestamp()) * _SECOND_NS
    if clock is None:
        return at_ns, int((day + datetime.timedelta(days=1)).timestamp()) * _SECOND_NS - at_ns
    if clock["fraction"]:
        return at_ns + int(clock["fraction"].ljust(9, "0")), 10 ** (9 - len(clock["fraction"]))
    return at_ns, (1 if clock["second"] else 60 if clock["minute"] else 3_600) * _SECOND_NS
