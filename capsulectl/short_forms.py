"""One line where a manifest could have a mapping: `tmpfs: [/tmp:64MiB]`, as users of other tools write it."""

from collections.abc import Callable, Mapping

from capsulectl.quantities import size_bytes

Fields = Mapping[str, str | int | bool]
"""Values by the message's own field names."""


def _tmpfs(text: str) -> Fields:
    """/tmp, or /tmp:64MiB."""
    path, colon, size = text.partition(":")
    return {"mount_path": path, "size_bytes": size_bytes(size)} if colon else {"mount_path": path}


def _host_bind(text: str) -> Fields:
    """/srv, /srv:/data, or /srv:/data:ro."""
    source, *rest = text.split(":")
    options = {"ro": True, "rw": False}
    read_only = options[rest.pop()] if rest and rest[-1] in options else False
    if len(rest) > 1:
        raise ValueError(f"{text!r} is not like /source:/inside or /source:/inside:ro")
    return {"source": source, "mount_path": rest[0] if rest else "", "read_only": read_only}


def _ulimit(text: str) -> Fields:
    """nofile=1024, or nofile=1024:65536."""
    name, _, numbers = text.partition("=")
    soft, colon, hard = numbers.partition(":")
    try:
        fields: dict[str, str | int | bool] = {"name": name, "soft": int(soft)}
        return {**fields, "hard": int(hard)} if colon else fields
    except ValueError:
        raise ValueError(f"{text!r} is not like nofile=1024 or nofile=1024:65536") from None


def _secret_file(text: str) -> Fields:
    """db-password, or db-password:/srv/keys/db."""
    secret, _, path = text.partition(":")
    return {"secret": secret, "path": path}


def _port_mapping(text: str) -> str:
    """What ADDRESS:HOST:CONTAINER/PROTOCOL is here."""
    ports, slash, protocol = text.partition("/")
    *address, host, inside = ["0", *ports.split(":")] if ":" not in ports else ports.split(":")
    fields = {"containerPort": inside, "hostPort": host, "protocol": protocol if slash else "",
              "hostAddress": ":".join(address)}  # fmt: skip
    return "{" + ", ".join(f"{name}: {value}" for name, value in fields.items() if value and value != "0") + "}"


def _volume_mount(text: str) -> str:
    """What SOURCE:INSIDE is here: of a volume a mount, of the machine's own path a bind."""
    source, _, inside = text.partition(":")
    if source.startswith(("/", ".")):
        return f"under hostBinds, as {text}"
    place, _, options = inside.partition(":")
    read_only = ", readOnly: true" if options == "ro" else ""
    return f"{{volumeName: {source}, mountPath: {place or '/data'}{read_only}}}"


MEANT: dict[str, Callable[[str], str]] = {"PortMapping": _port_mapping, "VolumeMount": _volume_mount}
"""By message that has no short form here: how to write what another tool's short form says."""

SHORT: dict[str, tuple[Callable[[str], Fields], str]] = {
    "Tmpfs": (_tmpfs, "/tmp:64MiB"),
    "HostBind": (_host_bind, "/srv/data:/data:ro"),
    "Ulimit": (_ulimit, "nofile=1024:65536"),
    "SecretFile": (_secret_file, "db-password"),
}
"""By message: what reads its short form, and an example of one. Raises ValueError with the problem in words."""
