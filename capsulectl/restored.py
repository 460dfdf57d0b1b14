"""Why a machine's journal is another than the one that was seen: as far as the journal itself says so.

A restore explains only what was seen before it. A journal that was once taken over, and is put back or written anew,
has that restore in it, too: it stood behind the head that was kept, and says nothing of what came since.
"""

import json
from typing import Any

from capsule.v1 import history_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import Failure
from capsulectl.heads import Seen, Told
from capsulectl.render import moment

TYPE = "journal.restored"
SKEW_NS = 86_400 * 1_000_000_000
"""So much may the clocks of both sides differ where a journal is one that was never seen here."""


def why_another(connection: Connection, seen: Seen, told: Told, kept_at_ns: int) -> str:
    """In words; empty when nothing explains it. A restore explains what stands behind its archive's end, and a journal
    that the machine did not have before. `kept_at_ns`: when `seen` was kept."""
    try:
        request = pb.HistoryListRequest(type=TYPE, limit=1)
        (entry,) = [*connection.stream(connection.history.List, request, timeout=10)] or [None]
    except Failure:
        return ""
    if entry is None:
        return ""
    upto = int(_body(entry).get("upto", 0))
    if not explains(entry.at_unix_ns, upto, seen, told, kept_at_ns):
        return ""
    return (
        f"this machine took over the memory in an archive that ends at entry {upto}, on "
        f"{moment(entry.at_unix_ns)[:19]} (entry {entry.seq}): what was seen of it before, up to entry {seen.seq}, is "
        "not all in there"
    )


def explains(at_ns: int, upto: int, seen: Seen, told: Told, kept_at_ns: int) -> bool:
    """Whether the restore of then, from an archive that ends at `upto`, was after `seen`. Restores are told from each
    other by their times, not by their hashes: in a chain that is written anew those are others. Only where it is not
    known which there were, in a file of an older release and of a journal that is new here, is this side's clock gone
    by; what it gets wrong is warned of."""
    if seen.journal == told.journal and seen.seq <= upto:
        return False  # what was seen stood in the archive, too
    if seen.restored is None:
        return at_ns > kept_at_ns
    if at_ns in seen.restored:
        return False
    return seen.journal == told.journal or at_ns > kept_at_ns - SKEW_NS


def _body(entry: Any) -> dict[str, Any]:
    found = json.loads(entry.body_json)
    return found if isinstance(found, dict) else {}
