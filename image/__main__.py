"""`make image`: build/disk.raw, build/update.tar and build/sbom.spdx.json.

python -m image [--slot-size-mib N] [--disk-size-mib N] [--firmware PACKAGE]... [--without-microvms]
                [--update-key FILE [--update-expires YYYY-MM-DD]] [--cache DIRECTORY] [--out DIRECTORY]
"""

import argparse
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from image import base, boot, bundle, disk, house, initramfs, python, sbom
from image.cache import Cache, key_of
from image.commands import BuildFailed, command
from image.packages import MissingPackages
from journal.release import RELEASE

ROOT = Path(__file__).resolve().parent.parent
GUEST = ROOT / "build/guest"
_COMMIT_CHARS = 12
"""What git itself would take depends on how much else there is in a clone."""
_MADE_BY = ("image", "pyproject.toml", "requirements.lock")
"""Beside the house itself, what an image depends on in here."""
_EXPIRES = "the last day (UTC) on which the signature is good; for ever when left out"


def main() -> None:
    """Build, and say what each step took. Exits 1 with a sentence when it cannot."""
    arguments = _arguments()
    if os.geteuid() != 0:
        raise SystemExit("make image must run as root: it makes a root file system with every file's own owner")
    try:
        _build(arguments)
    except (BuildFailed, MissingPackages) as error:
        raise SystemExit(f"make image: {error}") from error


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m image", description="Builds the bootable disk and the update.")
    parser.add_argument("--slot-size-mib", type=int, default=768, help="of each slot's root partition (default 768)")
    parser.add_argument("--disk-size-mib", type=int, default=4096, help="of the disk's file (default 4096)")
    parser.add_argument("--firmware", action="append", default=[], help="a package with firmware; repeatable")
    parser.add_argument("--without-microvms", action="store_true", help="no QEMU, and nothing that microVMs boot")
    parser.add_argument("--arguments", default="", help="more words for the kernel")
    parser.add_argument("--update-key", type=Path, help="sign the update with the Ed25519 key in this PEM file")
    parser.add_argument("--update-expires", type=day, default=0, metavar="YYYY-MM-DD", help=_EXPIRES)
    parser.add_argument("--cache", type=Path, default=ROOT / "build/cache")
    parser.add_argument("--out", type=Path, default=ROOT / "build")
    arguments = parser.parse_args()
    if arguments.update_expires and arguments.update_key is None:
        parser.error("--update-expires is of a signature: say --update-key, too")
    if 0 < arguments.update_expires < time.time():
        parser.error("--update-expires is over: no machine would take the update")
    return arguments


def day(text: str) -> int:
    """The last second of a day in UTC, in Unix seconds. Raises ValueError."""
    return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) + 86_399


def _build(arguments: argparse.Namespace) -> None:
    commit, epoch_s = _commit()
    update_key = None if arguments.update_key is None else bundle.signing_key(arguments.update_key)
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    cache = Cache(arguments.cache)
    guest = None if arguments.without_microvms else _guest()
    wanted = base.names(arguments.firmware, microvms=guest is not None)
    with _step("base system (some minutes the first time)"):
        key = key_of(base.key_parts(wanted))
        base_of = cache.get("base", key, lambda target: base.build(target, wanted, _BASE_EPOCH_S))
    with _step("initramfs and boot image"):
        script = boot.FILES / "initramfs.sh"
        boot_key = key_of((key, script, *initramfs.MADE_BY))
        boot_of = cache.get("boot", boot_key, lambda target: _boot(base_of, script, target))
    table = disk.Table(arguments.slot_size_mib)
    scratch = out / ".image"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        with _step("Capsule"):
            house.place(scratch / base.HOUSE, guest, RELEASE, commit, epoch_s)
            house.append(base_of / "base.squashfs", scratch / base.HOUSE, scratch / "root.img", epoch_s)
        remedy = "build with a larger SLOT_SIZE_MIB, with less FIRMWARE, or without microVMs (MICROVMS=no)"
        disk.refuse_misfit(scratch / "root.img", arguments.slot_size_mib, "the root image", remedy)
        disk.refuse_misfit(boot_of / "boot.img", disk.BOOT_IMAGE_MIB, "the boot image", "put fewer drivers into it")
        with _step("disk"):
            _disk(arguments, table, scratch, boot_of, commit, epoch_s)
        with _step("update and list of contents"):
            members = {"boot.img": boot_of / "boot.img", "root.img": scratch / "root.img"}
            bundle.write(
                scratch / "update.tar", RELEASE, commit, members, epoch_s, update_key, arguments.update_expires
            )
            listed = sbom.document(base_of / "status", base_of / "doc", python.needed(), RELEASE, commit, epoch_s)
            (scratch / "sbom.spdx.json").write_text(listed)
        for name in ("disk.raw", "update.tar", "sbom.spdx.json"):
            (scratch / name).replace(out / name)
        size_mib = (scratch / "root.img").stat().st_size / (1 << 20)
        print(f"root image {size_mib:.1f} MiB of {arguments.slot_size_mib}; {out}/disk.raw, {out}/update.tar")
        print("next: `make qemu` boots a copy of it here; docs/getting-started.md has how a machine gets it")
    finally:
        shutil.rmtree(scratch)


def _guest() -> Path:
    """Where what microVMs boot was built."""
    if not (GUEST / "manifest").exists():
        raise BuildFailed(f"{GUEST} has nothing that microVMs could boot: run `make guest-image` first")
    return GUEST


_BASE_EPOCH_S = 1_700_000_000
"""The base's own time: the same base serves many commits."""


def _boot(base_of: Path, script: Path, target: Path) -> None:
    initramfs.build(base_of, script, target / "initramfs", _BASE_EPOCH_S)
    boot.boot_image(base_of / "vmlinuz", target / "initramfs", target / "boot.img", _BASE_EPOCH_S)


def _disk(
    arguments: argparse.Namespace, table: disk.Table, scratch: Path, boot_of: Path, commit: str, epoch_s: int
) -> None:
    build = f"{RELEASE} {commit}"
    configured = boot.configuration((*boot.ARGUMENTS, *arguments.arguments.split()))
    volume_id = disk.partition_id(build, "esp")[:8]
    boot.esp(scratch / "esp.img", disk.ESP_MIB << 20, configured, volume_id, epoch_s)
    contents = {"esp": scratch / "esp.img", "boot_a": boot_of / "boot.img", "root_a": scratch / "root.img"}
    disk.write(scratch / "disk.raw", table, arguments.disk_size_mib, build, contents)


def _commit() -> tuple[str, int]:
    """What is built, and its time: the only one that anything in the image has."""
    # As root, in another's checkout: nothing there is to become root's.
    git = ("git", "-C", str(ROOT), "--no-optional-locks")
    done = subprocess.run([*git, "log", "-1", "--format=%H %ct"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildFailed(f"{ROOT} is no git repository: an image says which commit it was made of")
    name, epoch = done.stdout.split()
    left_out = (f":(exclude,glob)**/{one}{below}" for one in house.LEFT_OUT for below in ("", "/**"))
    altered = command(
        *git, "status", "--porcelain", "--ignored", "--untracked-files=all", "--",
        *house.packages(), *_MADE_BY, *left_out,
    )  # fmt: skip
    return f"{name[:_COMMIT_CHARS]}{'+' if altered else ''}", int(epoch)


@contextmanager
def _step(name: str) -> Iterator[None]:
    began = time.monotonic()
    print(f"{name} …", end=" ", flush=True)
    yield
    print(f"{time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
