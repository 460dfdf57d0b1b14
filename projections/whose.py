"""Whose an entry is: a workload and a volume may have one name, and each has a history of its own. Pure."""

from journal.entry import Header
from journal.events import EffectAbandoned, EffectDone, EffectFailed, EffectStarted, Event, WorkloadApplied
from projections.chain import Past

_KINDS = {"workload": "workload", "volume": "volume", "snapshot": "volume"}
"""The kind of object that entries of a type speak of, by the type's first word."""
_EFFECTS = (EffectStarted, EffectDone, EffectFailed, EffectAbandoned)


def own(past: Past, name: str, kind: str = "", uid: int = 0) -> Past:
    """What is told of the object itself, without entries that speak of another, by whom it may have been set going.
    Calls and what befell the machine stay. Without a kind it may be of any, without a uid any that ever had the name.
    """
    return {seq: told for seq, told in past.items() if _is_own(*told, name, kind, uid)}


def _is_own(header: Header, event: Event, name: str, kind: str, uid: int) -> bool:
    of = kind_of_entry(header.type)
    if not of and not isinstance(event, _EFFECTS):
        return True
    if kind and of and of != kind:
        return False
    # Whose an effect is its uid tells: no two kinds have one. What declares an object has none, and follows its making.
    its = getattr(event, "uid", 0)
    return name in _names(event) and (not uid or (its == uid if its else header.seq >= uid))


def _names(event: Event) -> tuple[str, ...]:
    if isinstance(event, WorkloadApplied):
        return tuple(item.name for item in event.items)
    return (getattr(event, "name", ""),)


def kind_of_entry(tag: str) -> str:
    """The kind of object that entries of this type speak of; empty where they tell it otherwise, or speak of none."""
    return _KINDS.get(tag.partition(".")[0], "")
