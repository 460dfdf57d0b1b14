"""`replay --step`: an archive's entries one by one, each with what it made of the state. Without a machine.

On a terminal it waits after each: Enter goes on, a number goes on to that entry, `c` to the end, `q` ends it.
"""

import json
import sys
from typing import Any

from capsulectl import standard_input
from capsulectl.errors import Failure
from capsulectl.folding import Folding
from capsulectl.options import Format
from capsulectl.render import moment, printable, say, signed, write
from journal.codec import plain
from journal.entry import Stored
from projections.describe import describe
from projections.steps import Change, Steps
from projections.views import VIEW, state_hash

VALUE_CHARS = 160


def step(folding: Folding, since: int, output: Format) -> None:
    """Walk the entries, shown from `since` on. Raises Failure where one cannot be folded."""
    steps, asks, shown_from = Steps(folding.machine), output in ("table", "wide") and _is_watched(), since
    for stored, event in folding.entries():
        seq = stored.header.seq
        if steps.machine.seq < folding.machine.seq:
            steps = Steps(folding.machine)  # what the archive begins with is known with its first entry
        if seq < shown_from:
            steps.skip(stored.header, event)
            continue
        _show(stored, describe(stored.header, event, stored.excised), steps.take(stored.header, event), output)
        if asks:
            answer = _next()
            if answer == 0:
                break
            shown_from, asks = max(seq + 1, answer), answer >= 0
    if steps.machine.seq < folding.machine.seq:
        steps = Steps(folding.machine)
    if steps.machine.seq < since:
        raise Failure(f"there is no entry {since} to begin with: the last one here is {steps.machine.seq}")
    _end(steps, output)


def _is_watched() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _next() -> int:
    """What the operator wants: 0 to end, an entry's number to go on to it, -1 for all the rest, 1 for the next."""
    while True:
        print("next [Enter], an entry's number, c(ontinue), q(uit): ", end="", file=sys.stderr, flush=True)
        line = standard_input.line()
        word = line.strip().lower()
        if not line or word in ("q", "quit"):
            return 0
        if word in ("c", "continue"):
            return -1
        if not word:
            return 1
        if word.isascii() and word.isdigit():
            return max(1, int(word))


def _show(stored: Stored, summary: str, changes: tuple[Change, ...], output: Format) -> None:
    header = stored.header
    if output == "name":
        print(header.seq)
        return
    if output in ("json", "yaml"):
        told = {
            "seq": header.seq,
            "atUnixNs": header.at,
            "type": header.type,
            "actor": header.actor.id or header.actor.kind,
            "summary": " ".join(summary.split()),
            "body": plain(stored),
            "changes": [_told(one) for one in changes],
        }
        print(json.dumps(told, default=repr)) if output == "json" else write([told], output)
        return
    who = header.actor.name or header.actor.id[:12] or header.actor.kind
    print(f"{header.seq}  {moment(header.at)[:23]}  {who}  {header.type}")
    print(f"    {printable(' '.join(summary.split()))}")
    for one in changes:
        print(f"    {signed(one.op, printable(f'{one.path}: {_values(one)}'))}")


def _told(change: Change) -> dict[str, Any]:
    values = {"add": {"new": change.new}, "remove": {"old": change.old}}
    return {"op": change.op, "path": change.path, **values.get(change.op, {"old": change.old, "new": change.new})}


def _values(change: Change) -> str:
    match change.op:
        case "add":
            return _cut(change.new)
        case "remove":
            return _cut(change.old)
        case _:
            return f"{_cut(change.old)} -> {_cut(change.new)}"


def _cut(value: Any) -> str:
    text = json.dumps(value, default=repr)
    return text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}…"


def _end(steps: Steps, output: Format) -> None:
    if output in ("table", "wide"):
        print(f"State:     {state_hash(steps.machine)} (view {VIEW}) after entry {steps.machine.seq}")
    elif output == "name":
        say(state_hash(steps.machine))
