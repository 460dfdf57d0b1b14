"""What a planted bug is."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """`what` goes wrong, in words; in `file`, `old` becomes `new`. `also`: what two places have to agree about, in the
    other."""

    name: str
    what: str
    file: str
    old: str
    new: str
    also: tuple[tuple[str, str, str], ...] = ()

    @property
    def edits(self) -> tuple[tuple[str, str, str], ...]:
        """Each file with what stands there and what shall."""
        return ((self.file, self.old, self.new), *self.also)
