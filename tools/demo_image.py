"""Builds a small image offline, from the machine's own busybox-static: an OCI archive, the same bytes every time.

python -m tools.demo_image OUTPUT [NAME]
"""

import gzip
import hashlib
import io
import json
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

BUSYBOX = Path("/bin/busybox")
DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "var/www")
FILES = {
    "etc/passwd": b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nweb:x:101:102::/:/bin/sh\n",
    "etc/group": b"root:x:0:\nweb:x:102:\nnogroup:x:65534:\nwatchers:x:200:web\n",
    "etc/hosts": b"127.0.0.1 localhost\n",
    "etc/resolv.conf": b"",
    "var/www/index.html": b"<h1>Capsule remembers.</h1>\n",
}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def layer(files: dict[str, bytes] = FILES, programs: dict[str, bytes] | None = None) -> bytes:
    """The one layer, uncompressed. `programs` can be executed."""
    applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in DIRECTORIES:
            _add(tar, name, tarfile.DIRTYPE, mode=0o1777 if name == "tmp" else 0o755)
        _add(tar, "bin/busybox", content=BUSYBOX.read_bytes(), mode=0o755)
        for applet in sorted(set(applets) - {"busybox"}):
            _add(tar, f"bin/{applet}", tarfile.SYMTYPE, link="busybox")
        for name, content in files.items():
            _add(tar, name, content=content)
        for name, content in (programs or {}).items():
            _add(tar, name, content=content, mode=0o755)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", mode: int = 0o644,
         link: str = "") -> None:  # fmt: skip
    member = tarfile.TarInfo(name)
    member.type, member.size, member.mode, member.linkname = kind, len(content), mode, link
    tar.addfile(member, io.BytesIO(content))


def archive(
    name: str,
    *,
    command: tuple[str, ...] = ("/bin/sh",),
    config: dict[str, object] | None = None,
    programs: dict[str, bytes] | None = None,
) -> bytes:
    """An OCI archive of one image called `name`. `config` adds to what the image says of its process, `programs` to
    what can be run in it.
    """
    tree = layer(programs=programs)
    packed = gzip.compress(tree, 6, mtime=0)
    image_config = json.dumps(
        {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Cmd": list(command), "Env": ["PATH=/bin"], **(config or {})},
            "rootfs": {"type": "layers", "diff_ids": [digest(tree)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", image_config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", packed)],
        }
    ).encode()
    top = descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    top["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, "oci-layout", content=b'{"imageLayoutVersion":"1.0.0"}')
        _add(tar, "index.json", content=json.dumps({"schemaVersion": 2, "manifests": [top]}).encode())
        for blob in (image_config, manifest, packed):
            _add(tar, "blobs/" + digest(blob).replace(":", "/"), content=blob)
    return out.getvalue()


def descriptor(media_type: str, content: bytes) -> dict[str, object]:
    """What names a blob."""
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def digest(content: bytes) -> str:
    """sha256:hex."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(archive(sys.argv[2] if len(sys.argv) > 2 else "docker.io/library/demo:1"))
