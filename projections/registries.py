"""Registries: where images come from, and by which credentials (in the sealed store), as operators said."""

from journal.entry import Header
from journal.events import RegistryConfigured, RegistryForgotten
from projections.handlers import Handlers
from projections.images import relieved
from projections.intents import ConfigureRegistry, ForgetRegistry
from projections.refusals import Refusal, missing
from projections.state import Machine, Registry


def admit_registry(
    machine: Machine, call: ConfigureRegistry | ForgetRegistry
) -> tuple[RegistryConfigured | RegistryForgotten, ...] | Refusal:
    """What the call changes; nothing, if all was so already."""
    known = machine.registries.get(call.host)
    if isinstance(call, ForgetRegistry):
        if known is None:
            return missing("REGISTRY_NOT_FOUND", f"nothing is known of the registry {call.host}", "host")
        return (RegistryForgotten(call.host),)
    wanted = (call.username, call.secret, call.ca, call.plain_http)
    if known is not None and (known.username, known.secret, known.ca, known.plain_http) == wanted:
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
    for name, workload in machine.workloads.items():
        if workload.spec.image.ref.partition("/")[0] == event.host and workload.trouble is not None:
            machine.workloads[name] = relieved(workload)


def forgotten(machine: Machine, header: Header, event: RegistryForgotten) -> None:
    """From now on it is reached as any other."""
    machine.registries.pop(event.host, None)


HANDLERS: Handlers = {RegistryConfigured: configured, RegistryForgotten: forgotten}
