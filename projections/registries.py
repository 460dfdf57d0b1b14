"""Registries: where images come from, and by which credentials (in the sealed store), as operators said."""

from journal.entry import Header
from journal.events import RegistryConfigured, RegistryForgotten
from projections.handlers import Handlers
from projections.images import relieved
from projections.intents import ConfigureRegistry, ForgetRegistry
from projections.refusals import Refusal, missing
from projections.secrets import SEAL_BROKEN
from projections.state import Machine, Registry, Workload


def admit_registry(
    machine: Machine, call: ConfigureRegistry | ForgetRegistry
) -> tuple[RegistryConfigured | RegistryForgotten, ...] | Refusal:
    """What the call changes; nothing, if all was so already, and nobody waits for what could not be opened of it."""
    known = machine.registries.get(call.host)
    if isinstance(call, ForgetRegistry):
        if known is None:
            return missing("REGISTRY_NOT_FOUND", f"nothing is known of the registry {call.host}", "host")
        return (RegistryForgotten(call.host),)
    wanted = (call.username, call.secret, call.ca, call.plain_http)
    same = known is not None and (known.username, known.secret, known.ca, known.plain_http) == wanted
    if same and not any(_cannot_open(workload) for workload in _users(machine, call.host)):
        return ()
    return (RegistryConfigured(call.host, call.username, call.secret, call.ca, call.ca_bytes, call.plain_http),)


def configured(machine: Machine, header: Header, event: RegistryConfigured) -> None:
    """From now on it is reached like this; whoever could not have an image from it may try at once."""
    machine.registries[event.host] = Registry(
        host=event.host,
        seq=header.seq,
        at=header.at,
        username=event.username,
        secret=event.secret,
        ca=event.ca,
        plain_http=event.plain_http,
    )
    for workload in _users(machine, event.host):
        if workload.trouble is not None:
            machine.workloads[workload.name] = relieved(workload)


def _users(machine: Machine, host: str) -> list[Workload]:
    return [one for one in machine.workloads.values() if one.spec.image.ref.partition("/")[0] == host]


def _cannot_open(workload: Workload) -> bool:
    """What was kept for its image's registry: the same, said again, is news to it."""
    trouble = workload.trouble
    return trouble is not None and (trouble.effect, trouble.reason) == ("EnsureImage", SEAL_BROKEN)


def forgotten(machine: Machine, header: Header, event: RegistryForgotten) -> None:
    """From now on it is reached as any other."""
    machine.registries.pop(event.host, None)


HANDLERS: Handlers = {RegistryConfigured: configured, RegistryForgotten: forgotten}
