"""A state as bytes, as snapshots, bases and child processes have it. Pure."""

from collections.abc import Iterable

import msgspec

from projections.state import Machine
from projections.update_intents import Level


class _Needs(msgspec.Struct):
    needs: Level = ()


class _Base(Machine):
    needs: Level = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Machine)
_needs_decoder = msgspec.msgpack.Decoder(_Needs)


def encode_state(machine: Machine) -> bytes:
    """The bytes."""
    return _encoder.encode(machine)


def decode_state(content: bytes) -> Machine:
    """The state in them. Raises journal.entry.UNREADABLE."""
    return _decoder.decode(content)


def encode_base(machine: Machine, needs: Iterable[tuple[str, int]]) -> bytes:
    """A state that a fold begins with, as bytes: with the events, by type and version, that it takes to know what it
    means. The entries that would tell are gone, or are not looked at any more."""
    state = {name: getattr(machine, name) for name in Machine.__struct_fields__}
    return _encoder.encode(_Base(**state, needs=tuple(sorted(needs))))


def needs_of(content: bytes) -> Level:
    """Those events. The state itself may be of a form that is not known here. Raises journal.entry.UNREADABLE."""
    return _needs_decoder.decode(content).needs
