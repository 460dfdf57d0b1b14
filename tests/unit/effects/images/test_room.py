"""Whether there is room for an image: what cannot fit is not fetched, and what did not is not fetched for nothing."""

import pytest

from effects.errors import NoSpace, RegistryUnreachable
from effects.images.room import SPARE_BYTES, VAIN_S, Room

MIB = 1 << 20
IMAGE = "sha256:1"


class Disk:
    """One on which so many bytes are free, and a clock."""

    def __init__(self, free_mib: int) -> None:
        self.free_mib = free_mib
        self.now_s = 0.0
        self.room = Room(lambda: self.free_mib * MIB, lambda: self.now_s)

    def fills(self, least_mib: int) -> None:
        """A fetch for which the disk was too small all the same."""
        with pytest.raises(NoSpace, match="full"), self.room.taken(IMAGE, least_mib * MIB):
            raise NoSpace("full")

    def refuses(self, least_mib: int, image: str = IMAGE) -> bool:
        try:
            with self.room.taken(image, least_mib * MIB):
                return False
        except NoSpace:
            return True


def test_what_fits_with_some_to_spare_is_fetched_and_nothing_else() -> None:
    assert SPARE_BYTES == 32 * MIB
    disk = Disk(100)
    assert not disk.refuses(68) and disk.refuses(69)
    words = r"at least 1 GiB have to be free for it, and 100 MiB are \(924 MiB too little\)"
    with pytest.raises(NoSpace, match=words), disk.room.taken(IMAGE, 992 * MIB):
        raise AssertionError("nothing of it comes")


def test_what_is_here_needs_no_room() -> None:
    assert not Disk(0).refuses(0)


def test_one_that_filled_the_disk_waits_for_more_room_than_there_was() -> None:
    disk = Disk(100)
    disk.fills(10)
    assert disk.refuses(10) and not disk.refuses(10, "sha256:2"), "of another nothing is known"
    disk.free_mib = 131
    assert disk.refuses(10)
    disk.free_mib = 132
    disk.fills(10)
    assert disk.refuses(10)
    disk.free_mib = 200
    assert not disk.refuses(10)
    disk.free_mib = 100
    assert not disk.refuses(10), "it came in meanwhile, and what was before is no sign any more"


def test_what_has_come_otherwise_counts_as_room() -> None:
    disk = Disk(100)
    disk.fills(60)
    assert disk.refuses(60) and disk.refuses(30)
    assert not disk.refuses(28), "as if so much more were free"


def test_once_an_hour_it_is_tried_all_the_same() -> None:
    disk = Disk(100)
    disk.fills(10)
    disk.now_s = VAIN_S - 1
    assert disk.refuses(10)
    disk.now_s = VAIN_S
    disk.fills(10)
    assert disk.refuses(10)


def test_what_else_goes_wrong_is_no_matter_of_room() -> None:
    disk = Disk(100)
    with pytest.raises(RegistryUnreachable), disk.room.taken(IMAGE, MIB):
        raise RegistryUnreachable("it went away")
    assert not disk.refuses(1)
