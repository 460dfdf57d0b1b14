"""Builds a small image offline, from the machine's own busybox-static: an OCI archive, the same bytes every time.

python -m tools.demo_image OUTPUT [NAME]
"""

import subprocess
import sys
from pathlib import Path

from effects.images import building
from effects.images.platform import architecture

BUSYBOX = Path("/bin/busybox")
DIRECTORIES = ("bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "var/www")
FILES = {
    "etc/passwd": b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nweb:x:101:102::/:/bin/sh\n",
    "etc/group": b"root:x:0:\nweb:x:102:\nnogroup:x:65534:\nwatchers:x:200:web\n",
    "etc/hosts": b"127.0.0.1 localhost\n",
    "etc/resolv.conf": b"",
    "var/www/index.html": b"<h1>Capsule remembers.</h1>\n",
}


def layer(files: dict[str, bytes] = FILES, programs: dict[str, bytes] | None = None) -> bytes:
    """The one layer, uncompressed. `programs` can be executed."""
    applets = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    tree = building.Layer()
    for name in DIRECTORIES:
        tree.directory(name, mode=0o1777 if name == "tmp" else 0o755)
    tree.file("bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
    for applet in sorted(set(applets) - {"busybox"}):
        tree.link(f"bin/{applet}", "busybox")
    for name, content in files.items():
        tree.file(name, content)
    for name, content in (programs or {}).items():
        tree.file(name, content, mode=0o755)
    return tree.packed()


def archive(
    name: str,
    *,
    command: tuple[str, ...] = ("/bin/sh",),
    config: dict[str, object] | None = None,
    programs: dict[str, bytes] | None = None,
    tree: bytes = b"",
) -> bytes:
    """An OCI archive of one image called `name`. `config` adds to what the image says of its process, `programs` to
    what can be run in it; a `tree` of one's own is its only layer.
    """
    process: dict[str, object] = {"Cmd": list(command), "Env": ["PATH=/bin"], **(config or {})}
    return building.made(name, tree or layer(programs=programs), architecture().name, process).archive


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(archive(sys.argv[2] if len(sys.argv) > 2 else "docker.io/library/demo:1"))
