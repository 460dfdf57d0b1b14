"""A state as bytes, as snapshots, bases and child processes have it. Pure."""

import msgspec

from projections.state import Machine

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Machine)


def encode_state(machine: Machine) -> bytes:
    """The bytes."""
    return _encoder.encode(machine)


def decode_state(content: bytes) -> Machine:
    """The state in them. Raises journal.entry.UNREADABLE."""
    return _decoder.decode(content)
