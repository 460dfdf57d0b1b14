"""Sizes and durations as people write them: 64MiB, 10m. A number without its unit is refused."""

import re
from math import inf, isfinite

_SIZE = re.compile(r"(\d+)(?:\.(\d{1,9}))?\s*([KMGTP])I?B?", re.IGNORECASE)
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_SIZE_LIMIT = 1 << 64
"""What no call has room for."""

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_MS = (3_600_000, 60_000, 1_000, 1)
_LONGEST_S = 365 * 86_400
"""Nobody waits for longer, and what counts down in nanoseconds somewhere overflows at no more than some centuries."""

SIZE_PATTERN = r"^\d+\s*[KMGTPkmgtp][Ii]?[Bb]?$"
DURATION_PATTERN = r"^(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$"
"""The same for the JSON Schema, whose expressions know no flags."""


def size_bytes(text: str) -> int:
    """Bytes of 512MiB, 512Mi or 2G, in powers of two. Raises ValueError with the problem in words."""
    text = text.strip()
    found = _SIZE.fullmatch(text)
    if found is None:
        hint = f"say {text}MiB or {text}GiB" if text.isdecimal() else "write it like 512MiB or 2GiB"
        raise ValueError(f"{text!r} has no unit that can be trusted: {hint}")
    unit = _UNITS[found[3].upper()]
    if found[2] is not None:
        size = unit * int(found[1] + found[2]) // 10 ** len(found[2])
        raise ValueError(f"{text!r} is no whole number: write {_whole(size, unit)}")
    size = int(found[1]) * unit
    if size >= _SIZE_LIMIT:
        raise ValueError(f"{text!r} is no size that there could be: it must be below {_SIZE_LIMIT} bytes")
    return size


def _whole(size: int, unit: int) -> str:
    """About that much as a whole number of the unit itself or, where some of it would be lost, of the one below."""
    if size % unit and unit > _UNITS["K"]:
        unit >>= 10
    name = next(name for name, one in _UNITS.items() if one == unit)
    return f"{max(1, size // unit)}{name}iB"


def seconds(text: str) -> float:
    """Seconds of 90, 1.5, 90s or 2m: a time to wait is one in seconds wherever people write it bare. Raises ValueError
    with the problem in words."""
    try:
        number = float(text)
    except ValueError:
        ms = duration_ms(text)
        number = ms / 1_000 if ms <= _LONGEST_S * 1_000 else inf
    if number > _LONGEST_S:
        raise ValueError(f"{text!r} is more than a year, and nothing takes that long: write it like 90, 90s or 2m")
    if not isfinite(number) or number < 0:
        raise ValueError(f"{text!r} is no time to wait: write it like 90, 90s or 2m")
    return number


def duration_ms(text: str) -> int:
    """Milliseconds of 500ms, 10s, 5m or 1h30m. Raises ValueError with the problem in words."""
    text = text.strip()
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        hint = f"say {text}s or {text}ms" if text.isdecimal() else "write it like 500ms, 10s or 1h30m"
        raise ValueError(f"{text!r} is no duration with its unit: {hint}")
    return sum(int(part) * unit for part, unit in zip(found.groups(), _MS, strict=True) if part)


def seconds_text(number: float) -> str:
    """A time to wait as it is told: 1 s, 0.5 s, 2592000 s."""
    return f"{f'{number:.3f}'.rstrip('0').rstrip('.')} s"
