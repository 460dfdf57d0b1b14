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


def test_what_others_were_promised_and_have_not_taken_yet_is_not_free() -> None:
    disk = Disk(1000)
    with disk.room.taken(IMAGE, 900 * MIB) as promise:
        assert disk.refuses(100, "sha256:2") and not disk.refuses(68, "sha256:2")
        with pytest.raises(NoSpace, match="beside 900 MiB for other images"), disk.room.promised(100 * MIB):
            raise AssertionError("nothing of it comes")
        promise.came(400 * MIB)
        disk.free_mib = 600
        assert disk.refuses(69, "sha256:2") and not disk.refuses(68, "sha256:2")
        disk.free_mib = 650
        promise.came(600 * MIB)  # more than the least
        assert not disk.refuses(618, "sha256:2")
    with pytest.raises(RegistryUnreachable), disk.room.taken(IMAGE, 500 * MIB):
        raise RegistryUnreachable("it went away")
    assert not disk.refuses(618, "sha256:2"), "who has gone needs nothing"


def test_one_that_is_refused_beside_others_has_not_been_tried_in_vain() -> None:
    disk = Disk(100)
    with disk.room.promised(60 * MIB):
        assert disk.refuses(10)
    assert not disk.refuses(68)


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
