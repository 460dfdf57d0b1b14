"""Hostile archives by chance, from a seed: good ones that were bent, and names, kinds and links that lead elsewhere.

Whatever comes, an unpacking ends in success or in a CopyError, touches nothing outside of its destination, and leaves
nothing aside. `python -m tests.fuzz.trees [CASES] [SEED]` runs more of them.
"""

import os
import random
import stat
import sys
import tempfile
from pathlib import Path

from copies import headers
from copies.errors import CopyError
from copies.opening import Guarded
from copies.packing import Packer, contents
from tests.support.trees import facts, left_aside, unpack

CASES = 10_000
_KINDS = (
    *(b"0",) * 10,
    *(b"2",) * 4,
    *(b"5",) * 4,
    b"1",
    b"1",
    b"3",
    b"4",
    b"6",
    b"7",
    b"S",
    b"L",
    b"K",
    b"g",
    b"Z",
    b"\0",
)
_PARTS = (*"abcdabcdabcdabcd", "..", ".", "", "l", "outside", "secret", "n" * 99, "n" * 300, "\udcff", "ü", "x\n")
_NOTES = (b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime", b"GNU.sparse.major", b"GNU.sparse.minor",
          b"GNU.sparse.name", b"GNU.sparse.realsize", b"GNU.sparse.map", b"hdrcharset", b"")  # fmt: skip
_NUMBERS = (0, 1, 511, 512, 513, 1024, 70_000, (1 << 31) - 1, 1 << 32, 1 << 33, (1 << 63) - 1)


def name(chance: random.Random) -> bytes:
    """A path that may lead anywhere."""
    text = "/".join(chance.choice(_PARTS) for _ in range(chance.choice((1, 1, 2, 2, 3, 5))))
    return os.fsencode(chance.choice(("", "", "", "", "", "", "./", "./", "/", "../")) + text)


def archive(chance: random.Random) -> bytes:
    """A few members; half of the archives are bent afterwards."""
    made = b"".join(_member(chance) for _ in range(chance.randint(0, 4)))
    made += bytes(1024) if chance.random() < 0.8 else b""
    if made and chance.random() < 0.4:
        bent = bytearray(made)
        for _ in range(chance.randint(1, 8)):
            bent[chance.randrange(len(bent))] = chance.randrange(256)
        made = bytes(bent[: chance.randrange(len(bent))] if chance.random() < 0.3 else bent)
    return made


def _member(chance: random.Random) -> bytes:
    kind = chance.choice(_KINDS)
    content = chance.randbytes(chance.choice((0, 0, 3, 512, 700))) if kind in b"0Lg7" else b""
    notes = b""
    if chance.random() < 0.15:
        keys = chance.sample(_NOTES, chance.randint(1, 6))
        notes = headers.pax({key: _value(chance, key) for key in keys})
        if b"GNU.sparse.major" in keys and chance.random() < 0.7:
            content = _map(chance) + chance.randbytes(chance.choice((0, 512, 1024)))
    size = len(content) if chance.random() < 0.95 else chance.choice(_NUMBERS[:7])
    block = headers.header(
        name(chance), kind, chance.randrange(0o10000), chance.choice(_NUMBERS[:7]), 0, chance.randint(-9, 1 << 33), size,
        name(chance) if kind in b"12" else b"",
    )  # fmt: skip
    return notes + block + content + headers.padding(len(content))


def _value(chance: random.Random, key: bytes) -> bytes:
    if key in (b"path", b"linkpath", b"GNU.sparse.name"):
        return name(chance)
    if key == b"GNU.sparse.major":
        return b"1"
    return chance.choice((b"", b"-1", b"1.5", b"x", b"%d" % chance.choice(_NUMBERS)))


def _map(chance: random.Random) -> bytes:
    count = chance.randint(0, 3)
    numbers = [chance.choice(_NUMBERS) for _ in range(2 * count)]
    text = b"".join(b"%d\n" % number for number in (chance.choice((count, count, 9, 1 << 40)), *numbers))
    return text.ljust(-(-len(text) // 512) * 512, b"\0")


class Ground:
    """`inside` is unpacked to, `outside` must stay as it is."""

    def __init__(self, root: Path) -> None:
        self.inside, self.outside = root / "inside", root / "outside"
        self.outside.mkdir()
        (self.outside / "secret").write_text("secret")
        self.before = facts(root)
        self.root = root
        self.descriptors = os.open("/proc/self/fd", os.O_PATH | os.O_DIRECTORY)

    def case(self, seed: int) -> bool:
        """One archive; whether it was good. Raises AssertionError."""
        chance = random.Random(seed)
        self.inside.mkdir()
        os.symlink("../outside", self.inside / "l")
        untouched = facts(self.inside)
        path = chance.choice(("", "/", "/a", "/a/b/", "/l/../inside/c"))
        try:
            unpack(archive(chance), f"{self.inside}{path}", size=chance.choice((7, 512, 1 << 16)))
            good = True
        except CopyError as error:
            good = False
            assert len(str(error)) < 1_000 and str(error).isprintable(), f"seed {seed}: {error!r}"
            assert facts(self.inside) == untouched, f"seed {seed}: refused, and something has changed"
        found = facts(self.inside)
        assert not left_aside(found), f"seed {seed}: something is left aside"
        kinds = {kind for kind, *_ in found.values()}
        assert kinds <= {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK}, f"seed {seed}: made what no copy has"
        if good:
            self._out_again(seed)
        self._clear()
        assert facts(self.root) == self.before, f"seed {seed}: something outside has changed"
        return good

    def _out_again(self, seed: int) -> None:
        """What came in goes out as well, and nothing else with it."""
        parent = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            packer = Packer(Guarded(self.descriptors), lambda directory: False)
            made = b"".join(contents(packer.pack(parent, "inside", "inside", "inside"), 1 << 16))
        finally:
            os.close(parent)
        assert made.endswith(bytes(1024)) and b"\nsecret" not in made, f"seed {seed}"

    def _clear(self) -> None:
        for directory, below, names in os.walk(self.inside, topdown=False):
            for one in names:
                os.unlink(os.path.join(directory, one))
            for one in below:
                path = os.path.join(directory, one)
                os.unlink(path) if os.path.islink(path) else os.rmdir(path)
        self.inside.rmdir()


def run(cases: int, seed: int) -> int:
    """So many archives; how many were good. Raises AssertionError, with the seed of the case."""
    with tempfile.TemporaryDirectory(prefix="capsule-fuzz-") as scratch:
        ground = Ground(Path(scratch))
        try:
            return sum(ground.case(seed + number) for number in range(cases))
        finally:
            os.close(ground.descriptors)


if __name__ == "__main__":
    asked = [int(word) for word in sys.argv[1:]]
    count, first = (*asked, *(CASES, 1)[len(asked) :])[:2]
    print(f"{run(count, first):,} of {count:,} hostile archives were good after all; seeds from {first}")
