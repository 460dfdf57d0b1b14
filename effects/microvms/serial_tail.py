"""Why a guest's kernel gave up, by what it wrote last on its console. Pure. The text is whatever the guest wrote."""

import re

from effects.microvms.seemly import seemly

TAIL_BYTES = 64 << 10
_PANIC = re.compile(rb"Kernel panic - not syncing: ([^\r\n]*)")


def panic_in(tail: bytes) -> str:
    """What the kernel called it; empty where it says nothing of a panic. `tail` is the end of the serial log."""
    found = _PANIC.findall(tail[-TAIL_BYTES:])
    return (seemly(found[-1].decode(errors="replace")) or "without a word") if found else ""
