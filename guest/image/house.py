"""Where our own packages are."""

from pathlib import Path


def stubs(house: Path) -> Path:
    """The directory that has the generated `capsule`: a checkout has one for it, pip puts it beside our own packages."""
    checkout = house / "gen"
    return checkout if (checkout / "capsule").is_dir() else house
