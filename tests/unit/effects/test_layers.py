"""The private layer of a microVM: what it costs, and that it is what was left when it is used again."""

import asyncio
import os
from pathlib import Path

import pytest

from capsuled.processes import outcome
from effects import held
from effects.errors import LayerDamaged, NoSpace, StartFailed
from effects.payloads.layer import SIZE_BYTES, ensure_layer
from tests.contract.volume_subjects import debugfs, small_disk

Calls = list[tuple[str, ...]]


def _ensured(path: Path) -> Calls:
    calls: Calls = []

    async def command(*argv: str) -> tuple[int, str]:
        calls.append(argv)
        return await outcome(*argv)

    asyncio.run(ensure_layer(command, path))
    return calls


def test_it_costs_less_than_a_mebibyte_and_keeps_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "web" / "7" / "layer.7.raw"
    (made,) = _ensured(path)
    assert made[0] == "mkfs.ext4" and path.stat().st_size == SIZE_BYTES and path.stat().st_blocks * 512 < 1 << 20
    assert os.listdir(path.parent) == [path.name]
    debugfs(str(path), "mkdir upper", "set_super_value state 0")
    ((checked, *_),) = _ensured(path)
    assert checked == "e2fsck" and "upper" in debugfs(str(path), "ls")
    assert "Filesystem state:         clean\n" in debugfs(str(path), "show_super_stats -h")


def test_one_that_a_virtual_machine_has_open_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "layer.7.raw"
    _ensured(path)
    fd = held.opened(path, shared=False)
    try:
        assert _ensured(path) == []
    finally:
        os.close(fd)


def test_what_cannot_be_mended_or_made_is_told_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    path = tmp_path / "layer.7.raw"
    _ensured(path)
    with path.open("r+b") as file:
        file.seek(1024)
        file.write(b"\xff" * 4096)
    with pytest.raises(LayerDamaged, match="remove it"):
        _ensured(path)

    async def broken(*argv: str) -> tuple[int, str]:
        return 1, "it has a fault"

    with pytest.raises(StartFailed, match="it has a fault"):
        asyncio.run(ensure_layer(broken, tmp_path / "other.raw"))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.real
def test_a_full_disk_is_told() -> None:
    with small_disk("mkfs.xfs", "-q", size_mib=300) as disk:
        stat = os.statvfs(disk)
        with (disk / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, (stat.f_bavail - 8) * stat.f_frsize)
        with pytest.raises(NoSpace):
            _ensured(disk / "layer.raw")
        assert os.listdir(disk) == ["filler"]
