"""A place with a network of its own: namespaces in which daemons run as on machines of their own, and a LAN between.

A holder process keeps the network and the mount namespace, so that what is made inside goes with it, whatever a test did.
/sys is mounted anew there, since sysfs shows the links of the namespace it was mounted in; the cgroups are put back.
"""

import ctypes
import itertools
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

_CLONE_FS, _CLONE_NEWNS, _CLONE_NEWNET = 0x200, 0x20000, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

_ports = itertools.count()

T = TypeVar("T")

_PREPARE = """
set -e
mount --make-rprivate /
mkdir -p /run/capsule
shadow=$(mktemp -d)
mount --rbind /sys/fs/cgroup "$shadow"
mount -t sysfs sysfs /sys
mount --rbind "$shadow" /sys/fs/cgroup
umount -l "$shadow"
rmdir "$shadow"
ip link set lo up
echo ready
exec sleep infinity
"""


class Site:
    """One machine of a test's: `inside` is the prefix that runs a command on it."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--net", "--kill-child", "--fork", "sh", "-c", _PREPARE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.pid = self._prepared()
        except BaseException:
            self.close()
            raise
        self.inside = ("nsenter", f"--mount=/proc/{self.pid}/ns/mnt", f"--net=/proc/{self.pid}/ns/net", "--")

    def _prepared(self) -> int:
        """Wait until it is; the holder's process id."""
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n", "the place could not be prepared"
        with open(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children") as file:
            return int(file.read().split()[0])

    def run(self, *command: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command on it."""
        options = {"capture_output": True, "text": True, "timeout": 60, "check": False} | options
        return subprocess.run([*self.inside, *command], **options)

    def on_thread(self, work: Callable[[], T]) -> T:
        """Do some work of this process's there: a thread enters, and whatever it starts is there, too."""
        with ThreadPoolExecutor(1, initializer=self._enter) as thread:
            return thread.submit(work).result()

    def _enter(self) -> None:
        assert _libc.unshare(_CLONE_FS) == 0, "a thread that shares its directory cannot change what is mounted"
        for kind, flag in (("net", _CLONE_NEWNET), ("mnt", _CLONE_NEWNS)):
            with open(f"/proc/{self.pid}/ns/{kind}") as there:
                assert _libc.setns(there.fileno(), flag) == 0, ctypes.get_errno()

    def good(self, *command: str) -> str:
        """Run a command that must succeed; its output."""
        done = self.run(*command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return str(done.stdout)

    def join(self, other: "Site", mine: str, its: str) -> None:
        """A cable between two machines; addresses in CIDR form."""
        subprocess.run(
            [
                "ip",
                "link",
                "add",
                "lan0",
                "netns",
                str(self.pid),
                "type",
                "veth",
                "peer",
                "lan0",
                "netns",
                str(other.pid),
            ],
            check=True,
        )
        for site, address in ((self, mine), (other, its)):
            site.good("ip", "address", "add", address, "dev", "lan0")
            site.good("ip", "link", "set", "lan0", "up")

    def plug_into(self, switch: "Site", address: str, link: str = "lan0") -> None:
        """A cable from `link` here to a port of the switch (see `lan`); an address in CIDR form."""
        port = f"p{next(_ports)}"
        ends = ["type", "veth", "peer", port, "netns", str(switch.pid)]
        subprocess.run(["ip", "link", "add", link, "netns", str(self.pid), *ends], check=True)
        switch.good("ip", "link", "set", port, "master", "lan", "up")
        self.good("ip", "address", "add", address, "dev", link)
        self.good("ip", "link", "set", link, "up")

    def close(self) -> None:
        """Everything that was made there goes."""
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()


@contextmanager
def site() -> Iterator[Site]:
    """A machine for the length of a block."""
    made = Site()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def lan() -> Iterator[Site]:
    """A switch, to `plug_into`."""
    with site() as switch:
        # Without snooping: a network whose switch has heard of nobody yet is as one that has.
        switch.good("ip", "link", "add", "lan", "type", "bridge", "mcast_snooping", "0")
        switch.good("ip", "link", "set", "lan", "up")
        yield switch
