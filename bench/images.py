"""image.push and image.pull: 300 MB of packed layers into the cache and unpacked, from an archive and from a registry
on loopback. Whole processes beside whole processes; the image is gone from everywhere before each of them."""

import gzip
import io
import json
import os
import random
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.peers import IMAGE, Ctr, podman
from bench.report import Row, in_turn, row
from capsuled.layout import hosted
from effects.containerd.config import paths_under
from effects.images.building import descriptor, digest
from effects.images.platform import architecture
from tests.support.daemon import CTL, Daemon, daemon
from tests.support.images import CONFIG, GZIP, MANIFEST
from tests.support.registry import registry
from tools.demo_image import archive

ROUNDS = 5
LAYERS = 4
LAYER_BYTES = 75_000_000
FILE_BYTES = 250_000
NAME = "docker.io/library/large:1"


def rows(directory: Path) -> list[Row]:
    """Both."""
    small, large = directory / "demo.tar", directory / "large.tar"
    small.write_bytes(archive(IMAGE))
    build(large)
    with daemon() as machine, podman(directory, small) as pod, registry() as running:
        ref = f"{running.host}/large:1"
        subprocess.run(
            ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci-archive:{large}", f"docker://{ref}"], check=True
        )
        layout = hosted(machine.state)
        ctr = Ctr(paths_under(layout.containerd, layout.run).address)
        push, ctr_import = in_turn(
            ROUNDS,
            lambda: _timed(lambda: _ours(machine, "push", str(large)), lambda: _ours(machine, "rm", NAME)),
            lambda: _timed(lambda: ctr.import_image(large), lambda: ctr.remove_image(NAME)),
        )
        pull, ctr_pull, pod_pull = in_turn(
            ROUNDS,
            lambda: _timed(lambda: _ours(machine, "pull", ref), lambda: _ours(machine, "rm", ref)),
            lambda: _timed(lambda: ctr.pull(ref), lambda: ctr.remove_image(ref)),
            lambda: _timed(lambda: pod.pull(ref), lambda: pod.remove_image(ref)),
        )
    note = f"{LAYERS} layers of {LAYER_BYTES // 1_000_000} MB, twice that unpacked"
    return [
        row("image.push", push, "s", "ctr images import", ctr_import, "<=1.1", note),
        row("image.pull", pull, "s", "ctr images pull", ctr_pull, "<=1.5", note),
        row("image.pull", pull, "s", "podman pull", pod_pull, "<=1.0", "overlay"),
    ]


def _ours(machine: Daemon, *arguments: str) -> None:
    subprocess.run(
        [CTL, "image", *arguments], env=machine.environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, check=True,
    )  # fmt: skip


def _timed(step: Callable[[], None], undo: Callable[[], None]) -> float:
    """Seconds; what others left to be written down is written first."""
    os.sync()
    begun = time.perf_counter()
    step()
    took = time.perf_counter() - begun
    undo()
    return took


def build(path: Path) -> None:
    """The archive: half of what is in its files packs to nothing, the other half not at all."""
    layers, diff_ids = [], []
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as out:
        for number in range(LAYERS):
            plain = b"".join(_layer(number))
            packed = gzip.compress(plain, 1, mtime=0)
            layers.append(descriptor(GZIP, packed))
            diff_ids.append(digest(plain))
            _add(out, packed)
        config = json.dumps(
            {"architecture": architecture().name, "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        ).encode()
        manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config), "layers": layers}
        ).encode()
        for document in (config, manifest):
            _add(out, document)
        top = descriptor(MANIFEST, manifest) | {"annotations": {"io.containerd.image.name": NAME}}
        documents = {
            "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
            "index.json": json.dumps({"schemaVersion": 2, "manifests": [top]}).encode(),
        }
        for name, content in documents.items():
            _add(out, content, name)


def _layer(number: int) -> Iterator[bytes]:
    chance = random.Random(number)
    half = FILE_BYTES // 2
    for count in range(LAYER_BYTES // half):
        member = tarfile.TarInfo(f"srv/{number}/{count // 100}/{count}")
        member.size = FILE_BYTES
        yield member.tobuf(tarfile.PAX_FORMAT)
        yield chance.randbytes(half) + bytes(half + -FILE_BYTES % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _add(out: tarfile.TarFile, content: bytes, name: str = "") -> None:
    member = tarfile.TarInfo(name or "blobs/" + digest(content).replace(":", "/"))
    member.size = len(content)
    out.addfile(member, io.BytesIO(content))
