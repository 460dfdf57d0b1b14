"""The part of a workload's section that says which secrets it is given. Pure; absent becomes a default here."""

import re
from typing import Any

from capsule.v1 import workload_pb2 as pb
from journal.specs import ContainerSpec, SecretEnv, SecretFile
from projections.refusals import Refusal, invalid

DIRECTORY = "/run/secrets"
MODE = 0o400
_MODE = re.compile(r"0?[0-7]{3}")
_OWNER = re.compile(r"([0-9]{1,9})(?::([0-9]{1,9}))?")


def parse_env(message: pb.ContainerSpec | pb.MicroVMSpec) -> tuple[SecretEnv, ...]:
    """By the variables' names."""
    return tuple(SecretEnv(name, secret) for name, secret in sorted(message.secret_env.items()))


def parse_files(message: pb.ContainerSpec | pb.MicroVMSpec) -> tuple[SecretFile, ...] | Refusal:
    """In their order. A file is its reader's: of the user that the workload runs as, where that is a number."""
    found = []
    owner, group = _owner_of(message.user)
    for number, one in enumerate(message.secrets):
        if one.mode and not _MODE.fullmatch(one.mode):
            return invalid(
                "BAD_MODE", "a mode has three octal digits, like 0400 or 0440", f"container.secrets[{number}].mode"
            )
        found.append(
            SecretFile(
                secret=one.secret,
                path=one.path or f"{DIRECTORY}/{one.secret}",
                mode=int(one.mode, 8) if one.mode else MODE,
                uid=one.uid if one.HasField("uid") else owner,
                gid=one.gid if one.HasField("gid") else group,
            )
        )
    return tuple(found)


def _owner_of(user: str) -> tuple[int, int]:
    """Numbers that a manifest says; what a name means only the image knows."""
    found = _OWNER.fullmatch(user)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def files_message(spec: ContainerSpec) -> list[pb.SecretFile]:
    """The same, as clients see it; what is as by default is left out, the path is not."""
    return [pb.SecretFile(**_said(one, spec.user)) for one in spec.secrets]


def files_plain(spec: ContainerSpec) -> list[dict[str, Any]]:
    """The same in the manifest's words, for a diff."""
    return [_said(one, spec.user) for one in spec.secrets]


def _said(file: SecretFile, user: str) -> dict[str, Any]:
    said: dict[str, Any] = {"secret": file.secret, "path": file.path}
    if file.mode != MODE:
        said["mode"] = f"{file.mode:04o}"
    for name, value, usual in zip(("uid", "gid"), (file.uid, file.gid), _owner_of(user), strict=True):
        if value != usual:
            said[name] = value
    return said
