"""An image archive before it is sent: which of its blobs the machine has already, and the bytes without those.

What is not plain to see (an archive packed as a whole, names that tell no digest) is sent like anything else.
"""

import hashlib
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any, NamedTuple

from capsule.v1 import image_cache_pb2
from capsule.v1 import image_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import Failure

CHUNK_BYTES = 1 << 20
WORTH_BYTES = 256 << 10
"""Smaller blobs are sent rather than asked for."""
_LAYOUT = re.compile(r"(?:\./)?blobs/sha256/([0-9a-f]{64})")
_NAMED = re.compile(r"(?:.*/)?(?:sha256:)?([0-9a-f]{64})\.tar(?:\.gz)?")
"""podman, skopeo and others call a layer by its digest in a docker-save archive, too. Nothing says that they must."""


_LIST_BYTES = 8 << 20
_LISTS: dict[str, Callable[[Any], Iterable[str]]] = {
    "index.json": lambda said: [one["digest"] for one in said["manifests"]],
    "manifest.json": lambda said: [one["Config"] for one in said],
}
"""What lists an archive's images, and each by what it is: an OCI layout's index, or docker-save's."""


class Blob(NamedTuple):
    """A member that is one by its name. `sure`: the format says that the name is the digest of the content."""

    offset: int
    size: int
    digest: str
    sure: bool


def known_blobs(connection: Connection, path: Path) -> Sequence[Any]:
    """What to announce of the archive: its blobs, each with as many bytes to leave out as the machine has."""
    found = blobs(path)
    if not found:
        return ()
    request = image_cache_pb2.ImageHeldRequest(digests=[one.digest for one in found])
    try:
        held = connection.read(connection.image_cache.Held, request).held_bytes
    except Failure:
        return ()  # an older capsule, or one that does not answer: the push will say
    announced = []
    for one, here in zip(found, held, strict=True):
        if one.sure or (here and digest_of(path, one) == one.digest):
            skipped = min(here, one.size)
            announced.append(pb.AnnouncedBlob(offset=one.offset, digest=one.digest, skipped=skipped))
    return announced


def blobs(path: Path) -> list[Blob]:
    """The large members whose names tell a digest; none where this is no plain tar. What is wrong with it the machine
    says when it is sent."""
    found: list[Blob] = []
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                sure = _LAYOUT.fullmatch(member.name)
                named = sure or _NAMED.fullmatch(member.name)
                if named is not None and member.isreg() and member.size >= WORTH_BYTES:
                    found.append(Blob(member.offset_data, member.size, f"sha256:{named[1]}", sure is not None))
    except (tarfile.TarError, OSError, ValueError):
        return []
    return found[:1_000]


def images_in(path: Path) -> int:
    """How many images the archive holds, as far as a plain tar tells; else 0. One of two tags may stand there twice."""
    for name, listed in _LISTS.items():
        try:
            with tarfile.open(path, "r:") as tar:
                file = next((one for one in tar if one.name.removeprefix("./") == name and one.isreg()), None)
                if file is not None and file.size <= _LIST_BYTES and (content := tar.extractfile(file)) is not None:
                    return len(set(listed(json.load(content))))
        except (tarfile.TarError, OSError, ValueError, KeyError, TypeError):
            return 0
    return 0


def digest_of(path: Path, blob: Blob) -> str:
    """What the member's content really is."""
    state, left = hashlib.sha256(), blob.size
    with path.open("rb") as file:
        file.seek(blob.offset)
        while left > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
            state.update(chunk)
            left -= len(chunk)
    return f"sha256:{state.hexdigest()}"


def without(source: BufferedIOBase, known: Sequence[Any]) -> Iterator[bytes]:
    """The archive's bytes in chunks, as they come, without what is left out of it."""
    at = 0
    for hole in sorted((one for one in known if one.skipped), key=lambda one: one.offset):
        yield from _upto(source, hole.offset - at)
        at = source.seek(hole.offset + hole.skipped)
    yield from _upto(source, None)


def _upto(source: BufferedIOBase, count: int | None) -> Iterator[bytes]:
    while count is None or count > 0:
        chunk = source.read1(CHUNK_BYTES if count is None else min(count, CHUNK_BYTES))
        if not chunk:
            return
        count = None if count is None else count - len(chunk)
        yield chunk
