"""The parts of the OCI image format that Capsule reads. Source: OCI image specification 1.1, Docker image schema 2.

Builders in Go write null for a list or a text that they have none of: it is read as what is left out.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from effects.errors import ImageUnreadable, WrongArchitecture
from effects.runs.process import ImageConfig
from journal.entry import UNREADABLE

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
MANIFEST_TYPES = (MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json")
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


class Architecture(msgspec.Struct, frozen=True):
    """What a machine's processor is called in images, and the variants of it that it runs, the most wanted first. The
    empty one is what names none."""

    name: str
    variants: tuple[str, ...] = ("",)


class Platform(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a manifest was built for."""

    architecture: str = ""
    os: str = ""
    variant: str = ""


class Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """A blob by digest."""

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: dict[str, str] | None = None


class Index(msgspec.Struct, frozen=True, rename="camel"):
    """Several manifests, for several platforms."""

    manifests: tuple[Descriptor, ...]


class Manifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One image for one platform."""

    config: Descriptor
    written: tuple[Descriptor, ...] | None = msgspec.field(name="layers")
    schema_version: int = 2
    media_type: str | None = MANIFEST_TYPE

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """Lowest first."""
        return self.written or ()


class _Process(msgspec.Struct, frozen=True):
    entrypoint: tuple[str, ...] | None = msgspec.field(default=None, name="Entrypoint")
    command: tuple[str, ...] | None = msgspec.field(default=None, name="Cmd")
    env: tuple[str, ...] | None = msgspec.field(default=None, name="Env")
    working_dir: str | None = msgspec.field(default=None, name="WorkingDir")
    user: str | None = msgspec.field(default=None, name="User")
    stop_signal: str | None = msgspec.field(default=None, name="StopSignal")


class _RootFs(msgspec.Struct, frozen=True):
    diff_ids: tuple[str, ...] | None = None


class _Config(msgspec.Struct, frozen=True):
    rootfs: _RootFs
    config: _Process | None = None
    architecture: str = ""
    os: str = ""
    created: str | None = None


class ConfigFacts(msgspec.Struct, frozen=True):
    """What the config says beyond the process: the platform it is for, when it was built (RFC 3339, or nothing)."""

    architecture: str
    os: str
    created: str


T = TypeVar("T")


def parse(content: bytes, kind: type[T], what: str) -> T:
    """JSON to a Struct. Raises ImageUnreadable, naming `what`."""
    try:
        return msgspec.json.decode(content, type=kind)
    except UNREADABLE as error:
        raise ImageUnreadable(f"the image's {what} cannot be read: {error}") from error


def parse_config(content: bytes) -> tuple[ImageConfig, tuple[str, ...]]:
    """What the config says of the process, and the digests of the unpacked layers."""
    config = parse(content, _Config, "config")
    process = config.config or _Process()
    return (
        ImageConfig(
            entrypoint=process.entrypoint or (),
            command=process.command or (),
            env=process.env or (),
            working_dir=process.working_dir or "",
            user=process.user or "",
            stop_signal=process.stop_signal or "",
        ),
        config.rootfs.diff_ids or (),
    )


def parse_facts(content: bytes) -> ConfigFacts:
    """What the config says of the image itself."""
    config = parse(content, _Config, "config")
    return ConfigFacts(config.architecture, config.os, config.created or "")


def check_platform(config: ConfigFacts, architecture: Architecture) -> None:
    """Raises WrongArchitecture when the config says that it is for another machine. One that says nothing may try."""
    os, built_for = config.os or "linux", config.architecture or architecture.name
    if (os, built_for) != ("linux", architecture.name):
        raise WrongArchitecture(
            f"the image is for {os}/{built_for}, and this machine is linux/{architecture.name}: "
            f"build or choose one for linux/{architecture.name}"
        )


def references(manifest: Manifest) -> dict[str, str]:
    """The labels by which garbage collection finds from a manifest to its config and layers."""
    labels = {"containerd.io/gc.ref.content.config": manifest.config.digest}
    for number, layer in enumerate(manifest.layers):
        labels[f"containerd.io/gc.ref.content.l.{number}"] = layer.digest
    return labels


def stored_bytes(manifest: Manifest, *documents: Descriptor) -> int:
    """What an image takes up as stored: config, layers (one that comes twice is there once), and the `documents`
    above them (manifest, and index if there is one)."""
    parts = {part.digest: part.size for part in (manifest.config, *manifest.layers, *documents)}
    return sum(parts.values())


class _Typed(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str | None = None
    manifests: tuple[msgspec.Raw, ...] | None = None


def media_type_of(content: bytes) -> str:
    """What kind of document this is: as it says itself, else by its form."""
    typed = parse(content, _Typed, "manifest")
    return typed.media_type or (MANIFEST_TYPE if typed.manifests is None else INDEX_TYPES[0])


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The name of each layer on top of those below it, as the specification defines it."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)


def digest_of(content: bytes) -> str:
    """The digest that names `content`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def choose(manifests: Sequence[Descriptor], architecture: Architecture) -> Descriptor:
    """The manifest for this machine; of several the one whose variant is wanted most. One that names no platform is
    taken when nothing else fits. Raises WrongArchitecture when there is none."""
    ranks = {("linux", architecture.name, variant): rank for rank, variant in enumerate(architecture.variants)}
    ranked = [(ranks[named], one) for one in manifests if (named := _named(one.platform)) in ranks]
    if ranked:
        return min(ranked, key=lambda pair: pair[0])[1]
    if bare := [one for one in manifests if one.platform is None]:
        return bare[0]
    # Builders keep attestations beside the images, as manifests of an unknown platform.
    known = [one.platform for one in manifests if one.platform and one.platform.os != "unknown"]
    have = ", ".join("/".join(filter(None, _named(platform))) for platform in known) or "no platform at all"
    too_new = any(platform.architecture == architecture.name for platform in known)
    wanted = f"linux/{architecture.name}" + (" as this processor is" if too_new else "")
    raise WrongArchitecture(f"the image has nothing for {wanted}, only for {have}")


def _named(platform: Platform | None) -> tuple[str, str, str]:
    return ("", "", "") if platform is None else (platform.os, platform.architecture, platform.variant)
