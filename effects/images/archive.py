"""An image archive, as OCI and docker-save write it: what its members are, and which images they make up.

An OCI archive brings its index, manifests and blobs; a docker-save archive only layers and configs, for which the
manifest is made here, always with the same bytes for the same image. Large members are in the content store by now and
only named here; small ones are here whole. No I/O but the reading of a document that was large enough to be stored.
"""

import posixpath
from collections.abc import Awaitable, Callable

import msgspec

from effects.errors import ImageCorrupt, ImageUnreadable
from effects.images import oci
from effects.images.reference import BadReference, normalise

_NAME_KEYS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_LINKS_DEEP = 8


class Kept(msgspec.Struct, frozen=True):
    """A member that is a file. `content` is None where the content store has it. `head`: its first bytes."""

    digest: str
    size: int
    head: bytes
    content: bytes | None = None


class Link(msgspec.Struct, frozen=True):
    """A member that stands for another. Older docker writes a repeated layer as a link to the first."""

    target: str


class Document(msgspec.Struct, frozen=True):
    """A blob to store that was small enough to be kept. `labels` tie it to what it names."""

    digest: str
    content: bytes
    labels: dict[str, str] = {}


class ArchivedImage(msgspec.Struct, frozen=True):
    """One image of an archive. `documents` are ordered: what is named comes before what names it; `labels` are those
    of blobs that are in the content store."""

    refs: tuple[str, ...]
    target: oci.Descriptor
    platform_digest: str
    size_bytes: int
    documents: tuple[Document, ...]
    labels: dict[str, dict[str, str]]


Read = Callable[[str], Awaitable[bytes]]
"""A document in the content store, by digest."""


class Archive:
    """The members of an archive, by normalised name. `name` is for its one image, whatever that calls itself.
    Raises ImageUnreadable, ImageCorrupt, WrongArchitecture everywhere."""

    def __init__(
        self, members: dict[str, Kept | Link], read: Read, architecture: oci.Architecture, name: str = ""
    ) -> None:
        self._members = members
        self._read = read
        self._architecture = architecture
        self._name = name

    async def images(self) -> tuple[ArchivedImage, ...]:
        """Everything the archive brings."""
        if "index.json" in self._members and "oci-layout" in self._members:
            index = oci.parse(await self._document("index.json"), oci.Index, "index.json")
            self._check_name({descriptor.digest for descriptor in index.manifests})
            found = [await self._oci_image(descriptor) for descriptor in index.manifests]
        elif "manifest.json" in self._members:
            saved = oci.parse(await self._document("manifest.json"), tuple[_Saved, ...], "manifest.json")
            self._check_name({one.config for one in saved})
            found = [await self._saved_image(one) for one in saved]
        else:
            raise ImageUnreadable("this is no image archive: it has neither an index.json nor a manifest.json")
        if not found:
            raise ImageUnreadable("the archive holds no image")
        return tuple(found)

    def _check_name(self, images: set[str]) -> None:
        """One that has two tags may stand there twice."""
        if self._name and len(images) > 1:
            raise ImageUnreadable(
                f"the archive holds {len(images)} images, and `--name` is one name: push it without, or one image at a "
                "time"
            )

    # --- OCI -----------------------------------------------------------------------------------------------------

    async def _oci_image(self, target: oci.Descriptor) -> ArchivedImage:
        labels: dict[str, dict[str, str]] = {}
        chosen, above = target, []
        while chosen.media_type in oci.INDEX_TYPES:
            index = oci.parse(await self._blob(chosen), oci.Index, "index")
            above.append(chosen)
            labels[chosen.digest] = {}
            chosen = oci.choose(index.manifests, self._architecture)
            labels[above[-1].digest]["containerd.io/gc.ref.content.m.0"] = chosen.digest
            if len(above) > _LINKS_DEEP:
                raise ImageUnreadable("the image's indexes lead nowhere")
        if chosen.media_type not in oci.MANIFEST_TYPES:
            raise ImageUnreadable(f"{chosen.media_type} is no image")
        manifest = oci.parse(await self._blob(chosen), oci.Manifest, "manifest")
        labels[chosen.digest] = oci.references(manifest)
        oci.check_platform(oci.parse_facts(await self._blob(manifest.config)), self._architecture)
        parts = (*manifest.layers, manifest.config, chosen, *reversed(above))
        members = {part.digest: self._found(part) for part in parts}
        documents = tuple(
            Document(digest, kept.content, labels.get(digest, {}))
            for digest, kept in members.items()
            if kept.content is not None
        )
        stored = {digest: labels.get(digest, {}) for digest, kept in members.items() if kept.content is None}
        size = oci.stored_bytes(manifest, chosen, *above)
        return ArchivedImage(self._names(target), target, chosen.digest, size, documents, stored)

    def _names(self, target: oci.Descriptor) -> tuple[str, ...]:
        said = target.annotations or {}
        names = [said[key] for key in _NAME_KEYS if key in said]
        # skopeo writes only the tag; a tag alone names nothing.
        full = next((name for name in names if "/" in name or ":" in name), "")
        return (self._normal(self._name or full),)

    def _normal(self, name: str) -> str:
        if not name:
            raise ImageUnreadable("the archive does not say the image's name: give one with `--name`")
        try:
            return normalise(name)
        except BadReference as error:
            raise ImageUnreadable(str(error)) from error

    def _found(self, descriptor: oci.Descriptor) -> Kept:
        kept = self._members.get("blobs/" + descriptor.digest.replace(":", "/"))
        if not isinstance(kept, Kept):
            raise ImageUnreadable(f"the archive lacks a blob that it names ({descriptor.digest})")
        if kept.size != descriptor.size:
            raise ImageUnreadable(f"the archive's blob {descriptor.digest} has another size than its descriptor says")
        if kept.digest != descriptor.digest:
            raise ImageCorrupt(f"a blob of the image is not what its digest {descriptor.digest} says: make it anew")
        return kept

    async def _blob(self, descriptor: oci.Descriptor) -> bytes:
        return await self._content(self._found(descriptor))

    # --- docker save ---------------------------------------------------------------------------------------------

    async def _saved_image(self, saved: "_Saved") -> ArchivedImage:
        config = await self._document(saved.config)
        oci.check_platform(oci.parse_facts(config), self._architecture)
        layers = [self._member(name) for name in saved.layers]
        manifest = oci.Manifest(
            config=oci.Descriptor(oci.CONFIG_TYPE, oci.digest_of(config), len(config)),
            written=tuple(oci.Descriptor(_layer_type(layer.head), layer.digest, layer.size) for layer in layers),
        )
        content = msgspec.json.encode(manifest)
        target = oci.Descriptor(oci.MANIFEST_TYPE, oci.digest_of(content), len(content))
        small = {layer.digest: layer.content for layer in layers if layer.content is not None}
        documents = (
            *(Document(digest, layer) for digest, layer in small.items()),
            Document(manifest.config.digest, config),
            Document(target.digest, content, oci.references(manifest)),
        )
        tags = (self._name,) if self._name else (saved.tags or ("",))
        return ArchivedImage(
            tuple(self._normal(tag) for tag in tags),
            target,
            target.digest,
            oci.stored_bytes(manifest, target),
            documents,
            {layer.digest: {} for layer in layers if layer.content is None},
        )

    # --- members -------------------------------------------------------------------------------------------------

    def _member(self, name: str) -> Kept:
        name = posixpath.normpath(name)
        for _ in range(_LINKS_DEEP):
            member = self._members.get(name)
            if isinstance(member, Kept):
                return member
            if member is None:
                break
            name = member.target
        raise ImageUnreadable(f"the archive lacks {name}, which it names")

    async def _document(self, name: str) -> bytes:
        return await self._content(self._member(name))

    async def _content(self, kept: Kept) -> bytes:
        return await self._read(kept.digest) if kept.content is None else kept.content


class _Saved(msgspec.Struct, frozen=True):
    config: str = msgspec.field(name="Config")
    layers: tuple[str, ...] = msgspec.field(name="Layers")
    tags: tuple[str, ...] | None = msgspec.field(default=None, name="RepoTags")


def _layer_type(head: bytes) -> str:
    suffix = "+gzip" if head[:2] == b"\x1f\x8b" else "+zstd" if head[:4] == b"\x28\xb5\x2f\xfd" else ""
    return oci.LAYER_TYPE + suffix
