"""A tree as the kernel wants it to fill its first root with. Source: cpio's `newc` format, as in the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst."""

from guest.image.tree import Entry, Tree

_MAGIC = "070701"
_END = ("TRAILER!!!", Entry(0))
_ALIGNED = 4
_BLOCK = 512


def packed(tree: Tree) -> bytes:
    """The archive, uncompressed: unpacking costs an emulated processor more than reading."""
    out = bytearray()
    for number, (path, entry) in enumerate([*tree, _END], 1):
        name = path.encode() + b"\0"
        fields = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
        out += _MAGIC.encode() + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % _ALIGNED) + entry.data
        out += bytes(-len(out) % _ALIGNED)
    return bytes(out + bytes(-len(out) % _BLOCK))
