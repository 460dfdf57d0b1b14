"""`python -m guest.image [DIRECTORY]`: build the guest's image there, or in build/guest; progress on standard error."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from guest.image import archive, contents, kernel, packages
from guest.image.tree import DIRECTORY, FILE, Tree

HOUSE = Path(__file__).resolve().parent.parent.parent
KERNEL, INITRD, ROOT, MANIFEST = "vmlinux", "initrd", "root.squashfs", "manifest"
_MKSQUASHFS = ("-noappend", "-quiet", "-no-progress", "-all-root", "-no-xattrs", "-comp", "lz4")
"""lz4: what is quickest to read."""


def main() -> None:
    """Build it. Exits 1 with what went wrong."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HOUSE / "build/guest"
    try:
        _bring(target)
    except subprocess.CalledProcessError as error:
        command = " ".join(map(str, error.cmd))
        sys.exit(f"`{command}` ended with {error.returncode}: what it says stands above")
    except (LookupError, ValueError, OSError) as error:
        sys.exit(str(error))


def _bring(target: Path) -> None:
    """Build all of it aside, then bring it to its place."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".build.") as scratch:
        built = _build(Path(scratch), target / "packages")
        for name in (KERNEL, INITRD, ROOT, MANIFEST):  # the manifest last: where it is, all is
            (built / name).chmod(FILE)  # whatever the umask: a monitor that reads them is a user of its own
            os.replace(built / name, target / name)
    sizes = {name: (target / name).stat().st_size for name in (KERNEL, INITRD, ROOT)}
    for name, size in sizes.items():
        _tell(f"{name:15} {size / (1 << 20):5.1f} MiB")
    _tell(f"{'together':15} {sum(sizes.values()) / (1 << 20):5.1f} MiB in {target}")


def _build(scratch: Path, cache: Path) -> Path:
    _tell("looking for Debian's packages")
    try:
        files = _fetched(cache)
    except (LookupError, subprocess.CalledProcessError):
        _tell("apt does not know them, or not as they are now: its lists are brought up to date")
        packages.update()
        files = _fetched(cache)
    debian = contents.Debian(scratch / "kernel", scratch / "debian")
    for package, file in files.items():
        is_kernel = package.name.startswith("linux-image-")
        packages.unpack(file, debian.kernel if is_kernel else debian.rest)
    built = scratch / "built"
    built.mkdir()
    _tell("the kernel")
    image = next((debian.kernel / "boot").glob("vmlinuz-*")).read_bytes()
    (built / KERNEL).write_bytes(kernel.unpacked(image))
    _tell("the agent's root")
    first = contents.initrd(debian, HOUSE, scratch / "first")
    (built / INITRD).write_bytes(archive.packed(first))
    _tell("the service's tree")
    later, versions = contents.service(debian, HOUSE, scratch / "later")
    _squash(later, scratch / "tree", built / ROOT)
    said = _manifest(built, list(files), versions, {INITRD: first, ROOT: later})
    (built / MANIFEST).write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")
    return built


def _fetched(cache: Path) -> dict[packages.Package, Path]:
    found = {}
    for package in packages.wanted((packages.kernel_name(), *contents.DEBIAN)):
        _tell(f"{package.name} {package.version}")
        found[package] = packages.fetched(package, cache)
    return found


def _squash(tree: Tree, directory: Path, image: Path) -> None:
    directory.mkdir()
    directory.chmod(DIRECTORY)
    tree.write(directory)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}  # of the image, and of every file in it
    subprocess.run(
        ["mksquashfs", directory, image, *_MKSQUASHFS], check=True, stdout=subprocess.DEVNULL, env=environment
    )
    shutil.rmtree(directory)


def _manifest(built: Path, wanted: list[packages.Package], versions: dict[str, str], trees: dict[str, Tree]) -> Any:
    files = {}
    for name in (KERNEL, INITRD, ROOT):
        content = (built / name).read_bytes()
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return {
        "files": files,
        "debian": {package.name: package.version for package in wanted},
        "python": versions,
        "contents": {
            name: {path: len(entry.data) for path, entry in tree if not stat.S_ISDIR(entry.mode)}
            for name, tree in trees.items()
        },
    }


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
