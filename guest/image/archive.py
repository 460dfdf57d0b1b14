"""A tree as the kernel wants it to fill its first root with. Source: cpio's `newc` format, as in the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst."""

from guest.image.tree import Entry, Tree

_MAGIC = b"070701"
END = ("TRAILER!!!", Entry(0))
"""What the last member is."""
_ALIGNED = 4
_BLOCK = 512


def packed(tree: Tree) -> bytes:
    """The archive, uncompressed: unpacking costs an emulated processor more than reading."""
    out = b"".join(member(number, path, entry) for number, (path, entry) in enumerate([*tree, END], 1))
    return out + bytes(-len(out) % _BLOCK)


def member(number: int, path: str, entry: Entry) -> bytes:
    """One of an archive's, all of it root's and of no time; `number` is its own in the archive."""
    name = path.encode() + b"\0"
    fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
    return _aligned(_MAGIC + b"".join(b"%08X" % field for field in fields) + name) + _aligned(entry.data)


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNED)
