"""The peers that run containers, each in its best fair configuration, on directories of its own, ended with them.

ctr talks to the containerd of the capsule under test (a namespace of its own), so both have one and the same runtime.
podman runs with overlay on its own root, runc (the machine's crun may refuse its cgroups), cgroupfs, no network, and
neither events nor a log driver that would cost it a journal; limits are the host's, for this machine may not raise any.
"""

import resource
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

IMAGE = "docker.io/library/demo:1"
SLEEP = ("sleep", "1000000")
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}


class Ctr:
    """containerd's own command line."""

    def __init__(self, address: Path) -> None:
        self._prefix = ("ctr", "-a", str(address), "-n", "bench")

    def import_image(self, archive: Path) -> None:
        """Cached and unpacked, as the capsule has it."""
        _run(*self._prefix, "images", "import", str(archive))

    def pull(self, ref: str) -> None:
        """From a registry without TLS."""
        _run(*self._prefix, "images", "pull", "--plain-http", ref)

    def remove_image(self, name: str) -> None:
        """Also its blobs and layers."""
        _run(*self._prefix, "images", "rm", "--sync", name)

    def run(self, names: list[str], *options: str) -> None:
        """Start them all at once."""
        _run_all([(*self._prefix, "run", "-d", *options, IMAGE, name, *SLEEP) for name in names])

    def execute(self, name: str, *command: str) -> None:
        """A further process in a running container, to its end."""
        _run(*self._prefix, "task", "exec", "--exec-id", fresh("exec"), name, *command)

    def remove(self, names: list[str]) -> None:
        """Nothing is left of them."""
        for name in names:
            _run(*self._prefix, "task", "delete", "--force", name)
            _run(*self._prefix, "container", "delete", name)


class Podman:
    """podman on a root of its own."""

    def __init__(self, directory: Path) -> None:
        self._prefix = (
            "podman", "--root", str(directory / "root"), "--runroot", str(directory / "run"), "--tmpdir",
            str(directory / "tmp"), "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--runtime",
            "/usr/sbin/runc", "--events-backend", "none",
        )  # fmt: skip

    def load(self, archive: Path) -> None:
        """The same image."""
        _run(*self._prefix, "load", "-q", "-i", str(archive))

    def pull(self, ref: str) -> None:
        """From a registry without TLS."""
        _run(*self._prefix, "pull", "-q", "--tls-verify=false", ref)

    def remove_image(self, name: str) -> None:
        """Also its layers."""
        _run(*self._prefix, "rmi", name)

    def command(
        self, name: str, network: tuple[str, ...] = ("--network", "none"), program: tuple[str, ...] = SLEEP
    ) -> tuple[str, ...]:
        """`run -d`."""
        return (
            *self._prefix, "run", "-d", *network, *_limits(), "--log-driver", "k8s-file",
            "--pull", "never", "--name", name, IMAGE, *program,
        )  # fmt: skip

    def run(self, name: str) -> None:
        """Start one."""
        _run(*self.command(name))

    def publish(self, name: str, port: str, program: tuple[str, ...]) -> None:
        """Start one on podman's own bridge, with a host port: `8080:80`."""
        _run(*self.command(name, ("-p", port), program))

    def replace(self, name: str, program: tuple[str, ...]) -> None:
        """Start one in place of the one that has the name. Its own `--replace` would give that ten seconds to stop."""
        self.remove(name)
        _run(*self.command(name, program=program))

    def execute(self, name: str, *command: str) -> None:
        """A further process in a running container, to its end."""
        _run(*self._prefix, "exec", name, *command)

    def copy(self, source: str, target: str) -> None:
        """`cp`, in either direction."""
        _run(*self._prefix, "cp", source, target)

    def remove(self, name: str) -> None:
        """Nothing is left of it."""
        _run(*self._prefix, "rm", "-f", "-t", "0", name)

    def close(self) -> None:
        """Containers, images and mounts go."""
        _run(*self._prefix, "rm", "-f", "-a", "-t", "0", check=False)
        _run(*self._prefix, "system", "reset", "-f", check=False)


@contextmanager
def podman(directory: Path, archive: Path) -> Iterator[Podman]:
    """A podman with the image."""
    made = Podman(directory)
    try:
        made.load(archive)
        yield made
    finally:
        made.close()


def _limits() -> Iterator[str]:
    """Podman asks for more files and processes than a machine without CAP_SYS_RESOURCE may give."""
    for name, kind, most in (("nofile", resource.RLIMIT_NOFILE, 1 << 20), ("nproc", resource.RLIMIT_NPROC, 30_000)):
        hard = min(most, resource.getrlimit(kind)[1])
        yield from ("--ulimit", f"{name}={hard}:{hard}")


def fresh(stem: str) -> str:
    """A name nobody had."""
    return f"{stem}-{uuid.uuid4().hex[:10]}"


def _run(*command: str, check: bool = True) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise SystemExit(f"`{' '.join(command)}`: {done.stderr.strip()[-500:]}")


def _run_all(commands: list[tuple[str, ...]]) -> None:
    children = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    codes = [child.wait() for child in children]
    assert not any(codes), f"{sum(map(bool, codes))} of {len(codes)} runs failed: `{' '.join(commands[0])}`"
