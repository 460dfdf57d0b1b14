"""Images that are made here: an OCI archive of one layer, the same bytes for the same content every time. Pure.

Source: OCI image specification 1.1.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping

import msgspec

from effects.images.oci import CONFIG_TYPE, LAYER_TYPE, MANIFEST_TYPE


class Layer:
    """A file system tree, member by member in the order in which they are added."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._out, mode="w", format=tarfile.PAX_FORMAT)

    def directory(self, name: str, mode: int = 0o755) -> None:
        """Make a directory."""
        self._add(name, tarfile.DIRTYPE, mode=mode)

    def link(self, name: str, target: str) -> None:
        """Make a symbolic link."""
        self._add(name, tarfile.SYMTYPE, link=target)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Make a file."""
        self._add(name, content=content, mode=mode)

    def _add(
        self, name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", mode: int = 0o644, link: str = ""
    ) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.size, member.mode, member.linkname = kind, len(content), mode, link
        self._tar.addfile(member, io.BytesIO(content))

    def packed(self) -> bytes:
        """The tar; nothing is added any more."""
        self._tar.close()
        return self._out.getvalue()


class Made(msgspec.Struct, frozen=True):
    """An OCI archive of one image. `digest` is its manifest's: what it is known by in a cache, whatever its names."""

    digest: str
    archive: bytes


def made(name: str, tree: bytes, architecture: str, config: Mapping[str, object]) -> Made:
    """An image called `name`, of one layer. `config` is what it says of its process."""
    packed = gzip.compress(tree, 6, mtime=0)
    image_config = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": dict(config),
            "rootfs": {"type": "layers", "diff_ids": [digest(tree)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": descriptor(CONFIG_TYPE, image_config),
            "layers": [descriptor(f"{LAYER_TYPE}+gzip", packed)],
        }
    ).encode()
    top = descriptor(MANIFEST_TYPE, manifest)
    top["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    files = Layer()
    files.file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    files.file("index.json", json.dumps({"schemaVersion": 2, "manifests": [top]}).encode())
    for blob in (image_config, manifest, packed):
        files.file("blobs/" + digest(blob).replace(":", "/"), blob)
    return Made(digest(manifest), files.packed())


def descriptor(media_type: str, content: bytes) -> dict[str, object]:
    """What names a blob."""
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def digest(content: bytes) -> str:
    """sha256:hex."""
    return "sha256:" + hashlib.sha256(content).hexdigest()
