"""`capsulectl restore`: a blank machine takes over the memory in an archive, and does what is wanted in it."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter

from capsulectl.admitted import Admitted, admitted
from capsulectl.connection import Connection
from capsulectl.contexts import Target
from capsulectl.errors import TIMED_OUT, USAGE, Failure, Impostor, NotLetIn
from capsulectl.files import file_to_send
from capsulectl.heads import Seen, keep
from capsulectl.inventory import Lack, Remembered, lacks, needed_images, remembered
from capsulectl.options import COMMON, Common, DryRun, Output, Timeout, Yes
from capsulectl.progress import bar
from capsulectl.prompt import confirm
from capsulectl.render import moment, say, show_table, shown_beside, write
from capsulectl.sealed_file import Sealed, check_wanted, passphrase_of, unsealed
from capsulectl.sending import UNCHANGED, send

CHUNK_BYTES = 256 << 10
VALUES_BYTES = 1 << 20
RESTORE_S = 3_600.0
LOOK_S = 0.2
_NAMED_MOST = 3
"""Of what a machine has that is not blank."""


def restore(
    file: Annotated[str, Parameter(help="The archive, of `capsulectl journal export`.")],
    /,
    *,
    secrets: Annotated[
        str, Parameter(name="--secrets", help="The file of sealed values that was exported with it.")
    ] = "",
    passphrase_file: Annotated[
        str, Parameter(name="--passphrase-file", help="Its passphrase is this file's first line: not asked.")
    ] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    timeout: Timeout = 120,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """Have a blank machine take over another's memory: the same is wanted of it, and it begins to do it.

    The keys that open the machine from then on, and what the archive does not hold, are listed first: images, secrets'
    values, what volumes hold. Your own key stays an admin's. Workloads whose sealed values are not in --secrets wait
    until they are given again.

    Example: capsulectl --capsule new restore memory.capsule --secrets secrets.sealed
    Example: capsulectl restore memory.capsule --dry-run
    """
    check_wanted(passphrase_file, secrets)
    past = remembered(file)
    sealed = _values_of(secrets, passphrase_file, past, file) if secrets else None
    connection = Connection(common.capsule)
    _check_blank(connection)
    admits = _admits(connection, past)
    missing = lacks(past, _held(connection, past), frozenset() if sealed is None else sealed.names)
    if dry_run:
        _show(past, missing, admits, output)
        return
    if not yes:
        with shown_beside(output):
            _show(past, missing, admits, "table")
    elif past.unsaid:
        say(f"{file} lacks what it does not tell of: {'; '.join(past.unsaid)}", common.quiet)
    confirm(f"Let {_machine(connection)} take it over?", yes)
    answer = _send(connection, file, sealed, common)
    _wait(connection.target, answer, timeout)
    _tell(past, answer, missing, admits, output, common)


def _values_of(secrets: str, passphrase_file: str, past: Remembered, file: str) -> Sealed:
    sealed = unsealed(secrets, partial(passphrase_of, passphrase_file, twice=False))
    if sealed.journal_id != past.title.journal_id:
        raise Failure(f"{secrets} holds the secrets of another machine's journal than {file}", USAGE)
    return sealed


def _check_blank(connection: Connection) -> None:
    """The machine says so itself, too; here it is said before anything was sent."""
    from capsule.v1 import secret_pb2, volume_pb2, workload_pb2

    found = {
        "workload": connection.read(connection.workloads.List, workload_pb2.WorkloadListRequest()).workloads,
        "volume": connection.read(connection.volumes.List, volume_pb2.VolumeListRequest()).volumes,
        "secret": connection.read(connection.secrets.List, secret_pb2.SecretListRequest()).secrets,
    }
    if any(found.values()):
        has = _inhabited({kind: [one.name for one in some] for kind, some in found.items()})
        raise Failure(
            f"{_machine(connection)} is not blank, it has {has}: start capsuled with a state directory of its own, and "
            "restore there"
        )


def _inhabited(found: dict[str, list[str]]) -> str:
    counts = ", ".join(_counted(len(names), kind) for kind, names in found.items() if names)
    names = [name for some in found.values() for name in some]
    more = f" and {len(names) - _NAMED_MOST} more" if len(names) > _NAMED_MOST else ""
    return f"{counts} ({', '.join(names[:_NAMED_MOST])}{more})"


def _machine(connection: Connection) -> str:
    return connection.target.name or connection.address


def _held(connection: Connection, past: Remembered) -> frozenset[str]:
    from capsule.v1 import image_cache_pb2

    wanted = list(needed_images(past.machine))
    held = connection.read(connection.image_cache.Held, image_cache_pb2.ImageHeldRequest(digests=wanted)).held_bytes
    return frozenset(digest for digest, size in zip(wanted, held, strict=True) if size)


def _admits(connection: Connection, past: Remembered) -> Admitted:
    from capsule.v1 import identity_pb2

    who = connection.read(connection.identity.WhoAmI, identity_pb2.WhoAmIRequest())
    return admitted(past.machine, who, connection.read(connection.identity.KeyList, identity_pb2.KeyListRequest()).keys)


def _send(connection: Connection, file: str, sealed: Sealed | None, common: Common) -> Any:
    from capsule.v1 import move_pb2 as pb

    source, total = file_to_send(file)
    with bar(common.quiet) as show:

        def messages() -> Iterator[Any]:
            yield pb.RestoreRequest(metadata=pb.RestoreMetadata(total_bytes=total))
            yield from _values(sealed)
            done = 0
            while chunk := source.read(CHUNK_BYTES):
                yield pb.RestoreRequest(chunk=chunk)
                done += len(chunk)
                show(os.path.basename(file), done, total, "proving it" if done == total else "sending")

        return send(connection, connection.move.Restore, messages(), file, timeout=RESTORE_S, then=UNCHANGED)


def _values(sealed: Sealed | None) -> Iterator[Any]:
    """In messages of a size that is taken."""
    from capsule.v1 import move_pb2 as pb

    if sealed is None:
        return
    message, size = pb.SealedValues(naming_key=sealed.naming_key), 0
    for value in sealed.values:
        message.values.append(value)
        size += len(value)
        if size >= VALUES_BYTES:
            yield pb.RestoreRequest(sealed=message)
            message, size = pb.SealedValues(), 0
    yield pb.RestoreRequest(sealed=message)


def _wait(target: Target, answer: Any, timeout: float) -> None:
    """Until the daemon's next life has taken it over."""
    deadline = time.monotonic() + timeout
    while (stats := _taken_over(target, answer)) is None:
        if time.monotonic() > deadline:
            raise Failure(
                "the archive has arrived, and the machine has not begun anew with it yet: look at "
                "`capsulectl journal stats` and at the daemon's own output",
                TIMED_OUT,
            )
        time.sleep(LOOK_S)
    keep(target.machine, Seen(answer.journal_id, answer.head_seq, answer.head_hash))
    if stats.desired_hash != answer.desired_hash:
        raise Failure(
            f"what is wanted here has the hash {stats.desired_hash} and was to have {answer.desired_hash}: somebody "
            "has declared something since, `capsulectl history` tells"
        )


def _taken_over(target: Target, answer: Any) -> Any:
    """What the machine says of its journal once that is the archive's; None while it is just beginning anew."""
    from capsule.v1 import history_pb2

    try:
        with closing(Connection(target)) as connection:
            connection.heads.rest()
            stats = connection.read(connection.history.Stats, history_pb2.StatsRequest())
    except NotLetIn as refusal:
        raise Failure(
            "the machine has taken over the archive, and with it the operators in there in place of its own: "
            f"{refusal.message}. A hosted capsule takes a key on the machine itself, by its socket: `capsulectl key "
            "add`. The operating system has no such place: boot another system there, have it leave the file "
            "`capsule/RESET_AUTH` as docs/security.md says under Adoption, and adopt the machine anew"
        ) from refusal
    except Impostor:
        raise
    except Failure:
        return None
    return stats if stats.journal_id == answer.journal_id else None


def _show(past: Remembered, missing: list[Lack], admits: Admitted, output: str) -> None:
    if output in ("json", "yaml"):
        write(_data(past, missing, admits), output)  # type: ignore[arg-type]
        return
    if output == "name":
        for one in missing:
            print(f"{one.kind}/{one.name}")
        return
    machine, title = past.machine, past.title
    print(f"Journal:  {title.journal_id}, entries {title.first_seq} to {title.last_seq}, {moment(machine.at)[:19]}")
    for lack in past.unsaid:
        print(f"Unsaid:   {lack}")
    wanted = ", ".join(
        _counted(len(some), word) for some, word in ((machine.workloads, "workload"), (machine.volumes, "volume"))
    )
    print(f"Wanted:   {wanted}; hash {past.desired_hash}")
    admits.show()
    if missing:
        print("\nNot in the archive:")
        show_table(("KIND", "NAME", "NOTE"), missing, cut=False)


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _data(past: Remembered, missing: list[Lack], admits: Admitted) -> dict[str, Any]:
    return {
        "journalId": past.title.journal_id,
        "headSeq": past.title.last_seq,
        "headHash": past.title.head_hash,
        "desiredHash": past.desired_hash,
        "keys": admits.data(),
        "missing": [one._asdict() for one in missing],
    } | ({"unsaid": list(past.unsaid)} if past.unsaid else {})


def _tell(past: Remembered, answer: Any, missing: list[Lack], admits: Admitted, output: str, common: Common) -> None:
    if output in ("json", "yaml"):
        write(_data(past, missing, admits) | {"values": answer.values}, output)  # type: ignore[arg-type]
        return
    if output == "name":
        print(answer.journal_id)
        return
    values = f", {answer.values} sealed values" if answer.values else ""
    print(f"restored to entry {answer.head_seq}{values}; wanted is {_like(past.desired_hash, answer.desired_hash)}")
    say(f"keys that open it: {admits.text()}. {admits.advice()}".rstrip(". "), common.quiet)
    for one in missing:
        say(f"{one.kind} {one.name}: {one.note}", common.quiet)


def _like(archived: str, now: str) -> str:
    if now == archived:
        return f"{now}, as in the archive"
    return f"as in the archive ({archived}) but for your key, which is an admin's now: {now}"
