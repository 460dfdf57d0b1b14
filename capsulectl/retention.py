"""`capsulectl journal truncate` and `excise`: what is not to be kept, and says so."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.files import check_new, new_file
from capsulectl.journal import EXPORT_S
from capsulectl.moments import moment
from capsulectl.options import COMMON, Common, DryRun, Yes, not_empty
from capsulectl.prompt import confirm
from capsulectl.render import say
from projections.words import bytes_text

RETAIN_S = 600.0
"""A state is folded, and a million entries go."""


def truncate(
    *,
    before: Annotated[
        str,
        Parameter(
            name="--before",
            converter=not_empty,
            help="What is older goes: than an entry (1234), a time (`90d`, 2026-11-24T10:00), a boot (boot:-3).",
        ),
    ],
    export: Annotated[str, Parameter(name="--export", help="The archive to write first, of what goes.")],
    force: Annotated[bool, Parameter(name="--force", negative="", help="Replace a file that is there.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    common: Common = COMMON,
) -> None:
    """Let history begin later. What goes is exported and proven first; the state then is kept, and its hash chained.

    Example: capsulectl journal truncate --before 90d --export until-august.capsule
    """
    from capsule.v1 import history_pb2, retention_pb2

    target = check_new(export, force)
    connection = Connection(common.capsule)
    upto = _upto(connection, before)
    if not upto:
        raise Failure("nothing is older than that: `capsulectl journal stats` says where history begins")
    request = retention_pb2.TruncateRequest(
        upto=history_pb2.Moment(seq=upto), exported_to=str(target.resolve()), dry_run=True
    )
    going = connection.call(connection.retention.Truncate, request, timeout=RETAIN_S)
    if dry_run:
        say(f"entries {going.first_seq - going.entries} to {upto} would go, to {export}", common.quiet)
        return
    confirm(f"Export entries up to {upto} to {export} and cut them here?", yes)
    with new_file(target, 0o600) as out:
        for chunk in connection.stream(
            connection.history.Export, history_pb2.ExportRequest(upto=upto), timeout=EXPORT_S
        ):
            out.write(chunk.data)
    request.head_hash, request.dry_run = _proven(target), False
    say(f"{export}: {bytes_text(target.stat().st_size)}, proven", common.quiet)
    try:
        answer = connection.call(connection.retention.Truncate, request, timeout=RETAIN_S)
    except Failure as failure:
        raise Failure(f"{failure.message}. {export} stays, with what was to go", failure.code) from failure
    print(f"{going.entries} entries cut; history begins with entry {answer.first_seq}")


def _upto(connection: Connection, before: str) -> int:
    """The last entry that goes."""
    from capsule.v1 import history_pb2

    wanted = moment(before, "--before", begins=True)
    if wanted.seq:
        return int(wanted.seq) - 1
    if wanted.boot:
        return _first_of(connection, wanted.boot) - 1
    # Of the machine as it was nothing is wanted, and all of it may be more than an answer has room for.
    return int(connection.read(connection.history.AsOf, history_pb2.AsOfRequest(at=wanted, only=["update_keys"])).seq)


def _first_of(connection: Connection, boot: int) -> int:
    """The entry that a boot begins with, as far as it is remembered. Not the end of the boot before: of that the
    beginning may have been cut, and nobody counts it then."""
    from capsule.v1 import history_pb2

    entries = connection.stream(connection.history.List, history_pb2.HistoryListRequest(boot=boot))
    return next((int(entry.seq) for entry in entries), 1)


def _proven(archive: Path) -> str:
    """The hash of the archive's last entry, once all of it was read back. Raises Failure."""
    from journal.archive import Archive
    from journal.errors import JournalError

    try:
        with archive.open("rb") as source:
            read = Archive(source)
            for _ in read.entries():
                pass
            return read.title.head_hash
    except (JournalError, OSError) as error:
        raise Failure(f"{archive} is not good, and nothing was cut: {error}") from error


def excise(
    seqs: Annotated[list[int], Parameter(help="The entries, by number.", negative="")],
    /,
    *,
    reason: Annotated[
        str, Parameter(name="--reason", help="Why, for those who read the history; never the value itself.")
    ] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    common: Common = COMMON,
) -> None:
    """Remove for ever what entries say, as of a value that was mistyped. That something was removed stays, and proven.

    Entries of one call say much the same: `capsulectl history show SEQ` lists them. What the machine still has of it
    has to be declared otherwise first.

    Example: capsulectl journal excise 1234 1235 --reason 'a password in an argument'
    """
    from capsule.v1 import retention_pb2

    if any(not 0 < seq < 1 << 63 for seq in seqs):
        raise Failure("entries have numbers from 1 on: `capsulectl history` shows them", USAGE)
    connection = Connection(common.capsule)
    request = retention_pb2.ExciseRequest(seqs=seqs, reason=reason, dry_run=True)
    connection.call(connection.retention.Excise, request, timeout=RETAIN_S)
    what = f"entry {seqs[0]}" if len(seqs) == 1 else f"{len(seqs)} entries"
    unseen = (
        f"how the machine was between entry {min(seqs)} and now can then not be shown any more, nor gone back to; nor "
        "longer ago, where a state that was kept for that has the same words in it"
    )
    if dry_run:
        say(f"the content of {what} would be removed; {unseen}", common.quiet)
        return
    confirm(f"Remove the content of {what}? Nothing brings it back, and {unseen}.", yes)
    request.dry_run = False
    answer: Any = connection.call(connection.retention.Excise, request, timeout=RETAIN_S)
    print(f"the content of {what} is removed; entry {answer.seq + 1} says so")
    say(
        "bytes of it may lie in unused pages of the journal's files until capsuled next ends; archives and copies that "
        "were made before have it still",
        common.quiet,
    )
