"""The boot loader's variables as bytes: GRUB's environment block, a file of 1,024 bytes. Pure.

Its form: a line of its own, then `name=value` lines, then `#` to the end; a backslash stands before a newline, a `#` or
a backslash in a value (grub-core/lib/envblk.c). Everything that changes lies in the first 512 bytes, one sector of the
disk, which is written whole or not at all; the second is filling, always.
"""

from typing import get_args

from effects.slots.protocol import LoaderState, Slot

BLOCK_BYTES = 1024
SECTOR_BYTES = 512
HEAD = b"# GRUB Environment Block\n"
FILLING = b"#" * SECTOR_BYTES


def encode(state: LoaderState) -> bytes:
    """The block that says so."""
    variables = {
        "default_slot": state.default_slot,
        "next_slot": state.next_slot or "",
        "update": str(state.update or ""),
        "window_s": str(state.window_s or ""),
        "tried": str(state.tried or ""),
        "refused": str(state.refused or ""),
    }
    lines = b"".join(f"{name}={value}\n".encode() for name, value in variables.items())
    sector = (HEAD + lines).ljust(SECTOR_BYTES, b"#")
    assert len(sector) == SECTOR_BYTES
    return sector + FILLING


def decode(block: bytes) -> LoaderState:
    """What the boot loader makes of a block. One that it cannot read has no variables for it."""
    if len(block) != BLOCK_BYTES or not block.startswith(HEAD):
        return LoaderState(damaged=True)
    variables: dict[str, str] = {}
    for line in _lines(block[len(HEAD) :].decode("latin-1")):
        name, equals, value = line.partition("=")
        if equals:
            variables[name] = value
    return LoaderState(
        default_slot=_slot(variables.get("default_slot", "")) or "slot_a",
        next_slot=_slot(variables.get("next_slot", "")),
        update=_number(variables.get("update", "")),
        window_s=_number(variables.get("window_s", "")),
        tried=_number(variables.get("tried", "")),
        refused=_number(variables.get("refused", "")),
    )


def _lines(text: str) -> list[str]:
    found, line, escaped = [], "", False
    for char in text:
        if escaped:
            line, escaped = line + char, False
        elif char == "\\":
            escaped = True
        elif char == "\n":
            found.append(line)
            line = ""
        elif char == "#" and not line:
            break
        else:
            line += char
    return found


def _slot(text: str) -> Slot | None:
    return next((slot for slot in get_args(Slot) if slot == text), None)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0
