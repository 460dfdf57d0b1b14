"""Where our own packages are."""

from pathlib import Path


def stubs(house: Path) -> Path:
    """What has the generated `capsule` in it: a directory of its own in a checkout, ours where pip installed us."""
    checkout = house / "gen"
    return checkout if (checkout / "capsule").is_dir() else house
