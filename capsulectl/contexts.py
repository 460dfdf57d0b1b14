"""Contexts: the names by which machines are known here, and which of them a command talks to.

`config.yaml` belongs to every Capsule client and keeps the format of those in the field; what only this one knows (unix
sockets) lies in `local.yaml` beside it, because older clients drop what they do not know.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from capsulectl.errors import USAGE, Failure
from capsulectl.files import own_directory, replace_file

DEFAULT_SOCKET = Path("/var/lib/capsule/capsule.sock")
_SOCKET, _PATHS = "unix:", ("/", "./", "../")
"""How a socket begins, where it stands instead of a context's name."""
_SOCKET_BYTES = 107
"""What the kernel takes of a socket's path."""


def config_dir() -> Path:
    """Where the configuration is: CAPSULE_CONFIG_DIR, else ~/.config/capsule. XDG_CONFIG_HOME does not count: other
    clients of the same capsules do not look there, and would have keys and contexts of their own."""
    chosen = os.environ.get("CAPSULE_CONFIG_DIR")
    if chosen:
        return Path(chosen).absolute()  # what is kept names files there
    try:
        return Path.home() / ".config" / "capsule"
    except RuntimeError as error:
        told = "you have no home directory to keep the configuration in: set CAPSULE_CONFIG_DIR, or HOME"
        raise Failure(told) from error


def load_local() -> dict[str, Any]:
    """`current` and `beside` (what `config.yaml` had as current then), `contexts` ({name: {socket}})."""
    return {"current": "", "contexts": {}} | _load(config_dir() / "local.yaml")


def load_shared() -> dict[str, Any]:
    """What clients in the field share: `current` and `contexts` ({name: {addr, capsule_id, tls_fingerprint_sha256,
    key_path}})."""
    return {"current": "", "contexts": {}} | _load(config_dir() / "config.yaml")


def _load(path: Path) -> dict[str, Any]:
    """A configuration file; what it said last time is kept as JSON, for YAML's parser takes longer than most calls."""
    import json

    kept = path.with_name(f".{path.name}.json")
    try:
        found = os.stat(path)
        stamp = [found.st_mtime_ns, found.st_size, found.st_ino]
        with contextlib.suppress(OSError, ValueError):
            before = json.loads(kept.read_bytes())
            if before[:1] == [stamp]:
                return dict(before[1])
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise Failure(f"{path} is no text. {_MENDED}") from error
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from error
    loaded = _parsed(path, text)
    with contextlib.suppress(Failure, TypeError):
        replace_file(kept, json.dumps([stamp, loaded]).encode())
    return loaded


def _parsed(path: Path, text: str) -> dict[str, Any]:
    import yaml

    try:
        loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
        line = f":{mark.line + 1}" if mark else ""
        raise Failure(f"{path}{line}: no valid YAML: {problem}. {_MENDED}") from error
    found = {} if loaded is None else loaded  # an empty file says nothing
    if not isinstance(found, dict) or not _is_mapping_of_mappings(found.get("contexts")):
        raise Failure(f"{path} is no configuration: `contexts` has a mapping for each name. {_MENDED}")
    return {name: value for name, value in found.items() if value is not None}


_MENDED = "Mend it, or move it away and adopt the capsules again"


def _is_mapping_of_mappings(contexts: Any) -> bool:
    return contexts is None or (
        isinstance(contexts, dict)
        and all(isinstance(name, str) and isinstance(one, dict) for name, one in contexts.items())
    )


def save_local(content: dict[str, Any]) -> None:
    """Replace `local.yaml`."""
    _save("local.yaml", content)


def save_shared(content: dict[str, Any]) -> None:
    """Replace `config.yaml`; what other clients keep there stays as it was read."""
    _save("config.yaml", content)


def _save(name: str, content: dict[str, Any]) -> None:
    import yaml

    path = Path(os.path.realpath(config_dir() / name))  # a link to where somebody keeps it stays one
    replace_file(path, yaml.safe_dump(content, sort_keys=True, allow_unicode=True).encode())


def current(local: dict[str, Any], shared: dict[str, Any]) -> str:
    """The name of the context in use: whichever client chose last, this one or one that only knows `config.yaml`."""
    if local["current"] and local.get("beside", "") == shared["current"]:
        return str(local["current"])
    return str(shared["current"] or local["current"])


def new_name(name: str) -> str:
    """A name for a new context, as it is given. Raises Failure for one by which nobody could mean it afterwards."""
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise Failure(f"{name!r} is no name of a context: is a variable unset?", USAGE)
    if name.startswith((_SOCKET, *_PATHS, "-")):
        raise Failure(f"{name!r} is no name of a context: it would be taken for a path or an option", USAGE)
    return name


@contextlib.contextmanager
def changing() -> Iterator[None]:
    """Within, no other command of ours changes contexts: what is loaded there is what is there until it is saved. Who
    only reads needs none of this, for files are replaced whole. The lock's file stays: whoever removed it would leave
    those who wait for it with another than those who come. Raises Failure."""
    import fcntl

    path = config_dir() / "contexts.lock"
    try:
        own_directory(path.parent)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from error
    try:
        with contextlib.suppress(OSError):  # a file system without locks: as good as it can be there
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def check_known(name: str) -> None:
    """Raises Failure when there is no context of this name."""
    local, shared = load_local(), load_shared()
    if name not in local["contexts"] and name not in shared["contexts"]:
        raise no_context(name, local, shared)


def choose(name: str) -> None:
    """Make a context the current one. Raises Failure when there is none of this name."""
    check_known(name)  # before a directory is made for it
    with changing():
        chosen_within(name)


def chosen_within(name: str) -> None:
    """The same, within `changing`."""
    local, shared = load_local(), load_shared()
    if name in local["contexts"]:
        save_local(local | {"current": name, "beside": shared["current"]})
    elif name in shared["contexts"]:
        save_shared(shared | {"current": name})
        if local["current"]:
            save_local(local | {"current": "", "beside": ""})
    else:
        raise no_context(name, local, shared)


class Target(NamedTuple):
    """Where a capsule is. Over the network: whose certificate to expect, and which key proves who calls."""

    address: str
    name: str = ""
    capsule_id: str = ""
    fingerprint: str = ""
    key_path: str = ""

    @property
    def machine(self) -> str:
        """What tells it from others, wherever it is reached."""
        return self.capsule_id or self.address

    @property
    def secure(self) -> bool:
        return bool(self.fingerprint)


def target(capsule: str) -> Target:
    """The capsule to talk to: from the flag, CAPSULE_HOST, the current context, or the socket of an installed one."""
    wanted = capsule or os.environ.get("CAPSULE_HOST", "")
    if wanted.startswith(_SOCKET):
        return _at_socket(wanted.removeprefix(_SOCKET))
    if wanted.startswith(_PATHS):
        return _at_socket(str(Path(wanted).resolve()))
    local, shared = load_local(), load_shared()
    name = wanted or current(local, shared)
    if name in local["contexts"]:
        return _at_socket(str(local["contexts"][name].get("socket", "")), name)
    if name in shared["contexts"]:
        return _enrolled(name, shared["contexts"][name])
    # Two machines may have had an address, one after the other: the one in use is meant.
    there = [other for other, one in shared["contexts"].items() if name and one.get("addr") == name]
    if there:
        other = shared["current"] if shared["current"] in there else there[0]
        return _enrolled(other, shared["contexts"][other])
    if name:
        raise no_context(name, local, shared)
    if DEFAULT_SOCKET.exists():
        return Target(f"unix:{DEFAULT_SOCKET}")
    known = sorted({*local["contexts"], *shared["contexts"]})
    if known:
        raise Failure(
            "no capsule to talk to, for no context is in use: `capsulectl context use NAME` chooses one "
            f"({', '.join(known)}), `--capsule NAME` names one for once"
        )
    raise Failure(
        "no capsule to talk to: start one with `make up` (where it is a service: `systemctl start capsuled`), "
        "adopt one with `capsulectl adopt HOST:PORT`, or name one with `--capsule`"
    )


def no_context(name: str, local: dict[str, Any], shared: dict[str, Any]) -> Failure:
    """Nothing is called that; the one that was probably meant is named."""
    import difflib

    close = difflib.get_close_matches(name, [*local["contexts"], *shared["contexts"]], 1)
    if ":" in name:
        instead = f"`capsulectl adopt {name}` makes one"
    else:
        instead = f"do you mean {close[0]}?" if close else "`capsulectl context list` shows those there are"
    return Failure(f"there is no context {name}: {instead}")


def _at_socket(path: str, name: str = "") -> Target:
    if not path:
        raise Failure("there is no path behind unix:", USAGE)
    if len(os.fsencode(path)) > _SOCKET_BYTES:
        raise Failure(f"{path} is no path of a socket: that has {_SOCKET_BYTES} bytes at most", USAGE)
    return Target(f"{_SOCKET}{path}", name)


def _enrolled(name: str, one: dict[str, Any]) -> Target:
    lacking = [key for key in ("addr", "capsule_id", "tls_fingerprint_sha256", "key_path") if not one.get(key)]
    if lacking:
        raise Failure(f"the context {name} has no {', '.join(lacking)}: adopt the capsule again")
    return Target(
        str(one["addr"]),
        name,
        str(one["capsule_id"]),
        str(one["tls_fingerprint_sha256"]).lower(),
        str(one["key_path"]),
    )
