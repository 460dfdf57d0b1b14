"""Secrets: values with a name of their own, of which the state has the reference and the history, never the value."""

from msgspec.structs import replace

from journal.entry import Header
from journal.events import SecretCreated, SecretFilesPlaced, SecretFilesRemoved, SecretRemoved, SecretRotated
from journal.specs import ContainerSpec, PlacedSecret, SealedEnv
from projections.handlers import Handlers
from projections.phases import LIVE, RunPhase
from projections.state import Machine, Run, Secret, Workload
from projections.troubles import relieved

SEAL_BROKEN = "SEAL_BROKEN"
"""Why an effect failed for which a sealed value was to be opened: it waits for somebody to give that again."""
_NEED_VALUES = ("StartRun", "EnsureSecretFiles")


def names_in(spec: ContainerSpec) -> frozenset[str]:
    """The secrets that a spec names."""
    return frozenset((*(one.secret for one in spec.secret_env), *(one.secret for one in spec.secrets)))


def used_by(workload: Workload) -> frozenset[str]:
    """The secrets that a workload needs: as it is declared, and as it was for what still runs of it."""
    run, names = workload.run, names_in(workload.spec)
    return names if run is None or run.phase not in LIVE else names | names_in(spec_of(workload, run))


def spec_of(workload: Workload, run: Run) -> ContainerSpec:
    """What the run was begun from."""
    return workload.spec if run.spec is None else run.spec


def living_spec(workload: Workload) -> ContainerSpec:
    """What lives was begun from; where nothing lives, what is declared."""
    run = workload.run
    return workload.spec if run is None or run.phase not in LIVE else spec_of(workload, run)


def absent_from(machine: Machine, spec: ContainerSpec) -> tuple[str, ...]:
    """The secrets that a spec names and that are not there, sorted: none, as long as one in use cannot be removed."""
    return tuple(sorted(names_in(spec) - machine.secrets.keys()))


def values_for(machine: Machine, spec: ContainerSpec) -> tuple[SealedEnv, ...]:
    """The variables that a run which begins now has from secrets: as those are now."""
    found = ((one.name, machine.secrets[one.secret]) for one in spec.secret_env)
    return tuple(SealedEnv(name, secret.sealed, secret.size_bytes) for name, secret in found)


def files_for(machine: Machine, spec: ContainerSpec) -> tuple[PlacedSecret, ...]:
    """The files that a run from this spec is to have, as secrets are now; none while one of those is not there."""
    if not spec.secrets or absent_from(machine, spec):
        return ()
    found = ((one, machine.secrets[one.secret]) for one in spec.secrets)
    return tuple(
        PlacedSecret(one.secret, secret.version, secret.sealed, one.path, one.mode, one.uid, one.gid)
        for one, secret in found
    )


def outdated_text(workload: Workload) -> str:
    """What to say of a run that has former values of secrets in its environment; empty of any other."""
    run = workload.run
    if run is None or run.phase not in LIVE or not run.outdated:
        return ""
    of = f"{'secret' if len(run.outdated) == 1 else 'secrets'} {', '.join(run.outdated)}"
    return f"run {run.number} has a former value of {of} in its environment: the next start has the present one"


def users_of(machine: Machine, name: str) -> tuple[str, ...]:
    """The workloads that need the secret, sorted."""
    return tuple(sorted(workload.name for workload in machine.workloads.values() if name in used_by(workload)))


def env_users(machine: Machine, name: str) -> tuple[str, ...]:
    """Those of them that are declared with it as an environment variable."""
    return tuple(
        sorted(
            workload.name
            for workload in machine.workloads.values()
            if any(one.secret == name for one in workload.spec.secret_env)
        )
    )


def created(machine: Machine, header: Header, event: SecretCreated) -> None:
    """A new incarnation."""
    machine.desired_seq = header.seq
    machine.secrets[event.name] = Secret(
        name=event.name,
        uid=header.seq,
        version=1,
        sealed=event.sealed,
        created_at=header.at,
        rotated_at=header.at,
        size_bytes=event.size_bytes,
        text=event.text,
    )


def _mine(machine: Machine, name: str, uid: int) -> Secret | None:
    secret = machine.secrets.get(name)
    return secret if secret is not None and secret.uid == uid else None


def rotated(machine: Machine, header: Header, event: SecretRotated) -> None:
    """From now on the name stands for another value; or, given `again`, the same can be opened again."""
    secret = _mine(machine, event.name, event.uid)
    if secret is None:
        return
    if event.again:
        for name in users_of(machine, event.name):
            machine.workloads[name] = relieved(machine.workloads[name], *_NEED_VALUES)
        return
    machine.desired_seq = header.seq
    machine.secrets[event.name] = replace(
        secret,
        version=event.version,
        sealed=event.sealed,
        rotated_at=header.at,
        size_bytes=event.size_bytes,
        text=event.text,
    )
    for name, workload in machine.workloads.items():
        if event.name in used_by(workload):
            machine.workloads[name] = _rotated_for(workload, event.name)


def _rotated_for(workload: Workload, secret: str) -> Workload:
    """A run that has the former value in its environment keeps it, which is remembered. One that is about to begin
    begins anew: nobody could say which of the two it has. Whoever failed to start may have failed for the value."""
    run, workload = workload.run, relieved(workload, *_NEED_VALUES)
    if run is None or run.phase not in LIVE or secret not in (one.secret for one in spec_of(workload, run).secret_env):
        return workload
    if run.phase is RunPhase.STARTING:
        return replace(workload, superseded=run.number)
    return replace(workload, run=replace(run, outdated=tuple(sorted({*run.outdated, secret}))))


def removed(machine: Machine, header: Header, event: SecretRemoved) -> None:
    """The incarnation is over."""
    if _mine(machine, event.name, event.uid) is not None:
        machine.desired_seq = header.seq
        del machine.secrets[event.name]


def files_placed(machine: Machine, header: Header, event: SecretFilesPlaced) -> None:
    """They are as the event says."""
    _keep_files(machine, event.name, event.uid, event.files)


def files_removed(machine: Machine, header: Header, event: SecretFilesRemoved) -> None:
    """There are none."""
    _keep_files(machine, event.name, event.uid, ())


def _keep_files(machine: Machine, name: str, uid: int, files: tuple[PlacedSecret, ...]) -> None:
    workload = machine.workloads.get(name)
    if workload is not None and workload.uid == uid:
        machine.workloads[name] = replace(workload, secret_files=files, secret_traces=False)


def memory_lost(machine: Machine) -> None:
    """With the power goes what was in memory."""
    for name, workload in machine.workloads.items():
        if workload.secret_files or workload.secret_traces:
            machine.workloads[name] = replace(workload, secret_files=(), secret_traces=False)


HANDLERS: Handlers = {
    SecretCreated: created,
    SecretRotated: rotated,
    SecretRemoved: removed,
    SecretFilesPlaced: files_placed,
    SecretFilesRemoved: files_removed,
}
