"""Secrets: values with a name of their own, of which the state has the reference and the history, never the value."""

from msgspec.structs import replace

from journal.entry import Header
from journal.events import SecretCreated, SecretRemoved, SecretRotated
from journal.specs import ContainerSpec
from projections.handlers import Handlers
from projections.phases import LIVE
from projections.state import Machine, Secret, Workload


def names_in(spec: ContainerSpec) -> frozenset[str]:
    """The secrets that a spec names."""
    return frozenset((*(one.secret for one in spec.secret_env), *(one.secret for one in spec.secrets)))


def used_by(workload: Workload) -> frozenset[str]:
    """The secrets that a workload needs: as it is declared, and as it was for what still runs of it."""
    run = workload.run
    names = names_in(workload.spec)
    return names if run is None or run.spec is None or run.phase not in LIVE else names | names_in(run.spec)


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
    """From now on the name stands for another value."""
    secret = _mine(machine, event.name, event.uid)
    if secret is not None:
        machine.desired_seq = header.seq
        machine.secrets[event.name] = replace(
            secret,
            version=event.version,
            sealed=event.sealed,
            rotated_at=header.at,
            size_bytes=event.size_bytes,
            text=event.text,
        )


def removed(machine: Machine, header: Header, event: SecretRemoved) -> None:
    """The incarnation is over."""
    if _mine(machine, event.name, event.uid) is not None:
        machine.desired_seq = header.seq
        del machine.secrets[event.name]


HANDLERS: Handlers = {SecretCreated: created, SecretRotated: rotated, SecretRemoved: removed}
