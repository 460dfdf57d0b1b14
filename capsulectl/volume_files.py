"""`capsulectl volume export` and `import`: what a volume holds, as a file that proves itself."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import volume_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.files import check_no_option, to_send, to_write, written
from capsulectl.options import COMMON, Common, Output
from capsulectl.progress import bar
from capsulectl.render import say, write
from capsulectl.sending import UNCHANGED, send
from capsulectl.volume import Name, New, as_data
from projections.words import bytes_text

CHUNK_BYTES = 256 << 10


def export(
    name: Name,
    file: Annotated[str, Parameter(help="The file to write, or - for standard output.", allow_leading_hyphen=True)],
    /,
    *,
    snapshot: Annotated[
        str, Parameter(name="--snapshot", help="Of this snapshot; left out, one is taken and removed again.")
    ] = "",
    force: Annotated[bool, Parameter(name="--force", negative="", help="Replace a file that is there.")] = False,
    common: Common = COMMON,
) -> None:
    """Write what a volume holds into a compressed file with a checksum, while its workload goes on.

    Example: capsulectl volume export data data.volume
    """
    target = to_write(file, force)
    if target is None and sys.stdout.isatty():
        raise Failure("a volume is nothing for a terminal: name a file, or lead the output somewhere", USAGE)
    connection = Connection(common.capsule)
    request = pb.VolumeExportRequest(name=name, snapshot=snapshot)
    sent = total = 0
    with written(target) as out, bar(common.quiet) as show:
        for chunk in connection.stream(connection.volume_data.Export, request):
            out.write(chunk.data)
            sent, total = sent + len(chunk.data), chunk.total_bytes
            show(name, chunk.done_bytes, chunk.total_bytes, "" if sent else "taking a snapshot")
    say(f"{file}: {bytes_text(sent)}, of {bytes_text(total)} of data", common.quiet)


def import_(
    name: New,
    file: Annotated[str, Parameter(help="The file, or - for standard input.", allow_leading_hyphen=True)],
    /,
    *,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """Make a volume of an exported one, or give a lost one its content back. It is there when all of it is, or not.

    Example: capsulectl volume import data data.volume
    """
    check_no_option(file)
    source, total = to_send(file)
    connection = Connection(common.capsule)
    with bar(common.quiet) as show:

        def messages() -> Iterator[Any]:
            yield pb.VolumeImportRequest(metadata=pb.VolumeImportMetadata(name=name, total_bytes=total))
            done = 0
            while chunk := source.read1(CHUNK_BYTES):
                yield pb.VolumeImportRequest(chunk=chunk)
                done += len(chunk)
                show(name, done, total, "sending")

        volume = send(connection, connection.volume_data.Import, messages(), file, timeout=None, then=UNCHANGED)
    if output in ("json", "yaml"):
        write(as_data(volume), output)
    else:
        print(name if output == "name" else f"volume/{name} imported, {bytes_text(volume.size_bytes)}")
