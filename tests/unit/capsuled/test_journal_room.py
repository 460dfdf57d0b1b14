"""The mark at which whoever looks at the machine is told that the journal's disk fills."""

import pytest

from capsuled.journal_room import MARK_PERCENT, nearly_full
from journal.space import Room

MIB = 1 << 20


@pytest.mark.parametrize("size", [100, 200 * MIB, 100 << 30])
def test_below_the_mark_nothing_is_said(size: int) -> None:
    left = size - size * MARK_PERCENT // 100
    assert nearly_full(Room(size, size)) == nearly_full(Room(size, left + 1)) == ""
    assert "80 %" in nearly_full(Room(size, left))


def test_from_the_mark_on_it_is_said_how_much_is_left_and_what_makes_room() -> None:
    said = nearly_full(Room(200 * MIB, 20 * MIB))
    assert "has taken 90 % of what its disk has for it, 20 MiB are left" in said
    assert "`capsulectl journal truncate --before 90d --export FILE`" in said


def test_no_room_at_all_is_all_of_it() -> None:
    assert "100 %" in nearly_full(Room(0, 0)) and "100 %" in nearly_full(Room(MIB, 0))
