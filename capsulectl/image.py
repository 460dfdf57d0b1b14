"""`capsulectl image …`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import image_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.options import COMMON, Common, Output
from capsulectl.render import age, plain, say, size, table, write
from capsulectl.workload import short_image

CHUNK_BYTES = 1 << 20
PUSH_S = 1_800.0


def list_(*, output: Output = "table", common: Common = COMMON) -> None:
    """List images.

    Example: capsulectl image list
    """
    connection = Connection(common.capsule)
    images = connection.call(connection.images.List, pb.ImageListRequest()).images
    if output in ("json", "yaml"):
        write([plain(image) for image in images], output)
    elif output == "name":
        for image in images:
            print(image.name)
    else:
        short = output == "table"
        rows = [
            (
                short_image(image.name) if short else image.name,
                image.digest[:19] if short else image.digest,
                size(image.size_bytes),
                age(image.created_unix * 1_000_000_000),
            )
            for image in images
        ]
        print(table(("NAME", "DIGEST", "SIZE", "AGE"), rows))


def push(
    archive: Annotated[str, Parameter(help="The archive, or - for standard input.", allow_leading_hyphen=True)],
    /,
    *,
    name: Annotated[str, Parameter(name="--name", help="The image's name, if the archive does not say it.")] = "",
    common: Common = COMMON,
) -> None:
    """Load an OCI or docker-save archive into the cache.

    Example: podman save web | capsulectl image push -
    """
    if archive.startswith("-") and archive != "-":
        raise Failure(f"unknown option {archive}", USAGE)
    try:
        total = 0 if archive == "-" else Path(archive).stat().st_size
        source = sys.stdin.buffer if archive == "-" else open(archive, "rb")  # noqa: SIM115 - read to its end below
    except OSError as error:
        raise Failure(f"{archive} cannot be read: {error.strerror}", USAGE) from error
    connection = Connection(common.capsule)
    answer = connection.call(connection.images.Push, _messages(source, total, name), timeout=PUSH_S)
    say(f"{size(answer.bytes_received)} received", common.quiet)
    for ref in answer.image_refs:
        print(short_image(ref))


def _messages(source: Any, total: int, name: str) -> Iterator[Any]:
    yield pb.ImagePushRequest(metadata=pb.ImagePushMetadata(total_bytes=total, ref=name))
    while chunk := source.read(CHUNK_BYTES):
        yield pb.ImagePushRequest(chunk=chunk)
