"""A container's own /etc/hosts, /etc/hostname and /etc/resolv.conf, mounted over the image's.

They are written anew at each start and removed with the workload. On network HOST a container has the machine's files,
which it may read.
"""

import shutil
from pathlib import Path

from effects.containers.mounts import OwnFile
from effects.errors import unwritten
from effects.runs.etc import OWN_ADDRESS, hosts_text, resolv_text
from effects.runs.protocol import RunSpec

_HOSTS = Path("/etc/hosts")
_HOSTNAME = Path("/etc/hostname")
_RESOLV = Path("/etc/resolv.conf")


class OwnFiles:
    """Keeps them below one directory, by name and uid."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, run: RunSpec) -> dict[str, OwnFile]:
        """Write the run's files; by their places inside. Raises NoSpace, StartFailed."""
        directory = self._of(run.name, run.uid)
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o755)
            if run.network == "host":
                return self._of_machine(run, directory)
            hostname = run.hostname or run.name
            files = {
                "hosts": hosts_text(hostname, run.address or OWN_ADDRESS, run.extra_hosts),
                "hostname": f"{hostname}\n",
                # Nobody can be asked without a network; the image's own would name servers of its builder's.
                "resolv.conf": resolv_text(_read(_RESOLV), run.nameserver) if run.nameserver else "",
            }
            return {f"/etc/{name}": OwnFile(_written(directory / name, text)) for name, text in files.items()}
        except OSError as error:
            raise unwritten(f"{directory}, the container's own files,", error) from error

    def _of_machine(self, run: RunSpec, directory: Path) -> dict[str, OwnFile]:
        files = {
            str(path): OwnFile(str(path), read_only=True) for path in (_HOSTS, _HOSTNAME, _RESOLV) if path.exists()
        }
        if run.extra_hosts:
            lines = "".join(f"{where}\t{who}\n" for who, where in run.extra_hosts)
            files[str(_HOSTS)] = OwnFile(_written(directory / "hosts", f"{_read(_HOSTS).rstrip()}\n{lines}"))
        return files

    def remove(self, name: str, uid: int) -> None:
        """Nothing of the incarnation is left. Raises OSError."""
        shutil.rmtree(self._of(name, uid), ignore_errors=True)
        try:
            self._of(name, uid).parent.rmdir()
        except OSError:
            pass  # another incarnation's files are in it, or it never was

    def _of(self, name: str, uid: int) -> Path:
        return self._directory / name / str(uid)


def _read(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def _written(path: Path, text: str) -> str:
    """In place: a file that is mounted somewhere must stay the same file."""
    path.write_text(text)
    path.chmod(0o644)
    return str(path)
