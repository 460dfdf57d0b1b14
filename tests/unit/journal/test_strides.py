"""Which snapshots stay: near ones close together, far ones further apart, and never many of them."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from journal.strides import NEWEST_KEPT, STRIDE_ENTRIES, kept, width

MILLION = 1_000_000


def lived(seqs: list[int]) -> frozenset[int]:
    """What stays of snapshots that were taken one after the other."""
    stay: frozenset[int] = frozenset()
    for seq in seqs:
        stay = kept({*stay, seq})
    return stay


@pytest.mark.parametrize(
    ("age", "strides"),
    [(0, 1), (131_071, 1), (131_072, 2), (MILLION, 2), (1_048_576, 4), (2_097_151, 4), (2_097_152, 8), (1 << 25, 128)],
)
def test_the_older_the_further_apart(age: int, strides: int) -> None:
    assert width(age) == strides * STRIDE_ENTRIES


def test_the_newest_and_the_first_of_each_stride_stay() -> None:
    stay = kept(range(1_000, 400_000, 1_000))
    assert {399_000, 398_000, 397_000} <= stay and 396_000 not in stay
    near = [seq for seq in sorted(stay) if 270_336 <= seq < 397_000]
    far = [seq for seq in sorted(stay) if seq < 250_000]
    assert near[:3] == [271_000, 275_000, 279_000], "the first of every 4,096"
    assert far[:4] == [1_000, 9_000, 17_000, 25_000], "the first of every 8,192"


@pytest.mark.parametrize(("entries", "most"), [(MILLION, 141), (2 * MILLION, 208), (16 * MILLION, 403)])
def test_their_number_grows_with_the_logarithm_of_the_history(entries: int, most: int) -> None:
    assert len(lived(list(range(STRIDE_ENTRIES, entries, STRIDE_ENTRIES)))) <= most


@example([1, 2, 3, 4, 5, 71, 138, 231, 326, 464, 465, 466, 630, 933, 1316, 5385, 17673, 29961], 35)
@given(
    st.lists(st.integers(1, 3 * STRIDE_ENTRIES), min_size=1, max_size=120).map(
        lambda steps: [sum(steps[: number + 1]) for number in range(len(steps))]
    ),
    st.integers(1, 40),
)
def test_what_stays_is_the_same_however_often_was_looked_and_leaves_no_wide_gap(steps: list[int], times: int) -> None:
    seqs = [times * seq for seq in steps]
    stay = lived(seqs)
    assert stay == kept(seqs) and set(seqs[-NEWEST_KEPT:]) <= stay <= set(seqs)
    taken = max(later - earlier for earlier, later in pairwise((0, *seqs)))
    for earlier, later in pairwise((0, *sorted(stay))):
        assert later - earlier < 2 * width(seqs[-1] - earlier) + taken
