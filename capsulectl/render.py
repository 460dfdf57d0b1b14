"""Answers to text: aligned columns, JSON, YAML, names. Data on standard output, everything else on standard error."""

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capsulectl.options import Format


_CONTROLS = re.compile("[\x7f-\x9f]")
_DECLARED = frozenset({"ContainerSpec", "MicroVMSpec", "HostBind", "VolumeMount"})
"""Messages of a manifest, in which nobody writes what is false anyway."""
_COUNTED = frozenset(
    {
        "WorkloadStatus.restart_count",
        "WorkloadStatus.ends_in_a_row",
        "WorkloadStatus.oom_kills",
        "Volume.snapshots",
        "ObjectCounts.workloads",
        "ObjectCounts.pending",
        "ObjectCounts.running",
        "ObjectCounts.failed",
        "ObjectCounts.stopped",
        "ObjectCounts.volumes",
        "ObjectCounts.images",
        "VerifyResponse.checked",
        "VerifyResponse.excised",
        "StatsResponse.audit_entries",
        "StatsResponse.snapshots",
        "RetentionResponse.entries",
        "ImageRemoval.freed_bytes",
        "RestoreResponse.values",
        "Secret.size_bytes",
    }
)
"""Numbers that count, so that 0 is an answer; of others (a pid, a time, an entry) it says that there is none."""
_LISTED = frozenset(
    {
        "Volume.mounted_by",
        "Image.used_by",
        "Secret.used_by",
        "VerifyResponse.findings",
        "ApplyAllResponse.plan",
    }
)
"""Lists that are an answer where nothing stands in them: nobody uses it, nothing is wrong, nothing is to be done."""
_SIGNS = {"add": ("+", "32"), "remove": ("-", "31"), "change": ("~", "33")}


def widths_of(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column needs to be."""
    return [max(len(line[column]) for line in (headings, *rows)) for column in range(len(headings))]


def printable(text: str) -> str:
    """In one line, without what would move the cursor: what a command or a message contains is not ours to trust."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else " " if one in "\n\t" else f"\\x{ord(one):02x}" for one in text)


def legible(text: str) -> str:
    """The same for a text of several lines, which stay."""
    return "\n".join(map(printable, text.split("\n")))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int] | None = None) -> str:
    """Columns as wide as they need to be, or as wide as they were, the last one free."""
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = widths_of(headings, rows) if widths is None else widths
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (headings, *rows)
    )


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]], cut: bool = True, kept: int = 1) -> None:
    """Print a table. On a terminal that is too narrow for it, a line is cut rather than wrapped, but never its first
    columns, `kept` of them: names are there to be used."""
    keep = sum(widths_of(headings, rows)[:kept]) + 2 * (kept - 1)
    for line in table(headings, rows).splitlines():
        print(_fitted(line, keep, cut))


def show_row(row: Sequence[str], widths: Sequence[int], cut: bool = True) -> None:
    """Print one line of a table that goes on, at once."""
    print(_fitted(table(row, [], widths), max(widths[0], len(row[0])), cut), flush=True)


def _fitted(line: str, keep: int, cut: bool) -> str:
    width = terminal_width() if cut else 0
    whole = not width or len(line) <= width
    return line if whole else line[: max(width - 1, keep)].rstrip() + ("…" if width > keep else "")


def terminal_width() -> int:
    """Of the terminal that standard output leads to; 0 when it leads elsewhere, and is read by who wants it whole."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0
    except OSError:
        return 0


def is_coloured() -> bool:
    """Whether standard output leads to somebody who sees colours and wants them (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def signed(op: str, text: str) -> str:
    """What was added, removed or changed, behind its sign; on a terminal in the sign's colour."""
    sign, colour = _SIGNS[op]
    return f"\x1b[{colour}m{sign} {text}\x1b[0m" if is_coloured() else f"{sign} {text}"


def plain(message: Any, zeros: bool = False) -> dict[str, Any]:
    """A protobuf message as plain data, in the names manifests use; 64-bit numbers as numbers. Empty fields are left
    out, but those of which a script asks whether they are false or 0; with `zeros` none is: of what was measured, 0 is
    a figure."""
    from google.protobuf.json_format import MessageToDict

    return _told(message.DESCRIPTOR, MessageToDict(message, always_print_fields_with_no_presence=zeros))


def _told(descriptor: Any, value: dict[str, Any]) -> dict[str, Any]:
    """protobuf's JSON writes 64-bit numbers as strings, for JavaScript's sake, and leaves out what is false or 0;
    scripts with jq want numbers, and an answer."""
    from google.protobuf.descriptor import FieldDescriptor as field

    wide = (field.CPPTYPE_INT64, field.CPPTYPE_UINT64)
    told: dict[str, Any] = {}
    for one in sorted(descriptor.fields, key=lambda one: one.number):
        if one.json_name not in value:
            if _answers(one):
                told[one.json_name] = [] if one.is_repeated else one.default_value
            continue
        found = value[one.json_name]
        is_map = one.message_type is not None and one.message_type.GetOptions().map_entry
        if one.cpp_type in wide:
            found = [int(item) for item in found] if isinstance(found, list) else int(found)
        elif is_map and one.message_type.fields_by_name["value"].cpp_type in wide:
            found = {key: int(item) for key, item in found.items()}
        elif one.message_type is not None and not is_map:
            within = one.message_type
            found = [_told(within, item) for item in found] if isinstance(found, list) else _told(within, found)
        told[one.json_name] = found
    return told


def _answers(one: Any) -> bool:
    """Whether what is false, 0 or empty there is told: a script that looks for it would find nothing otherwise."""
    owner = one.containing_type.name
    if one.is_repeated:
        return f"{owner}.{one.name}" in _LISTED
    if one.has_presence:
        return False
    if one.cpp_type == one.CPPTYPE_BOOL:
        return owner not in _DECLARED
    return f"{owner}.{one.name}" in _COUNTED


def as_json(data: Any, indent: int | None = None) -> str:
    """JSON that a terminal shows and does not obey: a control character in a text is written by its number, also those
    that JSON would let stand (U+009B begins a terminal's command as ESC [ does). It is the same JSON."""
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def write(data: Any, output: "Format") -> None:
    """Print plain data as JSON or YAML."""
    if output == "json":
        print(as_json(data, indent=2))
        return
    from capsulectl.as_yaml import document

    print(document(data), end="")


def write_items(
    items: Sequence[Any],
    output: "Format",
    name_of: Callable[[Any], str],
    data_of: Callable[[Any], dict[str, Any]] | None = None,
) -> bool:
    """Print items as data or by their names; False where a table was asked for."""
    if output in ("json", "yaml"):
        write([(data_of or plain)(one) for one in items], output)
    elif output == "name":
        for one in items:
            print(name_of(one))
    else:
        return False
    return True


def write_documents(documents: Sequence[Any]) -> None:
    """YAML, with a line of dashes between documents, at once."""
    from capsulectl.as_yaml import document

    for number, one in enumerate(documents):
        print(("---\n" if number else "") + document(one), end="", flush=True)


def write_next(data: Any) -> None:
    """One document of YAML more of what goes on, at once: nobody knows whether it is the last, and each begins with a
    line of dashes."""
    from capsulectl.as_yaml import document

    print("---\n" + document(data), end="", flush=True)


def write_line(data: Any) -> None:
    """One JSON object a line, at once."""
    print(as_json(data), flush=True)


def say(text: str, quiet: bool = False) -> None:
    """Tell the operator something that is not data, lines and all: what is in it may be a workload's or a neighbour's
    words. Where it cannot be told, what is being done goes on."""
    if not quiet:
        with contextlib.suppress(OSError):
            print(legible(text), file=sys.stderr, flush=True)


@contextlib.contextmanager
def shown_beside(output: "Format") -> Iterator[None]:
    """What is printed within, a table for who is asked: where the output is data, it goes to standard error."""
    if output in ("table", "wide"):
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


def age(at_ns: int, now_ns: int | None = None) -> str:
    """How long ago, in its largest unit; empty for never."""
    if not at_ns:
        return ""
    seconds = max(0, ((now_ns or time.time_ns()) - at_ns) // 1_000_000_000)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def moment(at_ns: int) -> str:
    """A wall time, in the operator's own time zone, to the millisecond."""
    local = time.localtime(at_ns // 1_000_000_000)
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', local)}.{at_ns % 1_000_000_000 // 1_000_000:03d}"
