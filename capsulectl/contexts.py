"""Contexts: the names by which machines are known here, and which of them a command talks to.

`config.yaml` belongs to every Capsule client and keeps the format of those in the field; what only this one knows (unix
sockets, the heads of journals) lies in `local.yaml` beside it, because older clients drop what they do not know.
"""

import os
from pathlib import Path
from typing import Any

from capsulectl.errors import Failure

DEFAULT_SOCKET = Path("/var/lib/capsule/capsule.sock")


def config_dir() -> Path:
    """Where the configuration is: CAPSULE_CONFIG_DIR, else capsule/ below XDG_CONFIG_HOME or ~/.config."""
    chosen = os.environ.get("CAPSULE_CONFIG_DIR")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "capsule"


def load_local() -> dict[str, Any]:
    """`current`, `contexts` ({name: {socket}}), `heads` ({capsule id: {seq, hash}})."""
    return {"current": "", "contexts": {}, "heads": {}} | _load(config_dir() / "local.yaml")


def load_shared() -> dict[str, Any]:
    """The part that older clients share: `current` and `contexts` ({name: {addr, ...}})."""
    return {"current": "", "contexts": {}} | _load(config_dir() / "config.yaml")


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}") from error
    import yaml

    try:
        loaded = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise Failure(f"{path} is no valid YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise Failure(f"{path} is not a configuration: it must be a mapping")
    return {name: value for name, value in loaded.items() if value is not None}


def save_local(content: dict[str, Any]) -> None:
    """Replace `local.yaml` atomically, mode 0600."""
    import tempfile

    import yaml

    directory = config_dir()
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=directory, prefix=".local", delete=False) as scratch:
            yaml.safe_dump(content, scratch, sort_keys=True)
        os.replace(scratch.name, directory / "local.yaml")
    except OSError as error:
        raise Failure(f"{directory} cannot be written: {error.strerror}") from error


def target(capsule: str) -> str:
    """The gRPC target: from the flag, CAPSULE_HOST, the current context, or the socket of an installed capsuled."""
    wanted = capsule or os.environ.get("CAPSULE_HOST", "")
    if wanted.startswith("unix:"):
        return wanted
    if wanted.startswith(("/", "./", "../")):
        return f"unix:{Path(wanted).resolve()}"
    local = load_local()
    name = wanted or local["current"]
    if name in local["contexts"]:
        return f"unix:{local['contexts'][name]['socket']}"
    if name:
        shared = load_shared()["contexts"]
        if name in shared or name in [one.get("addr") for one in shared.values()]:
            raise Failure(f"{name} is reached over the network, which this release does not speak yet: use its socket")
        raise Failure(f"there is no context {name}: `capsulectl context list` shows those there are")
    if DEFAULT_SOCKET.exists():
        return f"unix:{DEFAULT_SOCKET}"
    raise Failure("no capsule to talk to: start one with `make up`, or name one with `--capsule unix:PATH`")


def remember_head(capsule_id: str, seq: int, digest: str) -> None:
    """Keep the journal's head, so that a cut tail is found by the next `journal verify`."""
    local = load_local()
    if seq > int(local["heads"].get(capsule_id, {}).get("seq", 0)):
        local["heads"][capsule_id] = {"seq": seq, "hash": digest}
        save_local(local)


def known_head(capsule_id: str) -> tuple[int, str]:
    """The newest head that was kept: (0, "") when none was."""
    head = load_local()["heads"].get(capsule_id, {})
    return int(head.get("seq", 0)), str(head.get("hash", ""))
