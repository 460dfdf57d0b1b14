"""Why a machine's journal is another than the one that was seen: as far as the journal itself says so."""

import json
from typing import Any

from capsule.v1 import history_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import Failure
from capsulectl.heads import Seen, Told
from capsulectl.render import moment

TYPE = "journal.restored"


def why_another(connection: Connection, seen: Seen, told: Told) -> str:
    """In words; empty when nothing explains it. A restore explains what stands behind its archive's end, and a journal
    that the machine did not have before."""
    try:
        request = pb.HistoryListRequest(type=TYPE, limit=1)
        (entry,) = [*connection.stream(connection.history.List, request, timeout=10)] or [None]
    except Failure:
        return ""
    if entry is None:
        return ""
    upto = int(_body(entry).get("upto", 0))
    if seen.journal == told.journal and seen.seq <= upto:
        return ""  # what was seen stood in the archive, too: that it is another now, no restore explains
    return (
        f"this machine took over the memory in an archive that ends at entry {upto}, on "
        f"{moment(entry.at_unix_ns)[:19]} (entry {entry.seq}): what was seen of it before, up to entry {seen.seq}, is "
        "not all in there"
    )


def _body(entry: Any) -> dict[str, Any]:
    found = json.loads(entry.body_json)
    return found if isinstance(found, dict) else {}
