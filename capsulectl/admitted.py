"""Whose keys open a machine that takes over an archive: those in there, and the key of whoever has it do so.

Told before it is done: a key in there may have been stolen since, and would find all secrets in their place.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from capsulectl.render import show_table
from projections.operators import kept_admin
from projections.state import Machine, Operator

SHORT_CHARS = 12
"""So much of a key's id is shown, and is enough to name it."""


class Key(NamedTuple):
    """One that opens the machine from then on."""

    kid: str
    name: str
    role: str
    note: str


class Admitted(NamedTuple):
    """`keys` open it from then on, `own` is the id of who asks among them; `gone` opened it until then, by name."""

    keys: list[Key]
    own: str
    gone: list[str]

    def data(self) -> list[dict[str, str]]:
        """For programs."""
        return [one._asdict() for one in self.keys]

    def show(self) -> None:
        """As part of the plan."""
        if self.keys:
            print("\nKeys that open it from then on:")
            show_table(("KEY", "NAME", "ROLE", "NOTE"), [(one.kid[:SHORT_CHARS], *one[1:]) for one in self.keys])
        for line in (*self._going(), self.advice()):
            if line:
                print(line)

    def _going(self) -> Iterable[str]:
        if self.gone:
            yield f"What opened it until then, and no more: {', '.join(self.gone)}"

    def advice(self) -> str:
        """The next step; empty when there is none."""
        if not self.keys:
            return (
                "No key opens it from then on, and nobody can adopt it before the machine boots again: `capsulectl key "
                "add`, on the machine itself, lets the first one in"
            )
        others = [one for one in self.keys if one.kid != self.own]
        if not others:
            return ""
        first = "" if len(others) < len(self.keys) else ", once another admin's is there (`capsulectl key add`)"
        return f"Is one of them in other hands by now? `capsulectl key remove KEY` right after{first}"

    def text(self) -> str:
        """In one line."""
        return ", ".join(f"{one.name or one.kid[:SHORT_CHARS]} ({one.role})" for one in self.keys) or "none"


def admitted(machine: Machine, who: Any, keys_now: Iterable[Any]) -> Admitted:
    """`machine`: what the archive says; `who` asks (WhoAmI), and `keys_now` open the machine that is to take it over
    (KeyList)."""
    found = dict(machine.operators)
    if who.kid:
        found[who.kid] = kept_admin(machine, Operator(who.kid, "", who.name, "admin", "", 0, 0))
    keys = [Key(kid, one.name, one.role, _note(machine, kid, who.kid)) for kid, one in found.items()]
    gone = [one.name or one.kid[:SHORT_CHARS] for one in keys_now if one.kid not in found]
    return Admitted(keys, who.kid, gone)


def _note(machine: Machine, kid: str, own: str) -> str:
    known = machine.operators.get(kid)
    if kid != own:
        return "in the archive"
    if known is None:
        return "yours: stays, beside those in the archive"
    if known.role != "admin":
        return f"yours: in the archive as {known.role}"
    return "yours, and in the archive"
