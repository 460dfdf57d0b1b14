"""What a fold begins with: the empty state, or where history was cut or something removed, a base that stands for it.

A release that cannot read what the base was folded from is frozen there, as it would be at the entry itself.
"""

from typing import NamedTuple

from journal.codec import UnknownBase, check_needs, decode
from journal.entry import UNREADABLE, MalformedEntry
from journal.errors import BeginningGone
from journal.events import JournalCheckpointed
from journal.reader import LAST, Reader
from journal.snapshot import Snapshot
from projections.encoding import decode_state, needs_of
from projections.state import Machine
from projections.update_intents import Level
from projections.views import VIEWS, state_hash

_DAMAGED = "the state that history begins with cannot be read: {}"


class Beginning(NamedTuple):
    """What a fold begins with: its first entry, the link that it follows, and the state before it. `unread`: why this
    release may not act on that state, which it tells as far as it knows it."""

    first: int
    link: bytes
    machine: Machine
    unread: str = ""


def beginning(reader: Reader, upto: int = LAST) -> Beginning:
    """That of a fold up to `upto`: the newest base up to there, or the empty state. Raises MalformedEntry, and
    BeginningGone where there is no such base and what is left does not begin with entry 1."""
    base = reader.base(upto)
    if base is None:
        if (later := reader.base_seqs()) and (begins := reader.first_seq()) > 1:
            raise BeginningGone(begins, later[0])
        return Beginning(1, reader.genesis, Machine())
    unread = ""
    try:
        check_needs(base.seq, _needs_of(base))
    except UnknownBase as unknown:
        unread = str(unknown)
    try:
        return Beginning(base.seq + 1, base.head, decode_state(base.content), unread)
    except UNREADABLE as error:
        raise MalformedEntry(_DAMAGED.format(error)) from error


def needed(reader: Reader, upto: int = LAST) -> Level:
    """What a release must read to know what the entries up to `upto` mean, and to act on a base that is made of them:
    the events that change the state, those included that an earlier base stands for. Raises MalformedEntry."""
    base = reader.base()
    needs = dict(() if base is None else _needs_of(base))
    for name, version in reader.needs(upto).items():
        needs[name] = max(version, needs.get(name, 0))
    return tuple(sorted(needs.items()))


def _needs_of(base: Snapshot) -> Level:
    try:
        return needs_of(base.content)
    except UNREADABLE as error:
        raise MalformedEntry(_DAMAGED.format(error)) from error


def check_base(reader: Reader, machine: Machine, first: int) -> None:
    """What the fold begins with is what the checkpoint says of it. Raises MalformedEntry."""
    if first == 1:
        return
    for stored in reader.newest_of_type("journal.checkpointed"):
        told = decode(stored)
        if isinstance(told, JournalCheckpointed) and told.upto == first - 1:
            if told.view not in VIEWS or state_hash(machine, told.view) == told.state_hash:
                return
            break
    raise MalformedEntry(f"the state after entry {first - 1}, which history begins with, is not the checkpoint's")
