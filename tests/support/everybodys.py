"""A test's directory that others than root may enter, too."""

import stat
from pathlib import Path


def open_to_everybody(directory: Path) -> None:
    """It and every one above it that is not yet: pytest makes them for its own user alone."""
    for one in (directory, *directory.parents):
        if not one.stat().st_mode & stat.S_IXOTH:
            one.chmod(0o755)
