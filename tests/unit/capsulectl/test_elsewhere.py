"""The command line on a system that is no Linux: macOS's Python and C library lack some of what this one's have.

It stands for one: what is Linux's alone is taken away before anything of ours is imported.
"""

import subprocess
import sys
from pathlib import Path

ARCHIVE = Path(__file__).resolve().parents[2] / "histories" / "0.0.1.capsule"

POORER = """
import ctypes, importlib, os, pkgutil, re, select, signal, socket, sys, time

linux = re.compile(
    r"pipe2|pidfd_.*|eventfd.*|EFD_.*|posix_(fallocate|fadvise)|POSIX_FADV_.*|fdatasync|splice|SPLICE_.*|memfd_.*|"
    r"MFD_.*|setns|unshare|CLONE_.*|copy_file_range|sched_[gs]etaffinity|getrandom|GRND_.*|[gsl]\\w+xattr|XATTR_.*|"
    r"O_(PATH|TMPFILE|DIRECT|NOATIME|RSYNC)|RWF_.*|P_PIDFD|[gs]etres[ug]id|"
    r"pidfd_send_signal|sigtimedwait|sigwaitinfo|SIGRT.*|SIGPWR|SIGSTKFLT|epoll|EPOLL.*|POLLRDHUP|"
    r"AF_(NETLINK|PACKET|VSOCK|ALG)|SO_(PEERCRED|PASSCRED|BINDTODEVICE|MARK|PRIORITY)|SOCK_(CLOEXEC|NONBLOCK)|"
    r"CLOCK_(BOOTTIME|TAI)"
)
for module in (os, select, signal, socket, time):
    for name in [name for name in vars(module) if linux.fullmatch(name)]:
        delattr(module, name)

whole = ctypes.CDLL.__getattr__

def poorer(library, name):
    if name in ("fallocate", "prctl", "setns", "unshare", "syscall"):
        raise AttributeError(name)
    return whole(library, name)

ctypes.CDLL.__getattr__ = poorer
"""

IMPORTS = """
import capsulectl

for one in pkgutil.walk_packages(capsulectl.__path__, "capsulectl."):
    if not one.name.endswith("__main__"):
        importlib.import_module(one.name)
"""

WAKES = """
from capsulectl.screen import Screen

reads, keyboard = os.pipe()  # on which nobody presses a key
os.dup2(reads, 0)
screen = Screen()
screen.wake()
assert screen.waits() == ""
for number in range(100_000):
    screen.wake()  # what nobody reads keeps nobody waiting
assert not os.get_inheritable(screen._waker) and not os.get_inheritable(screen._woken)
"""

REPLAYS = """
from capsulectl.__main__ import main

sys.argv = ["capsulectl", "replay", "--file", sys.argv[1], "--to", "5", "-o", "name"]
main()
"""


def run(*parts: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "".join((POORER, *parts)), str(ARCHIVE)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_every_command_can_be_imported() -> None:
    run(IMPORTS)


def test_a_window_is_woken() -> None:
    run(WAKES)


def test_an_archive_is_read() -> None:
    assert len(run(REPLAYS).split()) == 1
