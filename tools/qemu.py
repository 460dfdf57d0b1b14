"""`make qemu`: boots the built disk in a virtual machine that stays until it is switched off.

python -m tools.qemu [--port N] [--memory-mib N] [--disk-gib N] [--accel tcg|kvm] [--fresh]

The machine has a disk of its own (build/qemu/disk.raw), made of build/disk.raw once; `--fresh` makes it anew. Its
console is this terminal; its API is at 127.0.0.1:PORT. Ctrl-A X ends the machine at once, as pulling the plug would.
"""

import argparse
import os
import shutil
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
API_PORT = 50000
EMULATED = "max,+svm,+npt,-avx,-avx2,-erms,-la57"
"""Also without hardware help the processor offers virtualisation, so that microVMs run as on real hardware. It offers
none of what the emulation does so slowly that programs are better off without it: an update took twice as long."""


def command(
    disk: Path,
    variables: Path,
    port: int,
    *,
    memory_mib: int = 2048,
    accel: str = "tcg",
    cache: str = "writeback",
    drive: str = "",
    more: tuple[str, ...] = (),
) -> list[str]:
    """QEMU's command line: a PC as of 2010 with UEFI, a disk and a network card, without a screen. With the `cache`
    "unsafe" the disk's file may be lost with this machine's own power, and nothing waits for it. `drive`: what the
    disk is, in QEMU's words, where it is no plain file."""
    fast = "kvm" if accel == "kvm" else "tcg,thread=multi"
    # With more than one emulated processor the firmware waits for ever behind a restart by kernel 6.1.0-57: it parks
    # the others before. With `reboot=force`, which leaves them alone, it does not.
    processor, count = ("host", "2") if accel == "kvm" else (EMULATED, "1")
    drive = drive or f"format=raw,cache={cache},file={disk}"
    return [
        "qemu-system-x86_64", "-machine", "q35", "-accel", fast, "-cpu", processor,
        "-smp", count, "-m", str(memory_mib), "-nodefaults", "-display", "none",
        "-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}",
        "-drive", f"if=pflash,format=raw,file={variables}",
        "-drive", f"if=none,id=disk,discard=unmap,detect-zeroes=unmap,{drive}",
        "-device", "virtio-blk-pci,drive=disk,bootindex=1",
        "-netdev", f"user,id=lan,hostfwd=tcp:127.0.0.1:{port}-:{API_PORT}", "-device", "virtio-net-pci,netdev=lan",
        "-device", "virtio-rng-pci", "-device", "i6300esb", "-action", "watchdog=reset",
        *more,
    ]  # fmt: skip


def copy_sparse(source: Path, target: Path, size_bytes: int = 0) -> None:
    """A copy that has the source's holes; of another size, if one is given."""
    subprocess.run(["cp", "--sparse=always", source, target], check=True)
    if size_bytes:
        os.truncate(target, size_bytes)


def free_port() -> int:
    """A port of this machine that nobody has just now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        number: int = one.getsockname()[1]
        return number


def refuse_taken(port: int) -> None:
    """Ends with a sentence where another program has the port: QEMU's own speaks of a host forwarding rule."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError as error:
            remedy = f"make qemu PORT={port + 1}"
            raise SystemExit(f"port {port} is taken (a hosted capsule? make down ends it): {remedy}") from error


def main() -> None:
    """Boot, on this terminal."""
    parser = argparse.ArgumentParser(prog="python -m tools.qemu")
    parser.add_argument("--port", type=int, default=API_PORT, help="of the API on this machine (default 50000)")
    parser.add_argument("--memory-mib", type=int, default=2048)
    parser.add_argument("--disk-gib", type=int, default=8, help="the disk's size, when it is made (default 8)")
    parser.add_argument("--accel", choices=("tcg", "kvm"), default="tcg")
    parser.add_argument("--fresh", action="store_true", help="begin with a disk as built")
    arguments = parser.parse_args()
    built, place = ROOT / "build/disk.raw", ROOT / "build/qemu"
    if not built.exists():
        raise SystemExit("there is no build/disk.raw: `make image` builds it")
    for one in (built.parent, place, place / "disk.raw", place / "variables.fd"):
        if one.exists() and not os.access(one, os.W_OK):
            raise SystemExit(f"{one} is another user's, as `make image` is root's: this takes root")
    refuse_taken(arguments.port)
    if arguments.fresh:
        shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    disk, variables = place / "disk.raw", place / "variables.fd"
    if not disk.exists():
        copy_sparse(built, disk, max(arguments.disk_gib << 30, built.stat().st_size))
        shutil.copyfile(VARIABLES, variables)
    elif built.stat().st_mtime > disk.stat().st_mtime:
        print("build/disk.raw is newer than this machine's disk, which stays: `make qemu FRESH=1` begins with it anew")
    print(f"its console follows; once it is up: capsulectl adopt 127.0.0.1:{arguments.port}. Ctrl-A X pulls the plug")
    more = ("-chardev", "stdio,id=console,mux=on,signal=off", "-serial", "chardev:console", "-mon", "chardev=console")
    argv = command(disk, variables, arguments.port, memory_mib=arguments.memory_mib, accel=arguments.accel, more=more)
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main()
