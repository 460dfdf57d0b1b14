"""Tools that make namespaces, mounts, units or a root's files say so before they begin."""

import os


def require() -> None:
    """Ends with a sentence where somebody else runs the tool."""
    if os.geteuid() != 0:
        raise SystemExit("this takes root")
