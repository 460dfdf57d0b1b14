"""Which snapshots stay for who asks how it was. Pure.

A snapshot holds a whole state, with its table of the newest calls: up to megabytes, which is more than the entries
between two of them take. So those of long ago stand further apart. From a million entries on their number grows with
the logarithm of the history, and a look back costs ever less beside a fold of everything.
"""

from collections.abc import Iterable

STRIDE_ENTRIES = 4_096
NEAR_STRIDES = 32
"""For so many strides behind the newest snapshot one stays for each: who looks back mostly looks back a little."""
FAR_STRIDES = 256
"""Behind that one for every two, up to an age of so many strides; then for twice as many with each doubling of age."""
NEWEST_KEPT = 3


def width(age: int) -> int:
    """How many entries there is one snapshot for, so many entries behind the newest."""
    if age < NEAR_STRIDES * STRIDE_ENTRIES:
        return STRIDE_ENTRIES
    return 2 * STRIDE_ENTRIES << (age // (FAR_STRIDES * STRIDE_ENTRIES)).bit_length()


def kept(seqs: Iterable[int]) -> frozenset[int]:
    """Those of these snapshots, told by their entries, that stay: the newest few, and the first of each stride. A wider
    stride takes the place of two narrower ones once all of it is old enough, and begins where the first of these did:
    so what is its first was kept until then."""
    ordered = sorted(seqs)
    first_of_its_stride: dict[int, int] = {}
    for seq in ordered:
        first_of_its_stride.setdefault(_stride(seq, ordered[-1]), seq)
    return frozenset((*ordered[-NEWEST_KEPT:], *first_of_its_stride.values()))


def _stride(seq: int, newest: int) -> int:
    """The beginning of the stride that an entry is in: of the widest whose last entry is old enough for that."""
    wide = width(newest - seq)
    while wide > STRIDE_ENTRIES and width(newest - (seq // wide + 1) * wide + 1) < wide:
        wide //= 2
    return seq // wide * wide
