"""Images as podman, buildah, skopeo and docker make them: whatever the form, their files are those the builder saw.

The image has what layers are difficult for: files removed and replaced above the layer that brought them, a directory
emptied and filled again, hard links within a layer and to one below, names longer than a tar's header, capabilities.
"""

import asyncio
import hashlib
import json
import os
import shutil
import stat
import struct
import subprocess
import tarfile
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from containerdapi import snapshots_pb2
from effects.containerd.connection import SNAPSHOTTER
from effects.containerd.snapshots import prepared
from effects.images.building import descriptor
from tests.support.images import add, chunks
from tests.support.registry import registry
from tests.support.runtime import Runtime, runtime

pytestmark = [pytest.mark.real, pytest.mark.needs("buildah", "podman", "skopeo")]

LONG = "n" * 240
CAPABILITY = "security.capability"
NET_BIND = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
Tree = dict[str, tuple[object, ...]]


@dataclass(frozen=True)
class Builder:
    """What buildah and podman have in common: a storage, with `localhost/made` and its base in it. `tree` is what the
    builder sees in it."""

    directory: Path
    tree: Tree

    def buildah(self, *arguments: str) -> str:
        return _run("buildah", *_storage(self.directory), *arguments)

    def podman(self, *arguments: str) -> str:
        return _run("podman", *_storage(self.directory), "--events-backend", "none", *arguments)


def _storage(directory: Path) -> tuple[str, ...]:
    return ("--root", f"{directory}/root", "--runroot", f"{directory}/run", "--storage-driver", "overlay")


def _run(*command: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def builder() -> Iterator[Builder]:
    directory = Path(tempfile.mkdtemp(prefix="capsule-builder-"))
    made = Builder(directory, {})
    try:
        _commit(made, "scratch", "base", _first_layer)
        _commit(made, "base", "made", _second_layer)
        yield made
    finally:
        made.buildah("rm", "--all")
        made.buildah("rmi", "--all", "--force")
        subprocess.run(["umount", directory / "root" / "overlay"], capture_output=True, check=False)
        shutil.rmtree(directory, ignore_errors=True)


def _commit(builder: Builder, base: str, name: str, change: Callable[[Path], None]) -> None:
    container = builder.buildah("from", "--pull-never", base)
    root = Path(builder.buildah("mount", container))
    change(root)
    builder.tree.clear()
    builder.tree.update(tree(root))
    builder.buildah("umount", container)
    builder.buildah("config", "--cmd", '["/bin/sh"]', container)
    builder.buildah("commit", "--quiet", container, name)


def _first_layer(root: Path) -> None:
    for name in ("bin", "full", "was-directory", f"{LONG}/{LONG}"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin" / "sh")
    os.setxattr(root / "bin" / "sh", CAPABILITY, NET_BIND)
    for name in ("gone", "full/a", "full/b", "one", "replaced", f"{LONG}/{LONG}/{LONG}", "Ünïcode ☃", "was-file"):
        (root / name).write_text(name)
    os.link(root / "one", root / "two")
    os.symlink(f"/{LONG}/{LONG}/{LONG}", root / "far")
    (root / "setuid").write_text("x")
    (root / "setuid").chmod(0o4755)
    os.chown(root / "setuid", 123_456, 7)


def _second_layer(root: Path) -> None:
    (root / "gone").unlink()
    (root / "replaced").write_text("anew")
    shutil.rmtree(root / "full")
    (root / "full").mkdir()
    (root / "full" / "c").write_text("the only one")
    (root / "was-directory").rmdir()
    (root / "was-directory").write_text("a file")
    (root / "was-file").unlink()
    (root / "was-file").mkdir()
    os.link(root / "one", root / "three")
    os.link(root / LONG / LONG / LONG, root / "near")


def tree(root: Path) -> Tree:
    """Every file below it: kind and mode, owner, size or target, content, capabilities, and its first hard link."""
    found: Tree = {}
    first: dict[int, str] = {}
    for directory, names, files in os.walk(root):
        for path in (Path(directory) / name for name in sorted(names + files)):
            seen, name = path.lstat(), str(path.relative_to(root))
            what: object = None
            if stat.S_ISLNK(seen.st_mode):
                what = os.readlink(path)
            elif stat.S_ISREG(seen.st_mode):
                what = hashlib.sha256(path.read_bytes()).hexdigest(), int(seen.st_mtime), os.listxattr(path)
            found[name] = (oct(seen.st_mode), seen.st_uid, seen.st_gid, what, first.setdefault(seen.st_ino, name))
    return found


async def loaded(made: Runtime, ref: str) -> Tree:
    """What a container of this image would find."""
    image = await made.images.resolve(ref)
    assert image is not None, ref
    rootfs = await made.images.unpacker.rootfs(image.platform_digest)
    assert rootfs.config.command == ("/bin/sh",)
    key = f"look-{uuid.uuid4().hex}"
    (mount,) = await prepared(made.connection, key, rootfs.chain_id, {}, made.connection.metadata)
    try:
        with mounted(mount.type, mount.source, list(mount.options)) as root:
            return tree(root)
    finally:
        request = snapshots_pb2.RemoveSnapshotRequest(snapshotter=SNAPSHOTTER, key=key)
        await made.connection.snapshots.Remove(request, metadata=made.connection.metadata)


@contextmanager
def mounted(kind: str, source: str, options: list[str]) -> Iterator[Path]:
    target = Path(tempfile.mkdtemp(prefix="capsule-look-"))
    subprocess.run(["mount", "-t", kind, "-o", ",".join(options), source, target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)
        target.rmdir()


def buildah_oci(builder: Builder, out: Path) -> None:
    builder.buildah("push", "--quiet", "made", f"oci-archive:{out}:docker.io/library/made:1")


def buildah_docker(builder: Builder, out: Path) -> None:
    builder.buildah("push", "--quiet", "made", f"docker-archive:{out}:docker.io/library/made:1")


def podman_docker(builder: Builder, out: Path) -> None:
    builder.podman("tag", "localhost/made", "docker.io/library/made:1")
    builder.podman("save", "--quiet", "-o", str(out), "docker.io/library/made:1")


def podman_oci(builder: Builder, out: Path) -> None:
    builder.podman("tag", "localhost/made", "docker.io/library/made:1")
    builder.podman("save", "--quiet", "--format", "oci-archive", "-o", str(out), "docker.io/library/made:1")


def podman_several(builder: Builder, out: Path) -> None:
    builder.podman("tag", "localhost/made", "docker.io/library/made:1")
    builder.podman("save", "--quiet", "-m", "-o", str(out), "docker.io/library/made:1", "localhost/base")


def skopeo_zstd(builder: Builder, out: Path) -> None:
    layout = _layout(builder, out, "--dest-compress-format", "zstd")
    assert "tar+zstd" in "".join(one.read_text("latin-1") for one in (layout / "blobs" / "sha256").iterdir())
    _run("tar", "-C", str(layout), "-cf", str(out), ".")


def skopeo_docker(builder: Builder, out: Path) -> None:
    buildah_oci(builder, out.with_suffix(".oci"))
    _run("skopeo", "copy", "-q", f"oci-archive:{out.with_suffix('.oci')}", f"docker-archive:{out}:made:1")


def docker_save(builder: Builder, out: Path) -> None:
    """As docker writes since 25: an OCI layout with unpacked layers, and a manifest.json of the older form that points
    into it."""
    layout = _layout(builder, out, "--dest-decompress")
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(_blob(layout, index["manifests"][0]["digest"]))
    index["manifests"][0]["annotations"] = {
        "io.containerd.image.name": "docker.io/library/made:1",
        "org.opencontainers.image.ref.name": "1",
    }

    def path(one: dict[str, str]) -> str:
        return "blobs/" + one["digest"].replace(":", "/")

    saved = {
        "Config": path(manifest["config"]), "RepoTags": ["made:1"], "Layers": [path(one) for one in manifest["layers"]]
    }  # fmt: skip
    (layout / "index.json").write_text(json.dumps(index))
    (layout / "manifest.json").write_text(json.dumps([saved]))
    _run("tar", "-C", str(layout), "-cf", str(out), "blobs", "index.json", "manifest.json", "oci-layout")


def docker_save_before(builder: Builder, out: Path) -> None:
    """As docker wrote until 24: a directory for each layer, called by an id that is no digest of anything."""
    layout = _layout(builder, out, "--dest-decompress")
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(_blob(layout, index["manifests"][0]["digest"]))
    layers = []
    with tarfile.open(out, "w", format=tarfile.GNU_FORMAT) as tar:
        for number, one in enumerate(manifest["layers"]):
            name = hashlib.sha256(f"layer {number}".encode()).hexdigest()
            directory = tarfile.TarInfo(name)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(directory)
            add(tar, f"{name}/VERSION", b"1.0")
            add(tar, f"{name}/layer.tar", _blob(layout, one["digest"]))
            layers.append(f"{name}/layer.tar")
        config = manifest["config"]["digest"].partition(":")[2] + ".json"
        add(tar, config, _blob(layout, manifest["config"]["digest"]))
        saved = [{"Config": config, "RepoTags": ["made:1"], "Layers": layers}]
        add(tar, "manifest.json", json.dumps(saved).encode())


def _layout(builder: Builder, out: Path, *options: str) -> Path:
    layout = out.with_suffix(".layout")
    buildah_oci(builder, out.with_suffix(".oci"))
    _run("skopeo", "copy", "-q", *options, f"oci-archive:{out.with_suffix('.oci')}", f"oci:{layout}:made:1")
    return layout


def _blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / digest.replace(":", "/")).read_bytes()


def schema_2_zstd(builder: Builder, out: Path) -> None:
    """As some builders put zstd into a manifest of schema 2, whose description knows no such layer."""
    layout = _layout(builder, out, "--dest-compress-format", "zstd")
    index = json.loads((layout / "index.json").read_text())
    manifest = json.loads(_blob(layout, index["manifests"][0]["digest"]))
    manifest["mediaType"] = "application/vnd.docker.distribution.manifest.v2+json"
    manifest["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json"
    for layer in manifest["layers"]:
        assert layer["mediaType"].endswith("tar+zstd")
        layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.zstd"
    content = json.dumps(manifest).encode()
    top = descriptor(manifest["mediaType"], content)
    (layout / "blobs" / str(top["digest"]).replace(":", "/")).write_bytes(content)
    top["annotations"] = {"io.containerd.image.name": "docker.io/library/made:1"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    _run("tar", "-C", str(layout), "-cf", str(out), ".")


ARCHIVES = (
    buildah_oci,
    buildah_docker,
    podman_docker,
    podman_oci,
    podman_several,
    skopeo_zstd,
    schema_2_zstd,
    skopeo_docker,
    docker_save,
    docker_save_before,
)


@pytest.mark.parametrize("make", ARCHIVES, ids=lambda make: make.__name__)
def test_an_archive_of_whatever_maker_has_the_files_that_its_builder_saw(
    builder: Builder, tmp_path: Path, make: Callable[[Builder, Path], None]
) -> None:
    out = tmp_path / "archive.tar"
    make(builder, out)

    async def main() -> None:
        async with asyncio.timeout(120), runtime() as made:
            fallback = "" if make is not skopeo_zstd else "docker.io/library/made:1"
            images = await made.images.import_archive(chunks(out.read_bytes(), 1 << 20), fallback)
            assert "docker.io/library/made:1" in [image.ref for image in images]
            if make is podman_several:
                assert [image.ref for image in images] == ["docker.io/library/made:1", "localhost/base:latest"]
            assert await loaded(made, "docker.io/library/made:1") == builder.tree

    asyncio.run(main())


def buildah_schema_2(builder: Builder, ref: str) -> None:
    builder.buildah("push", "--quiet", "--tls-verify=false", "--format", "v2s2", "made", f"docker://{ref}")


def podman_push(builder: Builder, ref: str) -> None:
    builder.podman("push", "--quiet", "--tls-verify=false", "--format", "oci", "localhost/made", ref)


def skopeo_push_zstd(builder: Builder, ref: str) -> None:
    out = builder.directory / "zstd.oci"
    buildah_oci(builder, out)
    to = ("--dest-tls-verify=false", "--dest-compress-format", "zstd", f"oci-archive:{out}", f"docker://{ref}")
    _run("skopeo", "copy", "-q", *to)
    assert "tar+zstd" in _run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{ref}")


def buildah_index(builder: Builder, ref: str) -> None:
    builder.buildah("manifest", "create", "several", "localhost/made")
    builder.buildah("manifest", "push", "--quiet", "--tls-verify=false", "--all", "several", f"docker://{ref}")
    assert "manifests" in _run("skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{ref}")


PUSHES = (buildah_schema_2, podman_push, skopeo_push_zstd, buildah_index)


@pytest.mark.needs("docker-registry")
@pytest.mark.parametrize("push", PUSHES, ids=lambda push: push.__name__)
def test_an_image_that_whoever_put_into_a_registry_has_the_files_that_its_builder_saw(
    builder: Builder, push: Callable[[Builder, str], None]
) -> None:
    with registry() as running:
        ref = f"{running.host}/made:1"
        push(builder, ref)

        async def main() -> None:
            async with asyncio.timeout(120), runtime() as made:
                await made.images.pull(await made.registry.resolve(ref), moves=True)
                assert await loaded(made, ref) == builder.tree

        asyncio.run(main())
