"""What a volume's ext4 says of itself, read from the disk beside whoever has it mounted. Blocking: for a thread.

Source: the kernel's Documentation/filesystems/ext4/super.rst. The superblock is 1,024 bytes, as far in.
"""

from pathlib import Path

_SUPERBLOCK = 1_024
_MAGIC, _HAS_ERRORS = 0xEF53, 2


def filesystem_bytes(disk: Path) -> int:
    """How large the file system says it is: the disk may be larger when a grow was cut short. Raises OSError."""
    block = _read(disk)
    return ((_number(block, 0x150, 4) << 32) + _number(block, 0x4, 4)) * _block_bytes(block)


def block_bytes(disk: Path) -> int:
    """How large the file system's blocks are. Raises OSError."""
    return _block_bytes(_read(disk))


def remembers_an_error(disk: Path) -> bool:
    """Whether the file system says that it met an error since it was checked: whoever has it mounted, a guest say, has
    written that there, and writes nothing else since. What cannot be read says nothing."""
    try:
        block = _read(disk)
    except OSError:
        return False
    return _number(block, 0x38, 2) == _MAGIC and bool(_number(block, 0x3A, 2) & _HAS_ERRORS)


def _read(disk: Path) -> bytes:
    with disk.open("rb") as file:
        file.seek(_SUPERBLOCK)
        return file.read(_SUPERBLOCK)


def _number(block: bytes, at: int, size: int) -> int:
    return int.from_bytes(block[at : at + size], "little")


def _block_bytes(block: bytes) -> int:
    return 1 << (10 + _number(block, 0x18, 4))
