"""The messages of copies, read and written by hand where they carry an archive (see copies/frames.py)."""

from capsule.v1 import workload_pb2 as pb
from copies.frames import CHUNK_INTO, CHUNK_OUT, content_of, framed

Chunk = memoryview
"""A piece of an archive."""


def copy_message(raw: bytes) -> pb.WorkloadCopyToRequest | Chunk:
    """What a client sends: a chunk as its bytes, anything else as a message. Raises DecodeError."""
    chunk = content_of(CHUNK_INTO, raw)
    return pb.WorkloadCopyToRequest.FromString(raw) if chunk is None else chunk


def copy_chunk(chunk: bytes) -> bytes:
    """What goes to the client: the message of a piece of an archive."""
    return framed(CHUNK_OUT, chunk)
