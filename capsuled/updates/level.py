"""Reader levels as pairs of a name and a number: `must` events by their types, with a prefix what else lies on /perm.

A system reads what stands in a journal if it has, for each name, at least that number (design section 4).
"""

from collections.abc import Iterable

from effects.slots.manifest import FORMATS, Levels
from journal.events import EVENT_TYPES, type_of
from journal.reader import Reader
from projections.update_intents import Level
from projections.views import VIEW

_FORMAT, _VIEW = "format/", "view/newest"
_KNOWN = {type_of(kind) for kind in EVENT_TYPES}
_MUST = {type_of(kind): kind.VERSION for kind in EVENT_TYPES if kind.EFFECT == "must"}


def own() -> Level:
    """What this release reads and writes."""
    return (*sorted(_MUST.items()), *_beside(FORMATS.items(), VIEW))


def of_bundle(levels: Levels) -> Level:
    """What a bundle's system reads."""
    return (*sorted(levels.events.items()), *_beside(levels.formats.items(), max(levels.views, default=0)))


def written(types: Iterable[str]) -> Level:
    """What a system must read to act on this machine: of `types`, those that stand in its journal, and the forms that
    this release has put on its disk."""
    return (*((name, _MUST[name]) for name in sorted(types) if name in _MUST), *_beside(FORMATS.items(), VIEW))


def standing(reader: Reader) -> Level:
    """The same of a journal, in which there may be events that only a newer release reads."""
    types = reader.types()
    newest = (next(reader.newest_of_type(name), None) for name in types if name not in _KNOWN)
    headers = (stored.header for stored in newest if stored is not None)
    strange = sorted((header.type, header.version) for header in headers if header.effect_on_state == "must")
    return (*strange, *written(types))


def _beside(formats: Iterable[tuple[str, int]], view: int) -> Level:
    return (*((f"{_FORMAT}{name}", number) for name, number in sorted(formats)), (_VIEW, view))
