"""Places in the front log: round and round, and never over what is still needed."""

from hypothesis import given
from hypothesis import strategies as st

from journal.ring import Ring


def test_it_goes_round() -> None:
    ring = Ring(10)
    places = []
    for last, size in ((1, 4), (2, 4), (3, 3), (4, 3)):
        ring.release(last - 2)
        place = ring.place(size)
        assert place is not None
        ring.keep(place, size, last)
        places.append(place)
    assert places == [0, 4, 0, 3], "what does not fit before the end begins at the beginning"
    assert ring.used == 6


def test_what_is_needed_is_not_written_over() -> None:
    ring = Ring(10)
    ring.keep(0, 4, 1)
    ring.keep(4, 6, 2)
    assert ring.place(1) is None
    ring.release(1)
    assert (ring.place(4), ring.place(5)) == (0, None)
    ring.keep(0, 4, 3)
    assert ring.place(1) is None
    ring.release(2)
    assert (ring.place(6), ring.place(7)) == (4, None)
    ring.release(3)
    assert (ring.place(6), ring.place(10)) == (4, 0), "an empty one has room wherever it stands"


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), max_size=80))
def test_whatever_comes_and_goes_nothing_overlaps_and_room_that_is_there_is_found(steps: list[tuple[int, int]]) -> None:
    ring, kept = Ring(20), list[tuple[int, int, int]]()
    for last, (size, gone) in enumerate(steps, 1):
        for _ in range(min(gone, len(kept))):
            ring.release(kept.pop(0)[2])
        place = ring.place(size)
        if place is None:
            assert kept, "an empty ring takes whatever is not larger than itself"
            newest, oldest = kept[-1][1], kept[0][0]
            room = max(20 - newest, oldest) if newest > oldest else oldest - newest
            assert size > room
            continue
        assert place >= 0 and place + size <= 20
        assert all(place + size <= start or end <= place for start, end, _ in kept)
        ring.keep(place, size, last)
        kept.append((place, place + size, last))
        assert ring.used == sum(end - start for start, end, _ in kept)
