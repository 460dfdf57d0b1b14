"""Images for tests, good and bad, as archives of the real formats and of the twin's."""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from effects.images.building import descriptor, digest
from effects.images.twin_image import TwinImage, TwinLayer

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Sample:
    """An image of layers of about these sizes. `damage` is of the last layer: missing, corrupt or unreadable. An
    `airy` one is next to nothing as long as it is packed."""

    name: str = "docker.io/library/sample:1"
    layers: tuple[int, ...] = (600_000, 300_000)
    seed: int = 1
    damage: str = ""
    architecture: str = "amd64"
    cmd: tuple[str, ...] = ("/bin/sh",)
    airy: bool = False


@dataclass(frozen=True)
class Blobs:
    """An image as blobs: `manifest` is its target, `content` everything by digest, `layers` in order."""

    manifest: dict[str, object]
    content: dict[str, bytes]
    layers: tuple[str, ...]


def tree(files: dict[str, bytes]) -> bytes:
    """A tar of files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            add(tar, name, content)
    return out.getvalue()


def add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """A regular file."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o755
    tar.addfile(member, io.BytesIO(content))


@lru_cache(maxsize=8)
def blobs(sample: Sample) -> Blobs:
    """The sample's blobs; a corrupt one has other bytes than its digest says, a missing one is left out."""
    content: dict[str, bytes] = {}
    diff_ids, layers = [], []
    for number, size in enumerate(sample.layers):
        dense = random.Random(f"{sample.seed} {number} {size}").randbytes
        plain = tree({f"data-{number}": bytes(size) if sample.airy else dense(size)})
        packed = gzip.compress(plain, 1 if sample.airy else 0, mtime=0)
        last = number == len(sample.layers) - 1
        if sample.damage == "unreadable" and last:
            packed = b"\x1f\x8b" + hashlib.sha256(packed).digest() * (size // 32)
        layers.append(descriptor(GZIP, packed))
        diff_ids.append(digest(plain))
        if not (sample.damage == "missing" and last):
            wrong = sample.damage == "corrupt" and last
            content[digest(packed)] = packed[:-1] + bytes([packed[-1] ^ 1]) if wrong else packed
    config = {
        "architecture": sample.architecture,
        "os": "linux",
        "created": "2024-05-06T07:08:09.123456789Z",
        "config": {"Cmd": list(sample.cmd)},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    packed_config = json.dumps(config).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, packed_config),
            "layers": layers,
        }
    ).encode()
    content |= {digest(packed_config): packed_config, digest(manifest): manifest}
    return Blobs(descriptor(MANIFEST, manifest), content, tuple(str(layer["digest"]) for layer in layers))


def oci_archive(*samples: Sample) -> bytes:
    """An OCI archive of these images."""
    out, tops = io.BytesIO(), []
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        for sample in samples:
            made = blobs(sample)
            for name, content in made.content.items():
                add(tar, "blobs/" + name.replace(":", "/"), content)
            names = {"io.containerd.image.name": sample.name} if sample.name else {}
            tops.append(made.manifest | {"annotations": names})
        add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": tops}).encode())
    return out.getvalue()


def archive_of(name: str, *trees: bytes) -> tuple[bytes, str]:
    """An OCI archive of an image of these layers, which are tars, lowest first; and its manifest's digest."""
    layers = [gzip.compress(one, 0, mtime=0) for one in trees]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(one) for one in trees]},
        }
    ).encode()
    described = [descriptor(GZIP, one) for one in layers]
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": described}
    ).encode()
    top = descriptor(MANIFEST, manifest) | {"annotations": {"io.containerd.image.name": name}}
    files = {"blobs/" + digest(one).replace(":", "/"): one for one in (*layers, config, manifest)}
    files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [top]}).encode()
    return tree(files), digest(manifest)


def twin_image(sample: Sample) -> TwinImage:
    """The sample as the twin knows images."""
    made = blobs(sample)
    sizes = {name: len(content) for name, content in made.content.items()}
    last = len(made.layers) - 1
    layers = tuple(
        TwinLayer(name, sizes.get(name, 1), sample.damage if number == last else "")  # type: ignore[arg-type]
        for number, name in enumerate(made.layers)
    )
    target = str(made.manifest["digest"])
    return TwinImage((sample.name,) if sample.name else (), target, target, layers, sample.architecture)


def twin_archive(*samples: Sample) -> bytes:
    """The twin's own form of an archive."""
    images = [twin_image(sample) for sample in samples]
    bodies = [bytes(layer.size) for image in images for layer in image.layers if layer.damage != "missing"]
    return msgspec.json.encode(images) + b"\n" + b"".join(bodies)


async def chunks(content: bytes, size: int = 1 << 16) -> AsyncIterator[bytes]:
    """Content as a client sends it."""
    for start in range(0, len(content), size):
        yield content[start : start + size]
