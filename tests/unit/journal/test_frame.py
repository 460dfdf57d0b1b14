"""A group in the front log: whole as it was written, or not there; whatever becomes of any of its bytes."""

import random

import pytest

from journal.entry import unpack
from journal.frame import BLOCK_BYTES, Frame, find, pack
from journal.space import room_for
from tests.support.entries import Ledger, excised, ledger, value_of

MARK, OTHER = b"m" * 16, b"o" * 16


def frame(made: Ledger, first: int = 1, last: int | None = None) -> Frame:
    """Entries of the chain as one group."""
    entries = made.entries[first - 1 : last]
    values = [value_of(stored) for stored in entries]
    return Frame(first, values, entries[-1].hash, room_for(values))


def found(content: bytes, after: int = 0) -> list[tuple[int, Frame | None]]:
    groups = sorted(find(content, MARK, after), key=lambda one: one.first)
    assert all(one.frame is None or (one.frame.first, one.frame.last) == (one.first, one.last) for one in groups)
    return [(one.first, one.frame) for one in groups if one.last > after]


@pytest.mark.parametrize("count", [1, 2, 7, 300])
def test_a_group_is_found_as_it_was_written(count: int) -> None:
    group = frame(ledger(count))
    content = pack(MARK, 7, group)
    assert len(content) % BLOCK_BYTES == 0 and group.last == count
    assert found(content) == [(1, group)]
    assert [one.generation for one in find(content, MARK, 0)] == [7]
    assert found(bytes(3 * BLOCK_BYTES) + content + bytes(BLOCK_BYTES)) == [(1, group)]


def test_groups_are_told_apart_by_what_they_hold_and_not_by_where_they_stand() -> None:
    made = ledger(30)
    groups = [frame(made, 1, 10), frame(made, 11, 25), frame(made, 26, 30)]
    content = b"".join(pack(MARK, 7, groups[number]) for number in (2, 0, 1))
    assert found(content) == [(1, groups[0]), (11, groups[1]), (26, groups[2])]
    assert found(content, after=10) == [(11, groups[1]), (26, groups[2])]
    assert found(content, after=12) == [(11, groups[1]), (26, groups[2])], "it goes beyond"
    assert found(content, after=30) == []


def test_no_altered_byte_makes_another_group_of_it() -> None:
    group = frame(ledger(3))
    whole = pack(MARK, 7, group)
    used = len(whole.rstrip(b"\0"))
    for at in range(len(whole)):
        altered = whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
        expected = [[], [(1, None)]] if at < used else [[(1, group)]]
        assert found(altered) in expected, at


def test_no_sector_may_be_missing_or_of_another_time() -> None:
    made = ledger(120)
    older, whole = pack(MARK, 7, frame(made, 1, 60)), pack(MARK, 7, frame(made, 61, 120))
    used = len(whole.rstrip(b"\0"))
    assert used > 2 * BLOCK_BYTES and len(older) >= used
    for start in range(0, used, 512):
        for other in (bytes(512), older[start : start + 512]):
            torn = whole[:start] + other + whole[start + 512 :]
            assert found(torn, after=60) in ([], [(61, None)]), start


def test_of_a_torn_group_it_is_known_that_it_was_begun() -> None:
    content = pack(MARK, 7, frame(ledger(60)))
    assert found(content[:512] + bytes(len(content) - 512)) == [(1, None)]
    assert found(content[:BLOCK_BYTES]) == [(1, None)], "the log ends before it does"


def test_garbage_holds_no_group() -> None:
    noise = random.Random(5)
    for _ in range(200):
        content = bytearray(noise.randbytes(2 * BLOCK_BYTES))
        content[BLOCK_BYTES : BLOCK_BYTES + 16] = MARK
        assert found(bytes(content)) == []


def test_what_an_entry_says_cannot_pass_for_a_group() -> None:
    """An operator chooses what stands in a body, also a group as it would look; but not where it begins, nor its mark."""
    forged = pack(OTHER, 7, frame(ledger(5)))
    made = Ledger()
    made.forge("weather.noticed", b"\0" * 1_000 + forged + MARK + forged, "may")
    for shift in range(0, BLOCK_BYTES, 256):
        made.forge("weather.noticed", b"\0" * shift + forged, "may")
    group = frame(made)
    assert found(pack(MARK, 7, group)) == [(1, group)]


def test_the_chain_is_the_checksum() -> None:
    made = ledger(4)
    whole = frame(made)
    other = ledger(4)
    other.entries[2] = other.forge("weather.noticed", b"\x80", "may")
    swapped = whole._replace(values=[whole.values[0], whole.values[2], whole.values[1], whole.values[3]])
    for wrong in (
        swapped,
        whole._replace(first=2),
        whole._replace(head=bytes(32)),
        whole._replace(values=whole.values[:3]),
        whole._replace(values=[*whole.values[:3], value_of(excised(unpack(whole.values[3])))]),
        whole._replace(values=[*whole.values[:2], value_of(other.entries[2]), whole.values[3]]),
    ):
        assert found(pack(MARK, 7, wrong)) == [(wrong.first, None)]
