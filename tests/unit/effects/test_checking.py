"""What the end of e2fsck says of a volume's file system; one that a signal ended says nothing."""

import asyncio

import pytest

from effects.command import how_it_ended
from effects.errors import VolumeDamaged, VolumeFailed
from effects.volumes.ext4 import check, check_staged, damage

DISK = "/dev/capsule/vol-data.7"


class Fsck:
    """It ends so."""

    def __init__(self, code: int, said: str = "") -> None:
        self.code, self.said = code, said

    async def __call__(self, *argv: str) -> tuple[int, str]:
        return self.code, self.said


@pytest.mark.parametrize("code", [0, 1])
def test_a_file_system_that_is_clean_or_made_so_can_be_used(code: int) -> None:
    assert asyncio.run(damage(Fsck(code, "recovering journal"), DISK)) == ""


@pytest.mark.parametrize("code", [2, 4, 8])
def test_what_is_left_is_damage(code: int) -> None:
    with pytest.raises(VolumeDamaged, match=f"exit {code}"):
        asyncio.run(check(Fsck(code), "data", DISK))


@pytest.mark.parametrize("said", ["", "recovering journal"])
def test_a_check_that_was_killed_is_neither_sound_nor_damage(said: str) -> None:
    for checked in (check(Fsck(-9, said), "data", DISK), check_staged(Fsck(-9, said), DISK)):
        with pytest.raises(VolumeFailed, match="killed by SIGKILL before"):
            asyncio.run(checked)


@pytest.mark.parametrize(("then", "damaged"), [(1, ""), (4, "the rest")])
def test_one_that_has_no_room_for_lost_and_found_is_checked_without(then: int, damaged: str) -> None:
    asked: list[tuple[str, ...]] = []

    async def fsck(*argv: str) -> tuple[int, str]:
        asked.append(argv)
        return (4, "Cannot allocate space for /lost+found.\n") if len(asked) == 1 else (then, "the rest")

    assert asyncio.run(damage(fsck, DISK, "-f")) == damaged
    assert asked == [("e2fsck", "-f", "-p", DISK), ("e2fsck", "-f", "-y", DISK)]


def test_an_end_is_told_in_words() -> None:
    assert [how_it_ended(code) for code in (0, 3, -15, -40)] == [
        "exit 0",
        "exit 3",
        "killed by SIGTERM",
        "killed by signal 40",
    ]
