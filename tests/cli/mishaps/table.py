"""All mishaps, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.cli.mishaps import (
    images,
    interrupted,
    machine,
    manifests,
    microvms,
    network,
    people,
    terminal,
    volumes,
    workloads,
)
from tests.cli.mishaps.stage import Stage

ROOMS = (manifests, images, workloads, microvms, volumes, network, people, machine, terminal, interrupted)


class Mishap(NamedTuple):
    """One way in which it goes wrong."""

    room: str
    play: Callable[[Stage], None]

    @property
    def name(self) -> str:
        """Of its record."""
        return self.play.__name__.replace("_", "-")

    @property
    def title(self) -> str:
        """The first line of its record."""
        return f"# {self.play.__doc__}\n\n"


MISHAPS = tuple(Mishap(room.__name__.rpartition(".")[2], play) for room in ROOMS for play in room.MISHAPS)


def recorded(name: str) -> Path:
    """Where its record stands."""
    return Path(__file__).parent / "recorded" / f"{name}.txt"
