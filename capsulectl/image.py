"""`capsulectl image …`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import image_cache_pb2
from capsule.v1 import image_pb2 as pb
from capsulectl.archive import images_in, known_blobs, without
from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.files import to_send
from capsulectl.moments import At, as_of
from capsulectl.names import image_names
from capsulectl.options import COMMON, Common, DryRun, Output, Unasked, Yes
from capsulectl.progress import bar
from capsulectl.prompt import confirm
from capsulectl.render import age, moment, say, show_table, table, write_items
from capsulectl.sending import UNCHANGED, send
from capsulectl.words import short_image
from projections.words import bytes_text

NO_NAME = "(none)"

Refs = Annotated[list[str], Parameter(help="Images' names, or digests.", completer=image_names, negative="")]


def list_(
    *,
    all_: Annotated[
        bool, Parameter(name=["-a", "--all"], negative="", help="Also images that are kept without a name.")
    ] = False,
    output: Output = "table",
    at: At = "",
    common: Common = COMMON,
) -> None:
    """List images. SIZE is what is stored as it came; UNPACKED comes on top of it, shared layers counted in full.

    Example: capsulectl image list -o wide
    """
    connection = Connection(common.capsule)
    past = as_of(connection, at, common.quiet, "images") if at else None
    request = pb.ImageListRequest(all=all_, details=output != "table" and output != "name")
    images = (past or connection.read(connection.images.List, request)).images
    now_ns = None if past is None else past.at_unix_ns
    if write_items(images, output, lambda image: image.name or image.index_digest):
        return
    if output == "table":
        rows = [
            (
                short_image(image.name) or NO_NAME,
                image.index_digest[:19],
                bytes_text(image.size_bytes),
                age(_ns(image.created_unix), now_ns),
            )
            for image in images
        ]
        show_table(("NAME", "DIGEST", "SIZE", "AGE"), rows)
    else:
        print(
            table(
                ("NAME", "DIGEST", "SIZE", "UNPACKED", "BUILT", "AGE", "USED BY"),
                [_wide(one, now_ns) for one in images],
            )
        )


def _wide(image: Any, now_ns: int | None) -> tuple[str, ...]:
    return (
        image.name or NO_NAME,
        image.index_digest,
        bytes_text(image.size_bytes),
        bytes_text(image.unpacked_bytes),
        moment(_ns(image.built_unix))[:10] if image.built_unix else "",
        age(_ns(image.created_unix), now_ns),
        ", ".join((*image.used_by, *(f"({name})" for name in image.kept_for))),
    )


def _ns(seconds: int) -> int:
    return seconds * 1_000_000_000


def pull(
    refs: Annotated[list[str], Parameter(help="Images, by name.", completer=image_names, negative="")],
    /,
    *,
    common: Common = COMMON,
) -> None:
    """Bring images from their registries, whatever is here under these names. Prints name and digest.

    Example: capsulectl image pull registry.lan:5000/web:2
    """
    connection = Connection(common.capsule)
    for ref in refs:
        with bar(common.quiet) as show:
            for item in connection.stream(
                connection.image_cache.Pull, image_cache_pb2.ImagePullRequest(ref=ref), changes=True
            ):
                done = item.layers and item.unpacked == item.layers
                words = f"layer {min(item.unpacked + 1, item.layers)} of {item.layers}" if item.layers else "asking"
                show(short_image(item.ref), item.done_bytes, item.total_bytes, "" if done else words)
        say(f"{bytes_text(item.received_bytes)} received", common.quiet)
        print(f"{short_image(item.image.name)}  {item.image.index_digest}")


def rm(refs: Refs, /, *, dry_run: DryRun = False, yes: Unasked = False, common: Common = COMMON) -> None:
    """Take images out of the cache. One that a workload uses is refused.

    Example: capsulectl image rm web:1
    """
    connection = Connection(common.capsule)
    caches = connection.image_cache
    for ref in refs:
        request = image_cache_pb2.ImageRemoveRequest(ref=ref, dry_run=dry_run)
        _tell(connection.call(caches.Remove, request), dry_run, common)


def gc(
    *,
    all_: Annotated[bool, Parameter(name=["-a", "--all"], negative="", help="Also images that have a name.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    common: Common = COMMON,
) -> None:
    """Take out of the cache what no workload's last five revisions need, and what broken-off pushes and pulls left.

    Example: capsulectl image gc --all --dry-run
    """
    if all_ and not dry_run:
        confirm("Remove every image that no workload's last revisions use?", yes)
    connection = Connection(common.capsule)
    request = image_cache_pb2.ImageCollectRequest(all=all_, dry_run=dry_run)
    _tell(connection.call(connection.image_cache.Collect, request), dry_run, common)


def _tell(removal: Any, dry_run: bool, common: Common) -> None:
    for name in removal.names:
        print(short_image(name))
    for digest in removal.digests:
        print(digest)
    freed = bytes_text(removal.freed_bytes)
    if not dry_run:
        say(f"{freed} freed", common.quiet)
    elif removal.names or removal.digests:
        say(f"{freed} would be freed, and their unpacked layers", common.quiet)
    else:
        say("nothing would be removed", common.quiet)


def push(
    archive: Annotated[str, Parameter(help="The archive, or - for standard input.", allow_leading_hyphen=True)],
    /,
    *,
    name: Annotated[
        str,
        Parameter(
            name="--name", help="The image's name, instead of what the archive says. For an archive of one image."
        ),
    ] = "",
    common: Common = COMMON,
) -> None:
    """Load an OCI or docker-save archive into the cache.

    Example: podman save web | capsulectl image push -
    """
    if archive.startswith("-") and archive != "-":
        raise Failure(f"unknown option {archive}", USAGE)
    source, total = to_send(archive)
    held = images_in(Path(archive)) if name and archive != "-" else 0
    if held > 1:
        raise Failure(f"{archive} holds {held} images, and --name is one name: push it without", USAGE)
    connection = Connection(common.capsule)
    known = known_blobs(connection, Path(archive)) if archive != "-" and Path(archive).is_file() else ()
    metadata = pb.ImagePushMetadata(total_bytes=total, ref=name, blobs=known)
    skipped = sum(one.skipped for one in known)
    with bar(common.quiet) as show:

        def messages() -> Iterator[Any]:
            yield pb.ImagePushRequest(metadata=metadata)
            done = skipped
            for chunk in without(source, known):
                yield pb.ImagePushRequest(chunk=chunk)
                done += len(chunk)
                show(archive, done, total, "sending")
            show(archive, done, total, "unpacking")

        # No deadline: a slow line takes what it takes, and a capsule that is gone is noticed by the connection itself.
        answer = send(connection, connection.images.Push, messages(), archive, timeout=None, then=UNCHANGED)
    here = f", {bytes_text(skipped)} were here already" if skipped else ""
    say(f"{bytes_text(answer.bytes_received)} received{here}", common.quiet)
    for ref in answer.image_refs:
        print(short_image(ref))
