"""`capsulectl journal …`: verify, stats, export, import."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from cyclopts import Parameter

from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.files import check_new, new_file, to_write, written
from capsulectl.heads import Seen, keep, load
from capsulectl.options import COMMON, Common, Output, Yes
from capsulectl.prompt import confirm
from capsulectl.render import moment, plain, say, write
from projections.words import bytes_text

if TYPE_CHECKING:
    from journal.verify import Report

VERIFY_S = 600.0
EXPORT_S = 3_600.0


def verify(
    *,
    dir: Annotated[str, Parameter(name="--dir", help="A journal directory, looked at here, without a machine.")] = "",
    file: Annotated[str, Parameter(name="--file", help="An archive, read here, without a machine.")] = "",
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """Prove the journal whole: nothing altered, dropped, inserted, reordered or cut off. Exits 1 if it is not.

    Example: capsulectl journal verify
    Example: capsulectl journal verify --file memory.capsule
    """
    if dir and file:
        raise Failure("--dir names a journal and --file an archive: say which of the two is to be proven", USAGE)
    data = _verified_archive(file) if file else _verified_here(Path(dir)) if dir else _verified_there(common)
    findings, unsaid = data.get("findings", []), data.get("unsaid", [])
    if output in ("json", "yaml"):
        write(data, output)
    elif output == "name":
        print(data.get("headHash", ""))
    else:
        print(f"Checked:  {data.get('checked', 0)} entries, {data.get('firstSeq', 0)} to {data.get('headSeq', 0)}")
        print(f"Head:     {data.get('headHash', '')}")
        for finding in findings:
            print(f"Finding:  {finding}")
        for lack in unsaid:
            print(f"Unsaid:   {lack}")
        if not findings:
            print("Whole:    as a part: what it lacks may be announced behind its end" if unsaid else "Whole:    yes")
    if findings:
        raise Failure("the journal is not whole")


def _verified_there(common: Common) -> dict[str, Any]:
    from capsule.v1 import history_pb2

    connection = Connection(common.capsule)
    seen = load(connection.target.machine)
    request = history_pb2.VerifyRequest(head_seq=seen.seq, head_hash=seen.hash)
    return plain(connection.read(connection.history.Verify, request, timeout=VERIFY_S))


def accept(*, yes: Yes = False, common: Common = COMMON) -> None:
    """Take the machine's journal as it is now for the one to compare with from here on.

    Example: capsulectl journal accept --yes
    """
    from capsule.v1 import history_pb2

    confirm("Was its journal put back, cut or replaced for a reason that you know?", yes)
    connection = Connection(common.capsule)
    connection.heads.rest()
    stats = connection.read(connection.history.Stats, history_pb2.StatsRequest())
    keep(connection.target.machine, Seen(stats.journal_id, stats.last_seq, stats.head_hash))
    say(f"seen from now on: entry {stats.last_seq} of journal {stats.journal_id}", common.quiet)


def _verified_here(directory: Path) -> dict[str, Any]:
    from journal.environment import is_begun

    if not is_begun(directory):
        raise Failure(f"{directory} holds no journal: name the directory `journal` of a capsule's state")
    report = _report(directory)
    return {
        "checked": report.checked,
        "firstSeq": report.first_seq,
        "headSeq": report.head_seq,
        "headHash": report.head_hash,
        "findings": [finding.problem for finding in report.findings],
    }


def _verified_archive(file: str) -> dict[str, Any]:
    """As much of an archive as holds; what it breaks off with is a finding. Raises Failure for what is none."""
    from capsulectl.folding import archive_in
    from journal.errors import JournalError

    checked, first, last, head, findings, unsaid = 0, 0, 0, "", list[str](), list[str]()
    with archive_in(file) as archive:
        try:
            for stream, stored in archive.entries():
                if stream == "facts":
                    checked, first = checked + 1, first or stored.header.seq
                    last, head = stored.header.seq, stored.hash.hex()
            (findings.extend if archive.title.part is False else unsaid.extend)(archive.unsaid)
        except OSError as error:
            raise Failure(f"{file} cannot be read: {error.strerror}", USAGE) from error
        except JournalError as error:
            findings.append(str(error))
    found = {"checked": checked, "firstSeq": first, "headSeq": last, "headHash": head, "findings": findings}
    return found | ({"unsaid": unsaid} if unsaid else {})


def _report(directory: Path) -> "Report":
    from journal.apart import verify_apart
    from journal.errors import JournalBusy

    try:
        return verify_apart(directory)
    except JournalBusy as busy:
        raise Failure(str(busy)) from busy


def stats(*, output: Output = "table", common: Common = COMMON) -> None:
    """Show the journal's extent and size.

    Example: capsulectl journal stats -o json
    """
    from capsule.v1 import history_pb2

    connection = Connection(common.capsule)
    answer = connection.read(connection.history.Stats, history_pb2.StatsRequest())
    if output in ("json", "yaml"):
        write(plain(answer), output)
        return
    if output == "name":
        print(answer.journal_id)
        return
    lines = [
        ("Journal", answer.journal_id),
        ("Begins", f"entry {answer.first_seq}, {moment(answer.first_at_unix_ns)}"),
        ("Ends", f"entry {answer.last_seq}, {moment(answer.last_at_unix_ns)}"),
        ("Head", answer.head_hash),
        ("Wanted", answer.desired_hash),
        ("Reads", f"{answer.audit_entries} in the audit stream"),
        ("Used", f"{bytes_text(answer.used_bytes)} of {bytes_text(answer.file_bytes)} on disk"),
        ("Snapshots", f"{answer.snapshots}, newest at {answer.newest_snapshot_seq}"),
    ]
    print("\n".join(f"{name + ':':<11}{value}" for name, value in lines))
    if output == "wide":
        for tag, count in sorted(answer.by_type.items()):
            print(f"  {count:>8}  {tag}")


def export(
    file: Annotated[
        str, Parameter(help="Where to write the archive, or - for standard output.", allow_leading_hyphen=True)
    ],
    /,
    *,
    force: Annotated[bool, Parameter(name="--force", negative="", help="Replace a file that is there.")] = False,
    dir: Annotated[str, Parameter(name="--dir", help="From a journal directory, without a machine.")] = "",
    secrets: Annotated[
        str,
        Parameter(name="--secrets", help="Write all sealed values here, too, under a passphrase that is asked for."),
    ] = "",
    passphrase_file: Annotated[
        str, Parameter(name="--passphrase-file", help="The passphrase is this file's first line: not asked.")
    ] = "",
    common: Common = COMMON,
) -> None:
    """Write the whole journal into a compressed archive that proves itself.

    Values of secrets and of env are not in it. To move a machine, have them in a file of their own: `capsulectl
    restore` takes both.

    Example: capsulectl journal export memory.capsule
    Example: capsulectl journal export memory.capsule --secrets secrets.sealed
    """
    from capsulectl.sealed_file import check_wanted

    check_wanted(passphrase_file, secrets)
    target = to_write(file, force)
    if target is None and sys.stdout.isatty():
        raise Failure("an archive is nothing for a terminal: name a file, or lead the output somewhere", USAGE)
    if secrets and dir:
        raise Failure(
            "sealed values are the machine's, not the journal's: --secrets asks a machine, without --dir", USAGE
        )
    values = check_new(secrets, force) if secrets else None
    if values is not None and target is not None and os.path.realpath(values) == os.path.realpath(target):
        raise Failure(f"{secrets} is where the journal is written: name another file for the sealed values", USAGE)
    passphrase = "" if values is None else _passphrase(passphrase_file)
    where = "standard output" if target is None else file
    if dir:
        taken = _proven_here(Path(dir))
        _write(target, _exported_here(taken), where, common.quiet)
        if taken.lost:
            raise Failure(
                f"{where} holds entries {taken.first} to {taken.last}, which are proven, and not the rest: {taken.lost}"
            )
        return
    connection = Connection(common.capsule)
    _write(target, exported_there(connection), where, common.quiet)
    if values is not None:
        _export_secrets(connection, values, passphrase, common.quiet)


def _write(target: Path | None, blocks: Iterator[bytes], where: str, quiet: bool) -> None:
    sent = 0
    with written(target) as out:
        for block in blocks:
            sent += out.write(block)
    say(f"{where}: {bytes_text(sent)}", quiet)


def _passphrase(file: str) -> str:
    from capsulectl.sealed_file import passphrase_of

    return passphrase_of(file, twice=True)


def _export_secrets(connection: Connection, target: Path, passphrase: str, quiet: bool) -> None:
    """After the archive: what it names is still there then, or gone for good."""
    from capsule.v1 import history_pb2, move_pb2
    from capsulectl.sealed_file import Sealed, sealed

    journal_id = connection.read(connection.history.Stats, history_pb2.StatsRequest()).journal_id
    naming_key, values, broken = b"", [], 0
    for message in connection.stream(connection.move.Secrets, move_pb2.MoveSecretsRequest(), timeout=EXPORT_S):
        naming_key = message.naming_key or naming_key
        values += message.values
        broken += message.broken
    with new_file(target, 0o600) as out:
        out.write(sealed(Sealed(journal_id, naming_key, tuple(values)), passphrase))
    say(f"{target}: {len(values)} values, under the passphrase", quiet)
    if broken:
        raise Failure(f"{broken} more values are named and cannot be opened here: {target} lacks them")


class _Taken(NamedTuple):
    """What an export can take along of a journal: these entries. `lost`: why not all; then also not the reads."""

    directory: Path
    first: int
    last: int
    lost: str


def exported_there(connection: Connection) -> Iterator[bytes]:
    """The machine's archive, in blocks."""
    from capsule.v1 import history_pb2

    for chunk in connection.stream(connection.history.Export, history_pb2.ExportRequest(), timeout=EXPORT_S):
        yield chunk.data


def _proven_here(directory: Path) -> _Taken:
    """What a process apart has read: the rest may kill who reads it."""
    report = _report(directory)
    lost = "; ".join(finding.problem for finding in report.findings)
    if lost and not report.head_seq:
        raise Failure(f"nothing can be exported: {lost}")
    return _Taken(directory, report.first_seq, report.head_seq, lost)


def _exported_here(taken: _Taken) -> Iterator[bytes]:
    from journal import archive
    from journal.environment import Environment
    from journal.errors import JournalError
    from journal.proven import ProvenReader
    from journal.reader import Reader

    try:
        environment = Environment(taken.directory, readonly=True)
        reader = ProvenReader(environment, taken.last) if taken.lost else Reader(environment)
        yield from archive.export(reader, reader.journal_id)
        environment.close()
    except JournalError as error:
        raise Failure(str(error)) from error


def import_(
    file: Annotated[str, Parameter(help="The archive.")],
    /,
    *,
    dir: Annotated[str, Parameter(name="--dir", help="The journal directory to make; it must hold none.")],
    verify_: Annotated[
        bool, Parameter(name="--verify", negative="", help="Read it back from the disk and prove it once more.")
    ] = False,
    common: Common = COMMON,
) -> None:
    """Make a journal from an archive, checked entry by entry. For a machine that is not running.

    Example: capsulectl journal import memory.capsule --dir /var/lib/capsule/journal
    """
    from journal.archive import import_archive
    from journal.errors import JournalError

    try:
        with open(file, "rb") as source:
            title = import_archive(source, Path(dir))
    except OSError as error:
        raise Failure(f"{error.filename or file}: {error.strerror}") from error
    except JournalError as error:
        raise Failure(str(error)) from error
    say(f"entries {title.first_seq} to {title.last_seq} of journal {title.journal_id} are in {dir}", common.quiet)
    if verify_ and (findings := _verified_here(Path(dir))["findings"]):
        raise Failure(f"what is on the disk is not what was written: {'; '.join(findings)}")
