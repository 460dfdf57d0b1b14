"""The root file system without our own code: Debian, the kernel's modules, the locked Python packages.

It changes when Debian, the lock or a list in here does, so it is built once and kept: a squashfs to which the house is
appended later. What differs from one run of mmdebstrap to the next (logs, caches, ids) is taken out, and every file has
the same time.
"""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from image import packages, python
from image.commands import BuildFailed, command
from image.modes import settle

HOUSE = "capsule"
"""The directory at the root that our own code is appended as; nothing else is in it."""

SITE = "usr/lib/capsule"
"""Where the locked Python packages are."""

SQUASH = ("-comp", "lz4", "-b", "64K", "-no-xattrs", "-no-progress", "-quiet")
"""Quick to read rather than small. A start reads some thousand small files, which lie together in blocks, of which
the kernel remembers three unpacked; with zstd in blocks of 256 KiB, that was nearly half of loading the daemon."""

_PATHS = f"""\
/{HOUSE}/house
/{HOUSE}/house/gen
/{SITE}
"""

_UNUSED = (
    "boot", "var/lib/apt", "var/cache", "var/log", "var/lib/dpkg/info", "var/lib/dpkg/triggers", "etc/machine-id",
    "usr/share/bash-completion", "usr/share/zoneinfo", "usr/share/perl5", "usr/share/pixmaps", "usr/share/lintian",
    "usr/share/python3", "usr/share/gcc", "usr/share/initramfs-tools", "usr/lib/python3.11/ensurepip",
    "usr/lib/python3.11/lib2to3", "usr/lib/python3.11/idlelib", "usr/lib/python3.11/pydoc_data", "etc/apt",
    "etc/cron.d", "etc/systemd", "lib/systemd", "usr/bin/ctr", "usr/bin/containerd-stress", "usr/bin/containerd-shim",
    "usr/bin/containerd-shim-runc-v1", "etc/.pwd.lock", "var/lib/dpkg/lock", "var/lib/dpkg/lock-frontend",
)  # fmt: skip
"""Nobody runs, reads or needs these there; the last ones differ from build to build."""

_EMPTIED = ("dev", "run", "var/cache", "var/log", "proc", "sys")
_WRITTEN = (
    SITE, *_EMPTIED, "usr/lib/python3", "usr/lib/python3.11", "usr/lib/modules", "usr/share/doc", "etc/machine-id",
    "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/fstab",
)  # fmt: skip
"""Where we write, or have something written: everybody may read it, whatever the umask. All else is as Debian has
it."""

MICROCODE = "microcode"
"""Where a base has what firmware packages bring for processors, as the kernel looks for it."""

_MICROCODE = {"GenuineIntel.bin": "intel-ucode/*", "AuthenticAMD.bin": "amd-ucode/microcode_amd*.bin"}
"""Each is all of a vendor's files, one behind the other: the kernel finds its processor's. Source: the kernel's
Documentation/x86/microcode.rst."""

_UNUSED_OF_QEMU = (
    "usr/lib/ipxe", "usr/libexec", "usr/share/seabios", "usr/bin/qemu-system-i386",
    "usr/bin/qemu-system-x86_64-microvm",
)  # fmt: skip
_USED_OF_QEMU = {
    "usr/share/qemu": ("bios-microvm.bin", "qboot.rom"),
    "usr/lib/x86_64-linux-gnu/qemu": ("accel-tcg-x86_64.so",),
}
"""Of QEMU's parts and firmware what a microVM's monitor loads: it has no screen, no USB and boots from no card. The one
firmware is a link to the other, which is quick: on an emulated processor SeaBIOS reads a kernel for minutes."""

_NO_MODULES = (
    "sound", "drivers/accel", "drivers/bluetooth", "drivers/comedi", "drivers/gpu", "drivers/iio", "drivers/infiniband",
    "drivers/isdn", "drivers/leds", "drivers/media", "drivers/net/can", "drivers/net/wireless",
    "drivers/mtd/chips", "drivers/mtd/devices", "drivers/mtd/lpddr", "drivers/mtd/maps", "drivers/mtd/nand",
    "drivers/mtd/parsers", "drivers/mtd/spi-nor", "drivers/mtd/tests", "drivers/mtd/ubi", "drivers/net/wwan",
    "drivers/parport", "drivers/staging", "drivers/watchdog/mei_wdt.ko",
    "drivers/net/hamradio", "drivers/net/arcnet", "drivers/net/fddi", "net/bluetooth", "net/mac80211", "net/wireless",
    "net/can", "net/nfc", "net/rxrpc", "net/sctp", "net/tipc", "net/rds", "net/ax25", "net/netrom", "net/rose",
    "fs/ocfs2", "fs/gfs2", "fs/reiserfs", "fs/jfs", "fs/nilfs2", "fs/hfs", "fs/hfsplus", "fs/affs", "fs/afs", "fs/coda",
    "fs/ceph", "fs/orangefs", "fs/ufs", "fs/minix", "fs/sysv", "fs/qnx4", "fs/qnx6", "fs/omfs", "fs/befs", "fs/bfs",
    "fs/adfs", "fs/efs", "fs/f2fs", "fs/ntfs", "fs/ntfs3",
)  # fmt: skip
"""Drivers of what a server at home has not; and a watchdog that tells Intel's management engine, resets nothing and
would be taken for the machine's."""

_NEEDED_MODULES = (
    "drivers/ata", "drivers/block", "drivers/hv", "drivers/md", "drivers/message", "drivers/mmc",
    "drivers/net/ethernet", "drivers/net/hyperv", "drivers/net/usb", "drivers/nvme/host/nvme.ko", "drivers/scsi",
    "drivers/ufs", "drivers/usb/host", "drivers/usb/storage", "drivers/virtio", "drivers/watchdog",
)  # fmt: skip
"""Of these none may be lost by the lack of another."""


def names(firmware: Sequence[str], microvms: bool) -> tuple[str, ...]:
    """Debian's packages that are asked for."""
    return (*packages.DEBIAN, *(packages.MICROVMS if microvms else ()), *firmware)


def key_parts(wanted: Sequence[str]) -> list[bytes | str | Path]:
    """Everything that the result depends on."""
    here = Path(__file__).parent
    return [
        packages.suite(),
        *packages.sources(),
        *packages.indexes(),
        *wanted,
        *(f"{one.name}=={one.version}" for one in python.needed()),
        *(here / name for name in ("base.py", "commands.py", "modes.py", "packages.py", "python.py")),
    ]


def build(target: Path, wanted: Sequence[str], epoch_s: int) -> None:
    """Of these packages fill `target` with base.squashfs, modules (a directory), vmlinuz, microcode where there is any,
    and what the list of contents is made from."""
    root = target / "root"
    _debian(root, wanted, epoch_s)
    release = _kernel(root, target, epoch_s)
    _thin(root)
    _own_places(root)
    python.place(root / SITE)
    compiled(root / "usr/lib/python3.11", "/usr/lib/python3.11", epoch_s)
    compiled(root / SITE, f"/{SITE}", epoch_s)
    for written in _WRITTEN:
        settle(root / written)
    shutil.copy2(root / "var/lib/dpkg/status", target / "status")
    shutil.copytree(root / "usr/share/doc", target / "doc", symlinks=True)
    (target / "release").write_text(release)
    # The tools that the initramfs borrows, and modules to choose from.
    shutil.copytree(root / "usr/lib/modules" / release, target / "modules", symlinks=True)
    command(
        "mksquashfs", root, target / "base.squashfs", *SQUASH, "-all-time", str(epoch_s), "-mkfs-time", str(epoch_s),
    )  # fmt: skip
    _keep_tools(root, target / "tools")
    keep_microcode(root / "usr/lib/firmware", target / MICROCODE)
    shutil.rmtree(root)


def _debian(root: Path, names: Sequence[str], epoch_s: int) -> None:
    unwanted = ("doc", "man", "locale", "info", "doc-base", "i18n")
    command(
        "mmdebstrap", "--mode=root", "--variant=essential", "--quiet", "--format=directory",
        "--aptopt=APT::Install-Recommends false",
        *(f"--aptopt={option}" for option in packages.proxies()),
        *(f"--dpkgopt=path-exclude=/usr/share/{one}/*" for one in unwanted),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        f"--include={','.join(names)}",
        packages.suite(), root, *packages.sources(),
        epoch_s=epoch_s,
    )  # fmt: skip


def _kernel(root: Path, target: Path, epoch_s: int) -> str:
    """The kernel's package is unpacked, not installed: its scripts would build an initramfs of Debian's own. Returns
    the kernel's release."""
    name = packages.kernel_package()
    scratch = target / "kernel"
    scratch.mkdir()
    scratch.chmod(0o755)
    command("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", name, cwd=scratch)
    command("dpkg-deb", "-x", next(scratch.glob("*.deb")), scratch / "files")
    images = sorted((scratch / "files/boot").glob("vmlinuz-*"))
    if len(images) != 1:
        raise BuildFailed(f"{name} has {len(images)} kernels in it, one was expected")
    release = images[0].name.removeprefix("vmlinuz-")
    shutil.copy2(images[0], target / "vmlinuz")
    modules = root / "usr/lib/modules" / release
    shutil.copytree(scratch / "files/lib/modules" / release, modules, symlinks=True)
    for unused in _NO_MODULES:
        _remove(modules / "kernel" / unused)
    remove_unloadable(modules)
    shutil.copytree(scratch / "files/usr/share/doc" / name, root / "usr/share/doc" / name, dirs_exist_ok=True)
    fields = command("dpkg-deb", "-f", next(scratch.glob("*.deb"))).decode()
    with (root / "var/lib/dpkg/status").open("a") as status:
        status.write(re.sub(r"(?m)^(Package: .*)$", r"\1\nStatus: install ok unpacked", fields, count=1) + "\n")
    command("depmod", "-b", root / "usr", release, epoch_s=epoch_s)
    shutil.rmtree(scratch)
    return release


def remove_unloadable(modules: Path) -> None:
    """Take out what could not be loaded, because it needs a module that is not there. Raises BuildFailed where that is
    a driver that shall be there."""
    there = {plain(file.stem): file for file in modules.rglob("*.ko")}
    built_in = {plain(Path(line).stem) for line in (modules / "modules.builtin").read_text().splitlines()}
    needs = {name: _needs(file) for name, file in there.items()}
    while lacking := {name: lacks for name in there if (lacks := needs[name] - built_in - there.keys())}:
        for name, others in lacking.items():
            inside = there.pop(name).relative_to(modules / "kernel")
            if any(inside.is_relative_to(one) for one in _NEEDED_MODULES):
                raise BuildFailed(f"{inside} needs {', '.join(sorted(others))}, which _NO_MODULES takes out")
            (modules / "kernel" / inside).unlink()


def _needs(module: Path) -> set[str]:
    """The modules whose symbols it uses. Raises BuildFailed for a file that does not say."""
    found = re.search(rb"\0depends=([^\0]*)\0", module.read_bytes())
    if found is None:
        raise BuildFailed(f"{module.name} does not say which modules it needs")
    return {plain(name) for name in found[1].decode().split(",") if name}


def plain(name: str) -> str:
    """A module's name as the kernel has it: its file may have dashes."""
    return name.replace("-", "_")


def _thin(root: Path) -> None:
    for place in (*(root / unused for unused in (*_UNUSED, *_UNUSED_OF_QEMU)), *_unused_beside(root, _USED_OF_QEMU)):
        _remove(place)
    for old in (*root.glob("var/lib/dpkg/*-old"), *root.glob("etc/*-"), *root.rglob("__pycache__")):
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
    for name in (*_EMPTIED, "tmp", "var/tmp"):
        place = root / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    (root / "var/tmp").chmod(0o1777)


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _unused_beside(root: Path, used: Mapping[str, Sequence[str]]) -> list[Path]:
    """What there is in these directories beside the files that are used."""
    return [file for place, kept in used.items() for file in (root / place).glob("*") if file.name not in kept]


def _own_places(root: Path) -> None:
    """Where ours goes: the state, the house, and how Python and the kernel find it."""
    (root / "perm").mkdir(mode=0o700)
    (root / "usr/lib/python3/dist-packages").mkdir(parents=True, exist_ok=True)
    (root / "usr/lib/python3/dist-packages/capsule.pth").write_text(_PATHS)
    for name in ("init", "reboot", "poweroff", "halt", "shutdown"):
        (root / "usr/sbin" / name).unlink(missing_ok=True)
    (root / "usr/sbin/init").symlink_to(f"/{HOUSE}/init")
    (root / "etc/machine-id").write_text("")
    (root / "etc/hostname").write_text("capsule\n")
    (root / "etc/hosts").write_text("127.0.0.1\tlocalhost\n::1\tlocalhost\n")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/fstab").write_text("")


def compiled(directory: Path, seen_as: str, epoch_s: int) -> None:
    """Compile all Python in it, for a place where it has this path. Nothing looks at sources and their times any more
    when it is run: they are never changed."""
    command(
        "/usr/bin/python3", "-I", "-m", "compileall", "-q", "-j", "1", "--invalidation-mode", "unchecked-hash",
        "-s", directory, "-p", seen_as, directory,
        epoch_s=epoch_s,
    )  # fmt: skip


def _keep_tools(root: Path, target: Path) -> None:
    """Programs for the initramfs, with the libraries that they load."""
    target.mkdir()
    busybox = root / "usr/bin/busybox"
    shutil.copy2(busybox if busybox.exists() else root / "bin/busybox", target / "busybox")
    for name in ("blkid",):
        program = next(one for one in (root / "usr/sbin" / name, root / "sbin" / name) if one.exists())
        shutil.copy2(program, target / name)
        said = command("chroot", root, "ldd", f"/sbin/{name}").decode()
        for path in re.findall(r"(/\S+)", said):
            file = target / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / path.lstrip("/"), file)


def keep_microcode(firmware: Path, target: Path) -> None:
    """A file for each vendor that a package has brought files of."""
    for name, pattern in _MICROCODE.items():
        pieces = [file.read_bytes() for file in sorted(firmware.glob(pattern)) if file.is_file()]
        if pieces:
            target.mkdir(exist_ok=True)
            (target / name).write_bytes(b"".join(pieces))
