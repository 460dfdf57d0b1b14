"""Why an object is as it is: what the journal tells of it, read for the pure core to explain (projections/why.py)."""

from collections.abc import Iterable, Iterator
from itertools import islice, pairwise, takewhile

from msgspec.structs import replace

from capsule.v1 import history_pb2 as pb
from capsuled.utc import utc_text
from journal.codec import BadBody, UnknownMust, decode, plain
from journal.entry import Stored
from journal.events import (
    CallRefused,
    DaemonStarted,
    Event,
    JournalRestored,
    MachineHalted,
    VolumeDeleteRequested,
    type_of,
)
from journal.reader import Reader
from projections.chain import Past, is_wish, wished
from projections.refusals import Refusal, invalid, missing, no_workload
from projections.state import Machine, Workload
from projections.volumes import taken_away
from projections.whose import kind_of_entry, own
from projections.why import Why, why_gone, why_never, why_volume, why_workload

LOOKED_AT = 20_000
"""Entries of one object that are looked at, the newest first: a workload may be entered a million times."""
KEPT = 2_000
"""Of those, so many that may belong to a chain."""
KEPT_REFUSED = 10
"""Of calls that were not admitted, so many: who asks for the same again and again must not push out what came of it."""
KEPT_ENDS = 50
"""Of what ended the whole machine, so many of each kind."""
LIVES = 1_000
"""Starts of the daemon that are looked at for those in another boot."""
DEEP = 4
"""So far down is explained what an object waits for, and what that waits for."""

_TOLD = ("workload.", "volume.", "snapshot.", "effect.", "call.accepted", "daemon.", "machine.", "network.")
_REFUSED = type_of(CallRefused)
_TAKEN = type_of(VolumeDeleteRequested)


def explained(reader: Reader, machine: Machine, asked: str) -> pb.WhyResponse | None:
    """The explanation of a workload or a volume, also of one that is gone; None when nothing is known of it."""
    kind, _, name = asked.rpartition("/")
    if kind in ("", "workload") and name in machine.workloads:
        return _explained(reader, machine, "workload", name, frozenset())
    if kind in ("", "volume") and name in machine.volumes:
        return _explained(reader, machine, "volume", name, frozenset())
    past = past_of(reader, machine.seq, name, kind=kind) if kind in ("", "workload", "volume") else {}
    gone = why_gone(name, past, kind)
    return None if gone is None else _message(gone, _begins(reader, own(past, name, gone.kind)))


def nothing_known(reader: Reader, machine: Machine, asked: str) -> Refusal:
    """Nobody of that name is there, and nobody was since history begins. Somebody may have asked for it in vain."""
    refusal, first = _nothing_known(machine, asked), reader.first_seq()
    message = refusal.message + _asked_in_vain(reader, machine, asked)
    return replace(refusal, message=message if first <= 1 else f"{message}. History begins at entry {first}")


def _asked_in_vain(reader: Reader, machine: Machine, asked: str) -> str:
    kind, _, name = asked.rpartition("/")
    if not name or kind not in ("", "workload", "volume"):
        return ""
    never = why_never(name, past_of(reader, machine.seq, name, kind=kind), kind)
    if never is None:
        return ""
    link, advice = never
    return f". Entry {link.seq}, {utc_text(link.at)}, by {link.who}: {link.text}. Try: {advice}"


def _nothing_known(machine: Machine, asked: str) -> Refusal:
    kind, _, name = asked.rpartition("/")
    if not name:
        return invalid("NO_NAME", f"{asked!r} names nothing: say NAME, workload/NAME or volume/NAME", "name")
    if kind == "volume":
        return missing(
            "VOLUME_NOT_FOUND", f"nothing is remembered of a volume {name}: `capsulectl volume list`", "name"
        )
    if kind not in ("", "workload"):
        return missing("NO_SUCH_KIND", f"{kind!r} has no history of its own: say workload/NAME or volume/NAME", "name")
    return no_workload(name, machine.workloads)


def _explained(reader: Reader, machine: Machine, kind: str, name: str, above: frozenset[str]) -> pb.WhyResponse:
    """One object, then what it waits for; `above` are those on whose behalf it is explained."""
    one = machine.workloads[name] if kind == "workload" else machine.volumes[name]
    takings = _takings(reader, machine, one) if isinstance(one, Workload) else ()
    past = past_of(reader, machine.seq, name, one.uid, (one.uid, one.desired_seq, *takings), kind)
    why = why_workload(machine, one, past) if isinstance(one, Workload) else why_volume(one, past)
    begins = _begins(reader, own(past, name, kind, one.uid))
    message, here = _message(why, begins), above | {f"{kind}/{name}"}
    for other_kind, other in why.others:
        if f"{other_kind}/{other}" not in here and len(here) < DEEP:
            message.others.append(_explained(reader, machine, other_kind, other, here))
    return message


def _takings(reader: Reader, machine: Machine, workload: Workload) -> Iterator[int]:
    """The entries by which volumes were taken from it: they name the volume alone."""
    for mount in taken_away(machine, workload):
        told = _since(mount.volume_uid, islice(reader.newest_of_object(mount.volume_name, machine.seq), LOOKED_AT))
        of_it = (one.header.seq for one in told if one.header.type == _TAKEN and plain(one)["uid"] == mount.volume_uid)
        yield from islice(of_it, 1)


def past_of(reader: Reader, upto: int, name: str, uid: int = 0, wanted: Iterable[int] = (), kind: str = "") -> Past:
    """What is told of an incarnation, with the causes and calls that stand outside of it. `kind`: of this kind alone,
    for others may have its name, and much to tell."""
    found = {one.header.seq: one for one in _newest(reader, upto, name, uid, kind)}
    found |= {one.header.seq: one for one in _machine_ends(reader, upto, uid)}
    for seq in wanted:
        _add(reader, found, seq)
    for one in tuple(found.values()):
        _add(reader, found, one.header.cause)
        _add(reader, found, one.header.call)
    past: Past = {}
    for seq in sorted(found):
        event = _decoded(found[seq])
        if event is not None:
            past[seq] = (found[seq].header, event)
    return past


def _machine_ends(reader: Reader, upto: int, uid: int) -> Iterator[Stored]:
    """What ended the machine, and all that ran on it, in the object's time: such an entry names no object."""
    for event in (MachineHalted, JournalRestored):
        yield from _since(uid, islice(reader.newest_of_type(type_of(event), upto), KEPT_ENDS))
    yield from islice(
        _since(uid, _boots(islice(reader.newest_of_type(type_of(DaemonStarted), upto), LIVES))), KEPT_ENDS
    )


def _boots(lives: Iterable[Stored]) -> Iterator[Stored]:
    """Of the daemon's lives, the newest first, those that were the first of a boot."""
    return (later for later, earlier in pairwise(lives) if later.header.boot != earlier.header.boot)


def _since(seq: int, entries: Iterable[Stored]) -> Iterator[Stored]:
    return takewhile(lambda one: one.header.seq > seq, entries)


def _decoded(entry: Stored) -> Event | None:
    """None for a newer release's: it is not explained, and all else is."""
    try:
        return decode(entry)
    except (UnknownMust, BadBody):
        return None


def _newest(reader: Reader, upto: int, name: str, uid: int, kind: str) -> Iterator[Stored]:
    kept = turned_down = 0
    for one in islice(reader.newest_of_object(name, upto), LOOKED_AT):
        if one.header.seq < uid or kept == KEPT:
            return
        if one.header.type.startswith(_TOLD) and not _is_others(one, kind, uid):
            kept += 1
            yield one
        elif one.header.type == _REFUSED and turned_down < KEPT_REFUSED and is_wish(_decoded(one)):
            turned_down += 1
            yield one


def _is_others(stored: Stored, kind: str, uid: int) -> bool:
    """Whether it is another kind's, by its type; an effect's entry by the uid."""
    if uid and stored.header.type.startswith("effect."):
        return bool(plain(stored).get("uid", uid) != uid)
    of = kind_of_entry(stored.header.type)
    return bool(kind and of and of != kind)


def _add(reader: Reader, found: dict[int, Stored], seq: int) -> None:
    if seq and seq not in found and (one := reader.get(seq)) is not None:
        found[seq] = one


def _begins(reader: Reader, mine: Past) -> int:
    """Where history begins, if what was wanted of the object last was cut off; else 0."""
    first = reader.first_seq()
    return first if first > 1 and not wished(mine) else 0


def _message(why: Why, begins_seq: int) -> pb.WhyResponse:
    return pb.WhyResponse(
        name=why.name,
        kind=why.kind,
        detail=why.detail,
        conclusion=why.conclusion,
        chain=[
            pb.WhyLink(seq=one.seq, at_unix_ns=one.at, who=one.who, text=" ".join(one.text.split()), alike=one.alike)
            for one in why.chain
        ],
        advice=why.advice,
        retry_unix_ns=why.retry_at,
        begins_seq=begins_seq,
    )
