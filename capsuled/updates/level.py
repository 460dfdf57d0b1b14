"""Reader levels as pairs of a name and a number: `must` events by their types, with a prefix what else lies on /perm.

A system reads what stands in a journal if it has, for each name, at least that number (design section 4).
"""

from collections.abc import Iterable

from capsuled.beginning import needed
from effects.slots.manifest import FORMATS, Levels
from journal.entry import MalformedEntry
from journal.events import EVENT_TYPES, type_of
from journal.reader import Reader
from projections.update_intents import Level
from projections.views import VIEW

_FORMAT, _VIEW = "format/", "view/newest"
_MUST = {type_of(kind): kind.VERSION for kind in EVENT_TYPES if kind.EFFECT == "must"}


def own() -> Level:
    """What this release reads and writes."""
    return (*sorted(_MUST.items()), *forms())


def of_bundle(levels: Levels) -> Level:
    """What a bundle's system reads."""
    return (*sorted(levels.events.items()), *_beside(levels.formats.items(), max(levels.views, default=0)))


def forms() -> Level:
    """What a system must read beside a journal to act on this machine: the forms that this release has put on its
    disk."""
    return _beside(FORMATS.items(), VIEW)


def standing(reader: Reader) -> Level:
    """All that a system must read to act on this machine with this journal, in which there may be events that only a
    newer release reads. Of a base that is damaged nothing is known: an update may be what helps."""
    try:
        events = needed(reader)
    except MalformedEntry:
        events = tuple(sorted(reader.needs().items()))
    return (*events, *forms())


def _beside(formats: Iterable[tuple[str, int]], view: int) -> Level:
    return (*((f"{_FORMAT}{name}", number) for name, number in sorted(formats)), (_VIEW, view))
