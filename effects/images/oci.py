"""The parts of the OCI image format that Capsule reads. Source: OCI image specification 1.1, Docker image schema 2."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from effects.containers.spec import ImageConfig
from effects.errors import ImageUnreadable
from journal.entry import UNREADABLE

INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
MANIFEST_TYPES = (MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json")
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


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
    annotations: dict[str, str] = {}


class Index(msgspec.Struct, frozen=True, rename="camel"):
    """Several manifests, for several platforms."""

    manifests: tuple[Descriptor, ...]


class Manifest(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One image for one platform."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    schema_version: int = 2
    media_type: str = MANIFEST_TYPE


class _Process(msgspec.Struct, frozen=True):
    entrypoint: tuple[str, ...] | None = msgspec.field(default=None, name="Entrypoint")
    command: tuple[str, ...] | None = msgspec.field(default=None, name="Cmd")
    env: tuple[str, ...] | None = msgspec.field(default=None, name="Env")
    working_dir: str | None = msgspec.field(default=None, name="WorkingDir")
    user: str | None = msgspec.field(default=None, name="User")
    stop_signal: str | None = msgspec.field(default=None, name="StopSignal")


class _RootFs(msgspec.Struct, frozen=True):
    diff_ids: tuple[str, ...] = ()


class _Config(msgspec.Struct, frozen=True):
    rootfs: _RootFs
    config: _Process | None = None
    architecture: str = ""


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
        config.rootfs.diff_ids,
    )


def chain_ids(diff_ids: Sequence[str]) -> tuple[str, ...]:
    """The name of each layer on top of those below it, as the specification defines it."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)


def digest_of(content: bytes) -> str:
    """The digest that names `content`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def choose(manifests: Sequence[Descriptor], architecture: str) -> Descriptor:
    """The manifest for this machine. Raises ImageUnreadable when there is none."""
    fitting = [
        found
        for found in manifests
        if found.platform is None or (found.platform.os, found.platform.architecture) == ("linux", architecture)
    ]
    if fitting:
        return fitting[0]
    have = ", ".join(f"{one.platform.os}/{one.platform.architecture}" for one in manifests if one.platform)
    raise ImageUnreadable(f"the image has nothing for linux/{architecture}, only for {have or 'no platform at all'}")
