"""An image archive, as OCI and docker-save write it, read into what the image cache stores. No I/O but the tar's own.

An OCI archive brings its index, manifests and blobs; a docker-save archive only layers and configs, for which the
manifest is made here, always with the same bytes for the same image.
"""

import hashlib
import posixpath
import tarfile
from collections.abc import Iterator
from typing import IO

import msgspec

from effects.errors import ImageUnreadable
from effects.images import oci
from effects.images.reference import BadReference, normalise

CHUNK_BYTES = 1 << 20
_NAME_KEYS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class Blob(msgspec.Struct, frozen=True):
    """One blob to store: from a member of the archive, or (`content`) made here. `labels` tie it to what it names."""

    digest: str
    size: int
    member: str = ""
    content: bytes = b""
    labels: dict[str, str] = {}


class ArchivedImage(msgspec.Struct, frozen=True):
    """One image of an archive. Blobs are ordered: what is named comes before what names it."""

    refs: tuple[str, ...]
    target: oci.Descriptor
    platform_digest: str
    blobs: tuple[Blob, ...]

    @property
    def size_bytes(self) -> int:
        """Its size as stored."""
        return sum({blob.digest: blob.size for blob in self.blobs}.values())


class _Saved(msgspec.Struct, frozen=True):
    config: str = msgspec.field(name="Config")
    layers: tuple[str, ...] = msgspec.field(name="Layers")
    tags: tuple[str, ...] | None = msgspec.field(default=None, name="RepoTags")


class ImageArchive:
    """An opened archive. `fallback` names an image that carries no name. Raises ImageUnreadable everywhere."""

    def __init__(self, source: IO[bytes], architecture: str, fallback: str = "") -> None:
        self._architecture = architecture
        self._fallback = fallback
        try:
            self._tar = tarfile.open(fileobj=source, mode="r:*")  # noqa: SIM115 - lives as long as its source
            self._members = {posixpath.normpath(member.name): member for member in self._tar}
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ImageUnreadable(f"this is no image archive: {error}. Use an OCI or docker-save archive") from error

    def images(self) -> tuple[ArchivedImage, ...]:
        """Everything the archive brings."""
        if "index.json" in self._members and "oci-layout" in self._members:
            index = oci.parse(self._read("index.json"), oci.Index, "index.json")
            found = tuple(self._oci_image(descriptor) for descriptor in index.manifests)
        elif "manifest.json" in self._members:
            saved = oci.parse(self._read("manifest.json"), tuple[_Saved, ...], "manifest.json")
            found = tuple(self._saved_image(one) for one in saved)
        else:
            raise ImageUnreadable("this is no image archive: it has neither an index.json nor a manifest.json")
        if not found:
            raise ImageUnreadable("the archive holds no image")
        return found

    def chunks(self, blob: Blob) -> Iterator[bytes]:
        """A blob's bytes."""
        if blob.content:
            yield blob.content
            return
        with self._open(blob.member) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    # --- OCI -----------------------------------------------------------------------------------------------------

    def _oci_image(self, target: oci.Descriptor) -> ArchivedImage:
        blobs: list[Blob] = []
        chosen = target
        while chosen.media_type in oci.INDEX_TYPES:
            index = chosen
            chosen = oci.choose(oci.parse(self._blob(index), oci.Index, "index").manifests, self._architecture)
            blobs.append(self._stored(index, {"containerd.io/gc.ref.content.m.0": chosen.digest}))
        if chosen.media_type not in oci.MANIFEST_TYPES:
            raise ImageUnreadable(f"{chosen.media_type} is no image")
        manifest = oci.parse(self._blob(chosen), oci.Manifest, "manifest")
        blobs.append(self._stored(chosen, _references(manifest)))
        blobs.append(self._stored(manifest.config, {}))
        blobs.extend(self._stored(layer, {}) for layer in manifest.layers)
        return ArchivedImage(self._names(target), target, chosen.digest, tuple(reversed(blobs)))

    def _names(self, target: oci.Descriptor) -> tuple[str, ...]:
        names = [target.annotations[key] for key in _NAME_KEYS if key in target.annotations]
        # skopeo writes only the tag; a tag alone names nothing.
        full = next((name for name in names if "/" in name or ":" in name), "")
        return (self._normal(self._fallback or full),)

    def _normal(self, name: str) -> str:
        if not name:
            raise ImageUnreadable("the archive does not say the image's name: give one with `--name`")
        try:
            return normalise(name)
        except BadReference as error:
            raise ImageUnreadable(str(error)) from error

    def _stored(self, descriptor: oci.Descriptor, labels: dict[str, str]) -> Blob:
        member = "blobs/" + descriptor.digest.replace(":", "/")
        found = self._members.get(member)
        if found is None:
            raise ImageUnreadable(f"the archive lacks a blob that it names ({descriptor.digest})")
        if found.size != descriptor.size:
            raise ImageUnreadable(f"the archive's blob {descriptor.digest} has another size than its descriptor says")
        return Blob(descriptor.digest, descriptor.size, member=member, labels=labels)

    def _blob(self, descriptor: oci.Descriptor) -> bytes:
        content = self._read(self._stored(descriptor, {}).member)
        if oci.digest_of(content) != descriptor.digest:
            raise ImageUnreadable(f"a blob of the image is not what its digest {descriptor.digest} says")
        return content

    # --- docker save ---------------------------------------------------------------------------------------------

    def _saved_image(self, saved: _Saved) -> ArchivedImage:
        config = self._read(saved.config)
        layers = [self._layer(name) for name in saved.layers]
        manifest = oci.Manifest(
            config=oci.Descriptor(oci.CONFIG_TYPE, oci.digest_of(config), len(config)),
            layers=tuple(descriptor for descriptor, _ in layers),
        )
        content = msgspec.json.encode(manifest)
        digest = oci.digest_of(content)
        blobs = (
            *(blob for _, blob in layers),
            Blob(manifest.config.digest, len(config), content=config),
            Blob(digest, len(content), content=content, labels=_references(manifest)),
        )
        tags = (self._fallback,) if self._fallback else (saved.tags or ("",))
        return ArchivedImage(
            tuple(self._normal(tag) for tag in tags),
            oci.Descriptor(oci.MANIFEST_TYPE, digest, len(content)),
            digest,
            blobs,
        )

    def _layer(self, name: str) -> tuple[oci.Descriptor, Blob]:
        """A layer's digest is of its bytes as they stand here, compressed or not."""
        member = self._member(name)
        digest, head = hashlib.sha256(), b""
        with self._open(member.name) as file:
            while chunk := file.read(CHUNK_BYTES):
                head = head or chunk[:4]
                digest.update(chunk)
        suffix = "+gzip" if head[:2] == b"\x1f\x8b" else "+zstd" if head == b"\x28\xb5\x2f\xfd" else ""
        named = f"sha256:{digest.hexdigest()}"
        return oci.Descriptor(oci.LAYER_TYPE + suffix, named, member.size), Blob(named, member.size, member=member.name)

    # --- members -------------------------------------------------------------------------------------------------

    def _member(self, name: str) -> tarfile.TarInfo:
        """Older docker writes a repeated layer as a link to the first."""
        for _ in range(8):
            member = self._members.get(posixpath.normpath(name))
            if member is None:
                break
            if not (member.issym() or member.islnk()):
                return member
            base = "" if member.islnk() else posixpath.dirname(member.name)
            name = posixpath.join(base, member.linkname)
        raise ImageUnreadable(f"the archive lacks {name}, which it names")

    def _open(self, name: str) -> IO[bytes]:
        file = self._tar.extractfile(self._member(name))
        if file is None:
            raise ImageUnreadable(f"{name} in the archive is no file")
        return file

    def _read(self, name: str) -> bytes:
        try:
            with self._open(name) as file:
                return file.read(8 << 20)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ImageUnreadable(f"{name} in the archive cannot be read: {error}") from error


def _references(manifest: oci.Manifest) -> dict[str, str]:
    labels = {"containerd.io/gc.ref.content.config": manifest.config.digest}
    for number, layer in enumerate(manifest.layers):
        labels[f"containerd.io/gc.ref.content.l.{number}"] = layer.digest
    return labels
