"""The side log: what was done while the journal could not write, in space that was taken before it was needed."""

from pathlib import Path

import pytest

from journal.sidelog import SECTOR, SECTORS, Emergency, SideLog, SideLogFull

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
    log.clear()
    assert log.records() == ()
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


def test_a_full_side_log_says_so_and_keeps_what_it_has(path: Path) -> None:
    log = SideLog(path)
    for number in range(SECTORS):
        log.append(Emergency("stop", "web", number))
    with pytest.raises(SideLogFull, match="no free sector"):
        log.append(STOP)
    assert [record.uid for record in log.records()] == list(range(SECTORS))
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
        assert log.records() == (Emergency("stop", "new"), Emergency("stop", "db"))
        log.close()


def test_a_record_of_another_shape_with_a_good_checksum_is_none(path: Path) -> None:
    import zlib

    log = SideLog(path)
    for body in (b"\x81\xa6action\x05", b"\x81\xa6action\xa2\xce\xff", b"\x91" * 300):
        framed = b"CSL1" + len(body).to_bytes(2, "big") + zlib.crc32(body).to_bytes(4, "big") + body
        with path.open("r+b") as file:
            file.write(framed.ljust(SECTOR, b"\0"))
        assert log.records() == ()
    log.close()
