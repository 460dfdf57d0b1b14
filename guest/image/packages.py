"""Debian's packages, by the machine's own apt configuration: downloaded and unpacked, never installed."""

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

_LINE = re.compile(r"'[^']*' (\S+) (\d+) (?:SHA256:([0-9a-f]{64}))?")
_KERNEL = re.compile(r"linux-image-\d\S*-cloud-\S+")
_APT = ("apt-get", "-qq", "-o", "APT::Sandbox::User=root")
"""Without a user of its own apt can write where we can."""


class Package(NamedTuple):
    """One that is to be had: its file's name says name, version and architecture."""

    name: str
    file: str
    sha256: str

    @property
    def version(self) -> str:
        """As Debian counts."""
        return unquote(self.file).split("_")[1]


def kernel_name() -> str:
    """The package that the newest cloud kernel is in."""
    said = _run("apt-cache", "depends", "linux-image-cloud-amd64")
    found = _KERNEL.search(said)
    if found is None:
        raise LookupError("apt knows no cloud kernel: look at the machine's sources of packages, then `apt-get update`")
    return found[0]


def wanted(names: tuple[str, ...]) -> list[Package]:
    """The candidates, in the order of their names."""
    with tempfile.TemporaryDirectory() as empty:  # apt is silent about what is there already
        said = _run(*_APT, "download", "--print-uris", *names, cwd=empty)
    lines = {line.split(" ")[1]: line for line in said.splitlines() if line}
    found = []
    for name in sorted(names):
        line = next((line for file, line in lines.items() if file.startswith(f"{name}_")), "")
        matched = _LINE.match(line)
        if matched is None or not matched[3]:
            raise LookupError(f"apt does not say where {name} is, or what its hash is: run `apt-get update`")
        found.append(Package(name, matched[1], matched[3]))
    return found


def fetched(package: Package, directory: Path) -> Path:
    """Its file, which is downloaded if it is not in `directory` yet. Raises ValueError when it is not what apt said."""
    place = directory / package.file
    if not place.exists():
        directory.mkdir(parents=True, exist_ok=True)
        subprocess.run([*_APT, "download", f"{package.name}={package.version}"], cwd=directory, check=True)
    if hashlib.sha256(place.read_bytes()).hexdigest() != package.sha256:
        place.unlink()
        raise ValueError(f"{package.file} is not what apt said it would be, and was removed: try again")
    return place


def update() -> None:
    """Have apt look at its sources anew."""
    subprocess.run([*_APT, "update"], check=True)


def unpack(file: Path, target: Path) -> None:
    """What the package would install, below a directory."""
    target.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg-deb", "--extract", file, target], check=True)


def _run(*command: str, cwd: str | None = None) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=cwd).stdout
