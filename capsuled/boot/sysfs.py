"""What the kernel says of its devices: a file each."""

from pathlib import Path


def text_of(file: Path) -> str:
    """Without its end of line; empty where there is no such file, or it cannot be read just now. A device may be called
    anything: its maker's bytes are handed on by the kernel as they are."""
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
