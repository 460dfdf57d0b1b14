"""What is in the image, and where it comes from: Debian's own archives, as the building machine's apt has them."""

from pathlib import Path

from image.commands import command

# What the daemon runs, and what these packages only recommend of it.
DEBIAN = (
    "busybox-static",
    "ca-certificates",
    "containerd",
    "dmsetup",
    "e2fsprogs",
    "fdisk",
    "iproute2",
    "kmod",
    "lvm2",
    "mount",
    "nftables",
    "pigz",
    "procps",
    "python3",
    "runc",
    "thin-provisioning-tools",
    "util-linux",
)

MICROVMS = ("erofs-utils", "qemu-system-x86", "squashfs-tools")
"""What microVMs run on, and what makes their disks of images."""

KERNEL = "linux-image-amd64"
"""Debian's generic kernel: the cloud flavour has no SATA, no USB and no common network card."""


class MissingPackages(Exception):
    """Raised when apt knows no archive of Debian's, or not a package that was asked for."""


def sources() -> tuple[str, ...]:
    """Lines for a sources.list: every archive of Debian's own that this machine's apt is set up with."""
    fields = "$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)"
    found: dict[tuple[str, str], list[str]] = {}
    for line in _output("apt-get", "indextargets", "--format", fields, "Created-By: Packages").splitlines():
        origin, uri, codename, component = line.split("|")
        if origin == "Debian":
            found.setdefault((uri, codename), []).append(component)
    if not found:
        raise MissingPackages("apt knows no archive of Debian's here: set one up, and run apt-get update")
    return tuple(f"deb {uri} {name} {' '.join(dict.fromkeys(parts))}" for (uri, name), parts in found.items())


def suite() -> str:
    """The release to build: this machine's."""
    lines = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return lines.get("VERSION_CODENAME", "").strip('"')


def proxies() -> tuple[str, ...]:
    """This machine's way to the archives, as options of apt."""
    lines = _output("apt-config", "dump", "Acquire").splitlines()
    return tuple(line.rstrip(";") for line in lines if "proxy" in line.lower() and not line.endswith('"";'))


def candidates(names: tuple[str, ...]) -> dict[str, str]:
    """The version that apt would install of each. Raises MissingPackages."""
    found: dict[str, str] = {}
    for name in names:
        lines = _output("apt-cache", "show", "--no-all-versions", name).splitlines()
        versions = [line.removeprefix("Version: ") for line in lines if line.startswith("Version: ")]
        if not versions:
            raise MissingPackages(f"apt knows no package {name}: is its component in this machine's sources?")
        found[name] = versions[0]
    return found


def kernel_package() -> str:
    """The package with the newest kernel itself, which KERNEL depends on."""
    for line in _output("apt-cache", "depends", KERNEL).splitlines():
        depends, _, name = line.strip().partition("Depends: ")
        if not depends and name.startswith("linux-image-"):
            return name
    raise MissingPackages(f"{KERNEL} depends on no kernel: run apt-get update")


def indexes() -> tuple[Path, ...]:
    """The files that say which versions there are: while they are the same, so is what is built from them."""
    lines = _output("apt-get", "indextargets", "--format", "$(ORIGIN)|$(FILENAME)", "Created-By: Packages").splitlines()
    return tuple(sorted(Path(line.split("|")[1]) for line in lines if line.startswith("Debian|")))


def _output(*argv: str) -> str:
    return command(*argv).decode()
