"""Refusals as values: a gRPC status name, a machine-readable reason, a message, and the field paths at fault."""

import difflib
from collections.abc import Iterable

import msgspec
from msgspec import structs

from journal.specs import Kind

_NAME_CHARS = 64
SECTIONS: dict[Kind, str] = {"container": "container", "microvm": "microVm"}
"""Where a manifest says what is to run, by its kind."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a call was not admitted. `message` says what, why and what to do; `fields` are paths, never values. `name`:
    of what is declared together, the one that it refuses."""

    code: str
    reason: str
    message: str
    fields: tuple[str, ...] = ()
    name: str = ""


def refused(code: str, reason: str, message: str, *fields: str) -> Refusal:
    """A refusal with any status."""
    return Refusal(code, reason, message, fields)


def invalid(reason: str, message: str, *fields: str) -> Refusal:
    """The call itself is wrong."""
    return Refusal("INVALID_ARGUMENT", reason, message, fields)


def missing(reason: str, message: str, *fields: str, code: str = "NOT_FOUND") -> Refusal:
    """Something the call names does not exist."""
    return Refusal(code, reason, message, fields)


def conflict(reason: str, message: str, *fields: str) -> Refusal:
    """Another object has what the call wants."""
    return Refusal("FAILED_PRECONDITION", reason, message, fields)


def wrong_phase(reason: str, message: str, *fields: str) -> Refusal:
    """Not possible in the object's present phase."""
    return Refusal("FAILED_PRECONDITION", reason, message, fields)


def lacks(reason: str, message: str, *fields: str) -> Refusal:
    """This machine's drivers cannot honour a field."""
    return Refusal("UNIMPLEMENTED", reason, message, fields)


def about(name: str, refusal: Refusal) -> Refusal:
    """The same refusal of one of many: whose it is, unless its message says so."""
    told = refusal.message if name in refusal.message else f"{name}: {refusal.message}"
    return structs.replace(refusal, message=told, name=name)


def beside(name: str, refusal: Refusal) -> Refusal:
    """The same refusal of what cannot be beside the others, declared with it or there already."""
    return structs.replace(refusal, name=name)


def in_section(kind: Kind, refusal: Refusal) -> Refusal:
    """The same refusal of a workload of this kind: what the rules call `container.args` stands in a section of its
    kind's name."""
    if kind == "container":
        return refusal
    begin, section = "container.", f"{SECTIONS[kind]}."
    fields = (section + one.removeprefix(begin) if one.startswith(begin) else one for one in refusal.fields)
    return structs.replace(refusal, fields=tuple(fields))


def no_workload(name: str, known: Iterable[str], field: str = "name") -> Refusal:
    """No workload has that name. The one that was probably meant is named."""
    return _none("workload", "capsulectl list", name, known, field)


def no_volume(name: str, known: Iterable[str]) -> Refusal:
    """The same of volumes."""
    return _none("volume", "capsulectl volume list", name, known, "name")


def _none(what: str, listed: str, name: str, known: Iterable[str], field: str) -> Refusal:
    near = difflib.get_close_matches(name[:_NAME_CHARS], known, 1)
    hint = f"do you mean {near[0]}?" if near else f"`{listed}` shows those there are"
    return missing(f"{what.upper()}_NOT_FOUND", f"there is no {what} {name}: {hint}", field)
