"""The messages that carry an archive, made and read by hand: protobuf copies a large content twice on either side.

A message of one field of bytes is the field's tag, the length, and the bytes. Source: protobuf's encoding guide.
"""

CHUNK_INTO = 0x12
"""Field 2 of WorkloadCopyToRequest."""
CHUNK_OUT = 0x0A
"""Field 1 of WorkloadCopyFromChunk."""
LEFT_OUT, CHANGED = "capsule-copy-left-out", "capsule-copy-changed"
"""Counts in the trailing metadata of a copy out of a workload, where there is something to tell."""
_LENGTH_BYTES = 5


def framed(tag: int, content: bytes | memoryview) -> bytes:
    """The message."""
    head = bytearray((tag,))
    left = len(content)
    while left > 0x7F:
        head.append(left & 0x7F | 0x80)
        left >>= 7
    head.append(left)
    return b"".join((head, content))


def content_of(tag: int, message: bytes) -> memoryview | None:
    """The content of such a message; None for any other, which protobuf is to read."""
    if len(message) < 2 or message[0] != tag:
        return None
    length = 0
    for at in range(1, min(len(message), 1 + _LENGTH_BYTES)):
        length |= (message[at] & 0x7F) << (7 * (at - 1))
        if message[at] < 0x80:
            return memoryview(message)[at + 1 :] if len(message) == at + 1 + length else None
    return None
