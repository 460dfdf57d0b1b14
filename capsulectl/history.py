"""`capsulectl history` and `capsulectl history show`."""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from cyclopts import App, Parameter

from capsule.v1 import history_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.names import event_types, object_names
from capsulectl.options import COMMON, Common, Format, Output, boot_number, count, not_empty, sequence_number
from capsulectl.paging import show_page
from capsulectl.render import as_json, moment, plain, printable, say, terminal_width, write, write_line
from capsulectl.times import parse_since, parse_until

_NARROW = 120
_KINDS = ("workload/", "volume/", "image/", "key/", "secret/", "registry/")

app = App(
    name="history",
    help="What happened: one line an event, newest last.",
    help_format="plaintext",
    version_flags=[],
)


@app.default
def history(
    name: Annotated[
        str, Parameter(help="Only what concerns this object.", converter=not_empty, completer=object_names)
    ] = "",
    /,
    *,
    since: Annotated[
        str, Parameter(name="--since", converter=not_empty, help="A span (10m, 2h, 7d) or a moment (2026-11-24T10:00).")
    ] = "",
    actor: Annotated[
        str,
        Parameter(
            name="--actor",
            converter=not_empty,
            help="By: local, system, effect, an operator's name or key; of local also local(LOGIN), as it is printed.",
        ),
    ] = "",
    type: Annotated[
        str,
        Parameter(
            name="--type",
            converter=not_empty,
            completer=event_types,
            help="Only this type; a prefix ends in a dot (workload.).",
        ),
    ] = "",
    until: Annotated[
        str, Parameter(name="--until", converter=not_empty, help="Not after this span back, or moment.")
    ] = "",
    failed: Annotated[bool, Parameter(name="--failed", negative="", help="Only what went wrong.")] = False,
    boot: Annotated[
        int | None,
        Parameter(
            name="--boot", validator=boot_number, help="Only of one boot: 0 the present one, -1 the one before it."
        ),
    ] = None,
    calls: Annotated[
        bool, Parameter(name="--calls", negative="", help="Each call with what it led to below it, as in a tree.")
    ] = False,
    limit: Annotated[
        int, Parameter(name=["-n", "--limit"], validator=count, help="Only the newest so many; 0: all.")
    ] = 0,
    follow: Annotated[bool, Parameter(name=["-f", "--follow"], negative="", help="Go on as it grows.")] = False,
    reads: Annotated[bool, Parameter(name="--reads", negative="", help="With reads, from the audit stream.")] = False,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """What happened: one line an event, newest last; `-o json` is one object a line.

    Example: capsulectl history web --since 2h -f
    """
    request = pb.HistoryListRequest(
        name=name_in(name),
        type=type,
        actor=actor,
        since_unix_ns=parse_since(since),
        until_unix_ns=parse_until(until),
        failed=failed,
        boot=boot,
        limit=limit,
        follow=follow,
        audit=reads,
    )
    if follow and (until or calls):
        raise Failure(
            "-f goes on from now: it has no --until, and no --calls, which are whole only at their end", USAGE
        )
    connection = Connection(common.capsule)
    entries = _or_none(connection.stream(connection.history.List, request), common.quiet, name)
    everything = not any((name, type, actor, since, until, failed, limit, reads)) and boot is None
    if everything:
        entries = _begun(entries, common.quiet)
    if calls and output in ("table", "wide"):
        lines = (f"{'   ' * depth}{line(entry, output == 'wide')}" for depth, entry in by_call(entries))
        show_page(lines, connection.compare)
    elif output in ("table", "wide") and not follow:
        show_page((line(entry, output == "wide") for entry in entries), connection.compare)
    else:
        print_entries(entries, output, follow)
    if not (everything or since or limit) and boot is None and connection.heads.first_seq > 1:
        say(begins_text(connection.heads.first_seq), common.quiet)


def begins_text(seq: int) -> str:
    """That there was more, and who knows where it is."""
    where = "`capsulectl history --type journal.checkpointed` tells where what was before went"
    return f"history begins with entry {seq}: {where}"


def _or_none(entries: Iterable[Any], quiet: bool, name: str) -> Iterator[Any]:
    """The entries; that there was none is said, for a name may have been mistyped, or be an entry's number."""
    found = False
    for entry in entries:
        found = True
        yield entry
    if not found:
        meant = f": `capsulectl history show {name}` shows the entry" if name.isdecimal() else ""
        say(f"nothing that is so is remembered{meant}", quiet)


def _begun(entries: Iterable[Any], quiet: bool) -> Iterator[Any]:
    """The entries; where they do not begin with the first there was, that is said."""
    first = True
    for entry in entries:
        if first and entry.seq > 1:
            say(begins_text(entry.seq), quiet)
        first = False
        yield entry


def by_call(entries: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """Each entry with its depth: below the one that led to it, as far as that is among them; else where it stands."""
    below: dict[int, list[Any]] = {}
    roots: list[Any] = []
    known: set[int] = set()
    for entry in entries:
        if entry.stream == "facts" and entry.cause in known:
            below.setdefault(entry.cause, []).append(entry)
        else:
            roots.append(entry)
        if entry.stream == "facts":
            known.add(entry.seq)
    stack = [(0, entry) for entry in reversed(roots)]
    while stack:
        depth, entry = stack.pop()
        yield depth, entry
        if entry.stream == "facts":
            stack += [(depth + 1, one) for one in reversed(below.get(entry.seq, ()))]


def print_entries(entries: Iterable[Any], output: Format, follow: bool) -> int:
    """Events as they come; how many there were."""
    count = 0
    for entry in entries:
        count += 1
        match output:
            case "json":
                write_line(as_data(entry))
            case "yaml":
                write([as_data(entry)], "yaml")
            case "name":
                print(entry.seq, flush=follow)
            case _:
                print(line(entry, output == "wide"), flush=follow)
    return count


@app.command
def show(
    seq: Annotated[int, Parameter(validator=sequence_number, help="The event's sequence number.")],
    /,
    *,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """Show one event and the tree of what led to it and what came of it.

    Example: capsulectl history show 42
    """
    connection = Connection(common.capsule)
    answer = connection.read(connection.history.Show, pb.HistoryShowRequest(seq=seq))
    if output in ("json", "yaml"):
        tree = [{"depth": node.depth, "event": as_data(node.entry)} for node in answer.tree]
        write({"event": as_data(answer.entry), "tree": tree}, output)
        return
    if output == "name":
        print(answer.entry.seq)
        return
    _print_entry(answer.entry)
    print("\nCause tree:")
    for node in answer.tree:
        mark = "➤" if node.entry.seq == seq else " "
        print(f"{mark} {'   ' * node.depth}{node.entry.seq}  {node.entry.type}  {printable(node.entry.summary)}")


def name_in(asked: str) -> str:
    """The object's name, as entries have it: `volume/data`, as other verbs take it, is `data` there."""
    kind = next((one for one in _KINDS if asked.startswith(one)), "")
    return asked.removeprefix(kind) or asked


def as_data(entry: Any) -> dict[str, Any]:
    """An event as plain data, its body in place."""
    data = plain(entry)
    data.pop("bodyJson", None)
    data["body"] = json.loads(entry.body_json or "{}")
    return data


def line(entry: Any, wide: bool) -> str:
    """An event in one line. In a narrow window what happened is left room for: no type, and no milliseconds."""
    by, at, kind = who(entry), moment(entry.at_unix_ns), f"{entry.type:<26}  "
    cause = f"{entry.cause:>7}  " if wide else ""
    if not wide and 0 < terminal_width() < _NARROW:
        at, kind = at.rpartition(".")[0], ""
    seq = f"{entry.seq:>7}" if entry.stream == "facts" else f"r{entry.seq:>6}"
    return f"{seq}  {at}  {cause}{by:<14}  {kind}{printable(entry.summary)}"


def _print_entry(entry: Any) -> None:
    lines = (
        ("Event", f"{entry.seq}  {entry.type} (version {entry.version}, {entry.effect_on_state})"),
        ("When", f"{moment(entry.at_unix_ns)}, boot {entry.boot[:8]}, {entry.mono_ns / 1e9:.3f} s after it"),
        ("Who", _who_exactly(entry)),
        ("Written by", f"release {entry.release}" + (f", {entry.slot}" if entry.slot else "")),
        ("Cause", str(entry.cause or "")),
        ("Call", str(entry.call or "")),
        ("Hash", entry.hash),
        ("What", entry.summary),
    )
    print("\n".join(f"{name + ':':<12}{printable(value)}" for name, value in lines if value))
    print(as_json(json.loads(entry.body_json or "{}"), indent=2))


def who(entry: Any) -> str:
    """An operator by name, which the capsule has proven; a login name beside the socket's, which nobody has."""
    if entry.actor_role and entry.actor != "local":
        return str(entry.actor_name or entry.actor[:12])
    return f"{entry.actor}({entry.actor_name})" if entry.actor_name else str(entry.actor)


def _who_exactly(entry: Any) -> str:
    if entry.actor_role and entry.actor != "local":
        return f"{entry.actor_name}, {entry.actor_role}, key {entry.actor}"
    return f"{entry.actor}" + (f" ({entry.actor_name}, unverified)" if entry.actor_name else "")
