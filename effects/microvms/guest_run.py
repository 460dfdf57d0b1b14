"""What the guest is told of its run: the JSON on the disk `run`. Pure. guest/run.py says what each field means.

It has the environment and the secrets in clear: it is only ever in memory.
"""

import base64
from typing import Any

import msgspec

from effects.runs.etc import OWN_ADDRESS, hosts_text, resolv_text
from effects.runs.limits import NOFILE, NOFILE_SOFT
from effects.runs.privileges import MASKED, READONLY, held
from effects.runs.process import Identity, ImageConfig, arguments, environment, hostname, stop_signal
from effects.runs.protocol import RunSpec
from effects.secrets.protocol import SecretContent
from projections.linux import CAPABILITIES

_SECTOR_BYTES = 512


class Surroundings(msgspec.Struct, frozen=True):
    """What a run finds beside its image: the machine's /etc/resolv.conf, the bridge's prefix, and secrets."""

    resolv_conf: str = ""
    prefix: int = 24
    secrets: tuple[SecretContent, ...] = ()
    time_ns: int = 0


def volume_serial(number: int) -> str:
    """How the guest finds the disk of the run's volume of this number, from 0."""
    return f"vol{number}"


def run_disk(run: RunSpec, image: ImageConfig, identity: Identity, around: Surroundings) -> bytes:
    """The content of the disk, whole sectors."""
    text = msgspec.json.encode(_said(run, image, identity, around))
    return text + b"\0" * (-len(text) % _SECTOR_BYTES)


def _said(run: RunSpec, image: ImageConfig, identity: Identity, around: Surroundings) -> dict[str, Any]:
    bounding = held(run, CAPABILITIES)
    raised = () if identity.uid == 0 else tuple(name for name in bounding if name in run.cap_add)
    return {
        "name": run.name,
        "uid": run.uid,
        "run": run.run,
        "argv": list(arguments(run, image)),
        "env": environment(run, image, hostname(run)),
        "cwd": run.working_dir or image.working_dir or "/",
        "user": {"uid": identity.uid, "gid": identity.gid, "groups": list(identity.groups)},
        "hostname": hostname(run),
        "files": {
            "/etc/hosts": hosts_text(hostname(run), run.address or OWN_ADDRESS, run.extra_hosts),
            "/etc/hostname": f"{hostname(run)}\n",
            "/etc/resolv.conf": resolv_text(around.resolv_conf, run.nameserver) if run.nameserver else "",
        },
        "network": _network(run, around),
        "mounts": [
            {"serial": volume_serial(number), "path": volume.target, "read_only": volume.read_only}
            for number, volume in enumerate(run.volumes)
        ],
        "tmpfs": [{"path": one.mount_path, "size_bytes": one.size_bytes} for one in run.tmpfs],
        "shm_bytes": run.shm_bytes,
        "rlimits": {"nofile": [NOFILE_SOFT, NOFILE]} | {one.name: [one.soft, one.hard] for one in run.ulimits},
        "capabilities": [CAPABILITIES.index(name) for name in bounding],
        "raised": [CAPABILITIES.index(name) for name in raised],
        "no_new_privileges": not (run.privileged or run.new_privileges),
        "read_only_root": run.read_only_root,
        "masked": [] if run.privileged else list(MASKED),
        "read_only_paths": [] if run.privileged else list(READONLY),
        "secrets": [
            {
                "path": one.path,
                "mode": one.mode,
                "uid": one.uid,
                "gid": one.gid,
                "base64": base64.b64encode(one.content).decode(),
            }
            for one in around.secrets
        ],
        "stop_signal": stop_signal(run, image),
        "pids": run.resources.pids,
        "memory_bytes": run.resources.memory_bytes,
        "time_ns": around.time_ns,
    }


def _network(run: RunSpec, around: Surroundings) -> dict[str, Any] | None:
    if not run.address:
        return None
    return {"address": run.address, "prefix": around.prefix, "gateway": run.nameserver}
