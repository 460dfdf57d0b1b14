"""Judges what left the image cache, by what was journaled: nothing that was brought after its removal was asked for."""

from collections.abc import Sequence

from journal.entry import Header
from journal.events import Event, ImageFound, ImagePulled, ImagePushed, ImageRemoved


def judge_removals(entries: Sequence[tuple[Header, Event]]) -> list[str]:
    """Everything that did. An entry of a removal names the one that asked for it as its cause."""
    wrong: list[str] = []
    brought: dict[str, int] = {}
    for header, event in entries:
        match event:
            case ImagePushed() | ImagePulled() | ImageFound():
                for image in event.images:
                    brought.update(dict.fromkeys((image.pin.index_digest, image.pin.ref), header.seq))
            case ImageRemoved():
                late = [one for one in (*event.refs, *event.digests) if brought.get(one, 0) > header.cause]
                wrong += [f"{one} was to leave at {header.cause}, was brought again, and left" for one in late]
    return wrong
