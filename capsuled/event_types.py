"""Types of events as one may ask for them: whole, or a beginning that ends in a dot. Pure."""

import difflib
from collections.abc import Collection

from journal.codec import reader_level
from projections.refusals import Refusal, invalid

_NEAR = 3
_SHOWN_CHARS = 64


def is_of(tag: str, wanted: str) -> bool:
    """Whether an event of type `tag` is asked for."""
    return tag == wanted or (wanted.endswith(".") and tag.startswith(wanted))


def unknown_type(wanted: str) -> Refusal | None:
    """Why nothing of that type is ever found, with what may have been meant; None for a type that this release has."""
    known = reader_level()
    if any(is_of(tag, wanted) for tag in known):
        return None
    near = " or ".join(_near(wanted, known))
    hint = f"do you mean {near}?" if near else "a line of `capsulectl history` has its type behind who did it"
    return invalid("NO_SUCH_TYPE", f"no event has the type {wanted[:_SHOWN_CHARS]}: {hint}", "type")


def _near(wanted: str, known: Collection[str]) -> list[str]:
    beginnings = {f"{tag.partition('.')[0]}." for tag in known}
    if f"{wanted}." in beginnings:
        return [f"{wanted}."]
    whole = [tag for tag in known if tag.endswith(f".{wanted}")][:_NEAR]
    return whole or difflib.get_close_matches(wanted[:_SHOWN_CHARS], sorted({*known, *beginnings}), _NEAR)
