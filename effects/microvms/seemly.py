"""A guest's words as they may be shown and journaled: one short line that a terminal shows as it is. Pure.

Whoever puts something into an error, an event or the log that a guest said puts it through here, and nothing else does.
What it says stays: a secret that a guest tells is not taken out, as capsuled/evidence/redacted.py does with lines of a
log that nobody chose to tell.
"""

MOST_SIGNS = 300
_READ_SIGNS = 4 * MOST_SIGNS


def seemly(text: str) -> str:
    """One line, no longer than a sentence or two, and nothing in it that moves a cursor or turns the direction of
    writing."""
    signs = (sign if sign.isprintable() else " " for sign in text[:_READ_SIGNS])
    return " ".join("".join(signs).split())[:MOST_SIGNS]
