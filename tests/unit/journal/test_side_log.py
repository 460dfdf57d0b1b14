"""The side log: what was done while the journal could not write, in space that was taken before it was needed."""

import zlib
from pathlib import Path

import pytest

from journal.sidelog import MOST, SECTOR, SECTORS, Emergency, SideLog, SideLogFull

STOP = Emergency("stop", "web", 7, 1_700_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "side.log"


def test_records_are_read_in_their_order_by_the_next_life(path: Path) -> None:
    log = SideLog(path)
    log.append(STOP)
    log.append(Emergency("confirm"))
    log.close()
    log = SideLog(path)
    assert log.records() == (STOP, Emergency("confirm"))
    log.forget(log.records())
    assert log.records() == () and log.count() == 0
    log.append(STOP)
    assert log.records() == (STOP,)
    log.close()


def test_its_blocks_were_written_before_they_are_needed(path: Path) -> None:
    log = SideLog(path)
    before = path.stat()
    assert before.st_size == SECTOR * SECTORS and before.st_blocks * 512 >= SECTOR * SECTORS
    log.append(STOP)
    assert path.stat().st_size == before.st_size and path.stat().st_mode & 0o777 == 0o600
    log.close()


def test_where_the_disk_has_more_it_grows_and_is_read_whole_by_the_next_life(path: Path) -> None:
    log = SideLog(path)
    for number in range(SECTORS + 1):
        log.append(Emergency("stop", "web", number))
    log.close()
    assert path.stat().st_blocks * 512 >= SECTOR * SECTORS * 2
    log = SideLog(path)
    assert [record.uid for record in log.records()] == list(range(SECTORS + 1))
    log.close()


def test_it_grows_no_further_than_it_may(path: Path) -> None:
    log = SideLog(path)
    log.make_room(MOST)
    with pytest.raises(SideLogFull):
        log.make_room(MOST + 1)
    assert path.stat().st_size == SECTOR * MOST
    log.close()


def test_a_full_side_log_says_who_empties_it_and_keeps_what_it_has(path: Path) -> None:
    log = SideLog(path, most=SECTORS)
    for number in range(SECTORS):
        log.append(Emergency("stop", "web", number))
    with pytest.raises(SideLogFull, match=r"has 128 of the 128 records.*the next system that can write"):
        log.append(STOP)
    assert [record.uid for record in log.records()] == list(range(SECTORS))
    assert path.stat().st_size == SECTOR * SECTORS
    log.close()


def test_a_record_that_fits_no_sector_is_refused(path: Path) -> None:
    log = SideLog(path)
    with pytest.raises(SideLogFull, match="longer than a sector"):
        log.append(Emergency("stop", "x" * SECTOR))
    assert log.records() == ()
    log.close()


def test_a_torn_record_is_skipped_and_its_sector_used_again(path: Path) -> None:
    log = SideLog(path)
    log.append(STOP)
    log.append(Emergency("stop", "db"))
    log.close()
    whole = path.read_bytes()
    for at in (0, 4, 6, 10, 14):
        torn = bytearray(whole)
        torn[at] ^= 0xFF
        path.write_bytes(bytes(torn))
        log = SideLog(path)
        assert log.records() == (Emergency("stop", "db"),), f"torn at {at}"
        log.append(Emergency("stop", "new"))
        assert log.records() == (Emergency("stop", "db"), Emergency("stop", "new")), "oldest first"
        assert b"new" in path.read_bytes()[:SECTOR]
        log.close()


@pytest.mark.parametrize("body", [b"\x81\xa6action\x05", b"\x81\xa6action\xa2\xce\xff", b"\x91" * 300])
def test_a_record_of_another_release_is_none_here_and_stays_for_that_one(path: Path, body: bytes) -> None:
    log = SideLog(path)
    framed = b"CSL1" + len(body).to_bytes(2, "big") + zlib.crc32(body).to_bytes(4, "big") + body
    with path.open("r+b") as file:
        file.write(framed.ljust(SECTOR, b"\0"))
    assert log.records() == () and log.count() == 1
    log.append(STOP)
    assert log.records() == (STOP,) and path.read_bytes().startswith(framed)
    log.forget((STOP,))
    assert log.count() == 1 and path.read_bytes().startswith(framed)
    log.close()
