"""Between the house's words and the driver's: a goal becomes a run. Pure."""

from effects.goals import StartRun
from effects.runs.protocol import MountedVolume, RunSpec
from effects.secrets.protocol import SecretDirectory


def run_spec(
    goal: StartRun,
    env: tuple[tuple[str, str], ...],
    namespace: str,
    nameserver: str,
    volumes: tuple[MountedVolume, ...],
    secrets: tuple[SecretDirectory, ...],
) -> RunSpec:
    """The run that the goal asks for. `env` is in clear; `namespace` is where it joins the bridge, and
    `nameserver` whom it asks for names there."""
    spec = goal.spec
    return RunSpec(
        name=goal.name,
        uid=goal.uid,
        revision=goal.revision,
        run=goal.run,
        image=spec.image.platform_digest,
        command=spec.command,
        args=spec.args,
        env=env,
        working_dir=spec.working_dir,
        user=spec.user,
        network=spec.network,
        namespace=namespace,
        address=goal.address,
        nameserver=nameserver,
        volumes=volumes,
        secrets=secrets,
        privileged=spec.privileged,
        host_pid=spec.host_pid,
        host_ipc=spec.host_ipc,
        host_mount=spec.host_mount,
        host_bind_paths=spec.host_bind_paths,
        host_binds=spec.host_binds,
        tmpfs=spec.tmpfs,
        shm_bytes=spec.shm_bytes,
        hostname=spec.hostname,
        extra_hosts=spec.extra_hosts,
        stop_signal=spec.stop_signal,
        resources=spec.resources,
        ulimits=spec.ulimits,
        cap_add=spec.cap_add,
        cap_drop=spec.cap_drop,
        read_only_root=spec.read_only_root,
        new_privileges=spec.new_privileges,
        seccomp=spec.seccomp,
        vm=spec.vm,
    )
