"""Where everything lies: the state directory, which is `/perm` on the OS and any directory in hosted mode.

What is volatile (sockets, containerd's and runc's runtime state) lies below `/run`, named after the state directory: it
must vanish with the power, and a unix socket's path has at most 107 bytes.
"""

import hashlib
from pathlib import Path

import msgspec

from effects.containerd.config import MEMORY


class Layout(msgspec.Struct, frozen=True):
    """Paths of one capsule."""

    state: Path
    run: Path

    @property
    def journal(self) -> Path:
        return self.state / "journal"

    @property
    def side_log(self) -> Path:
        """What is done while the journal cannot write: see journal/sidelog.py."""
        return self.state / "side.log"

    @property
    def identity(self) -> Path:
        return self.state / "identity"

    @property
    def certificate(self) -> Path:
        return self.identity / "tls.pem"

    @property
    def installed(self) -> Path:
        """What an installer left for the first start."""
        return self.identity / "installed"

    @property
    def operators_cache(self) -> Path:
        return self.identity / "operators.json"

    @property
    def naming_key(self) -> Path:
        """By which sealed values are named, where that came from another machine."""
        return self.identity / "naming_key"

    @property
    def restore(self) -> Path:
        """Where an archive is laid down that the next start takes over."""
        return self.state / "restore"

    @property
    def by_hand(self) -> Path:
        """What an operator may put there by hand."""
        return self.state / "capsule"

    @property
    def evidence(self) -> Path:
        return self.state / "evidence"

    def evidence_of(self, update: int) -> Path:
        """What the tentative boot of an update keeps of itself."""
        return self.evidence / str(update)

    @property
    def updates(self) -> Path:
        """What is kept over the trial of a new system, by update."""
        return self.state / "updates"

    @property
    def last_words(self) -> Path:
        """What kernels kept over resets, by the boot that found it."""
        return self.evidence / "last-words"

    @property
    def sealed(self) -> Path:
        return self.state / "sealed"

    @property
    def containerd(self) -> Path:
        return self.state / "containerd"

    @property
    def containers(self) -> Path:
        return self.state / "containers"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def daemon_logs(self) -> Path:
        return self.state / "logs" / ".capsuled"

    @property
    def socket(self) -> Path:
        """Where clients look for it: a link to where it is served, made once and good on a read-only disk, too."""
        return self.state / "capsule.sock"

    @property
    def served(self) -> Path:
        return self.run / "capsule.sock"

    @property
    def pid_file(self) -> Path:
        return self.state / "capsuled.pid"

    @property
    def execs(self) -> Path:
        return self.run / "exec"

    @property
    def copies(self) -> Path:
        """Where a copying process mounts a layer, for itself."""
        return self.run / "copies"

    @property
    def handover(self) -> Path:
        """Where pipes wait for the client of a copy."""
        return self.run / "handover"

    @property
    def microvms(self) -> Path:
        """What is kept of microVMs' runs, and their private layers."""
        return self.state / "microvms"

    @property
    def machines(self) -> Path:
        """The sockets of microVMs' monitors."""
        return self.run / "microvms"

    @property
    def agents(self) -> Path:
        """Where the daemon reaches the agents in them."""
        return self.run / "agents"

    @property
    def guest(self) -> Path:
        """What microVMs boot, where it was made here."""
        return self.state / "guest"

    @property
    def acceleration(self) -> Path:
        """What runs microVMs' processors: the same for every capsule on a machine, until it boots again."""
        return self.run.parent / "acceleration.json"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    @property
    def payloads(self) -> Path:
        """The disks that images are made for microVMs."""
        return self.state / "payloads"

    @property
    def payload(self) -> Path:
        """Where an image is mounted that is made a disk, by a process for itself."""
        return self.run / "payload"

    @property
    def mounts(self) -> Path:
        return self.run / "volumes"

    @property
    def namespaces(self) -> Path:
        return self.run / "netns"

    @property
    def memory(self) -> Path:
        """A file system in memory, for what must not lie on a disk."""
        return self.run / MEMORY

    @property
    def runc(self) -> Path:
        return self.run / "runc"


def hosted(state: Path) -> Layout:
    """The layout of a state directory on an ordinary machine."""
    state = state.resolve()
    return Layout(state, Path("/run/capsule") / hashlib.sha256(str(state).encode()).hexdigest()[:12])
