"""A disk that is larger than what is on it: what of it is taken, and that nothing else is touched."""

import os
import subprocess
from pathlib import Path

import pytest

from capsuled.boot.group import pool_bytes, sizes
from capsuled.boot.growth import LEAST_BYTES, Volume, metadata_bytes, parsed, wanted
from capsuled.boot.partitions import NAMES, Partition, Table, script
from capsuled.boot.partitions import parsed as parsed_table
from image import disk

MIB, GIB = 1 << 20, 1 << 30


def as_made(group_bytes: int) -> dict[str, Volume]:
    share = sizes(group_bytes)
    rest = pool_bytes(group_bytes, (share.perm + share.journal) * MIB)
    return {
        "perm": Volume(share.perm * MIB),
        "journal": Volume(share.journal * MIB),
        "pool": Volume(rest, 64 << 10, 8 * MIB),
    }


@pytest.mark.parametrize("group_gib", [3, 10, 64, 4000])
def test_a_group_of_the_size_that_it_was_made_for_has_nothing_to_grow(group_gib: int) -> None:
    assert wanted(group_gib * GIB, as_made(group_gib * GIB)) == {}


def test_in_a_larger_group_all_is_as_if_it_had_been_made_so() -> None:
    new = wanted(64 * GIB, as_made(8 * GIB))
    assert new == {name: volume.size_bytes for name, volume in as_made(64 * GIB).items()}


def test_whatever_size_a_disk_grows_to_lvm_takes_the_sizes_that_it_is_told() -> None:
    for extents in range(4 * 256, 64 * 256):  # of 4 MiB: groups of 4 to 64 GiB
        new = wanted(extents * 4 * MIB, as_made(3 * GIB))
        assert new and all(size % MIB == 0 for size in new.values()), f"{extents} extents: {new}"


def test_nothing_shrinks_and_what_somebody_made_larger_stays_so() -> None:
    there = as_made(8 * GIB) | {"perm": Volume(7 * GIB)}
    new = wanted(16 * GIB, there)
    assert "perm" not in new and new["pool"] == pool_bytes(16 * GIB, 7 * GIB + sizes(16 * GIB).journal * MIB)
    assert wanted(4 * GIB, as_made(8 * GIB)) == {}
    assert wanted(8 * GIB + LEAST_BYTES // 2, as_made(8 * GIB)) == {}


def test_the_pools_metadata_has_room_for_all_of_its_chunks() -> None:
    pool = Volume(7 * GIB, 64 << 10, 8 * MIB)
    assert metadata_bytes(pool, 7 * GIB) == 8 * MIB
    assert metadata_bytes(pool, 1 << 40) == GIB
    assert metadata_bytes(pool, 1 << 45) == 15 * GIB


def test_sizes_are_read_from_lvms_report() -> None:
    said = "  journal|343932928|0|\n  pool|7491026944|65536|8388608\n  WARNING: something else\n"
    assert parsed(said) == {"journal": Volume(343932928), "pool": Volume(7491026944, 65536, 8388608)}


def on_disk(file: Path) -> Table:
    return parsed_table(subprocess.run(["sfdisk", "--json", file], check=True, capture_output=True).stdout)


def test_a_table_is_written_up_to_the_end_of_a_larger_disk_with_ids_of_its_own(tmp_path: Path) -> None:
    made, file = disk.Table(16), tmp_path / "disk.raw"
    disk.write(file, made, made.least_mib, "build", {})
    os.truncate(file, (made.least_mib + 4096) * MIB)
    before = on_disk(file)
    assert before.is_a_capsules and before.leaves(file.stat().st_size) >= 4095 * MIB
    subprocess.run(["sfdisk", "--quiet", file], input=script(before).encode(), check=True)
    after = on_disk(file)
    assert after.leaves(file.stat().st_size) == 0
    kept = [(one.name, one.type, one.start) for one in before.partitions]
    assert [(one.name, one.type, one.start) for one in after.partitions] == kept
    assert [one.size for one in after.partitions[:-1]] == [one.size for one in before.partitions[:-1]]
    assert after.partitions[-1].size > before.partitions[-1].size
    ids = {one.uuid for one in (*before.partitions, *after.partitions)} | {before.id, after.id}
    assert len(ids) == 2 * len(NAMES) + 2


def test_a_table_that_no_image_made_is_none_of_a_capsules() -> None:
    six = tuple(Partition(2048 * number, 2048, "x", name) for number, name in enumerate(NAMES, 1))
    assert Table(six).is_a_capsules
    assert not Table(six[:-1]).is_a_capsules and not Table(six[::-1]).is_a_capsules and not Table().is_a_capsules
    assert Table(six).least_bytes == 6 * MIB + MIB + 2 * GIB
    with pytest.raises(ValueError, match="cannot be read"):
        parsed_table(b"not JSON")
