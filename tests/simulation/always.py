"""What holds at every moment, whatever breaks: looked at between any two things that a driver does to the world.

Of each workload one process lives at most, and has one link; an address, a host port and a volume are one's alone. (That
nothing is acknowledged before it is durable, that entries are never rewritten, and that no value stands in them, the
disk and its writer look after: store.py, disk.py.)
"""

from collections.abc import Iterator

from effects.network.twin import Cables
from effects.planner import plan_object
from effects.runs.twin import TwinContainer, World
from effects.volumes.twin import Storage
from journal.events import NetworkAttached, NetworkDrifted
from projections.network import wanted_mappings
from projections.observations import RunKey
from projections.phases import RunPhase
from projections.state import Machine, Workload


def judge_now(world: World, cables: Cables, storage: Storage) -> list[str]:
    """Everything of which there are two, or what is used in two ways."""
    alive = [key[0] for key, one in world.containers.items() if one.status == "running"]
    links, rules = cables.links, cables.rules or ()
    each = (
        ("a process", alive),
        ("a link", [name for name, _ in links]),
        ("an address", [link.address for link in links.values()]),
        ("a host port", [one.host_port for one in rules]),
        ("a volume", [name for name, _ in storage.volumes]),
    )
    wrong = [f"{what} is there twice: {names}" for what, names in each if len(set(names)) < len(names)]
    wrong += [f"{link.name} has the bridge's own address" for link in links.values() if link.address.endswith(".1")]
    both = [key for key, one in storage.volumes.items() if one.mounted and one.attached]
    return wrong + [f"volume {key} is mounted and attached" for key in both]


def staying(
    machine: Machine, world: World, kinds: tuple[str, ...] = ("microvm",)
) -> Iterator[tuple[RunKey, TwinContainer]]:
    """The microVMs that live, are to live on, and for which nothing is due: they are as they shall be."""
    for key, container in world.containers.items():
        name, uid, number = key
        workload = machine.workloads.get(name)
        run = None if workload is None or workload.uid != uid else workload.run
        if workload is None or run is None or container.status != "running" or container.run.kind not in kinds:
            continue
        stays = workload.desired == "running" and run.number == number and run.phase is RunPhase.RUNNING
        if stays and plan_object(machine, name) is None:
            yield key, container


def judge_plugs(machine: Machine, world: World, cables: Cables) -> list[str]:
    """Each of them has the link open that there is: looked at whenever a daemon dies, for soon something else may have
    ended it. One that shall be replaced, for it has a former link, goes on without any where its image was given up; and
    one whose link is told to be gone, and left so by its policy, has none, whoever has made another since."""
    return [
        f"the microVM {name}.{uid}.{number} has a link open that is gone, and nothing is due"
        for (name, uid, number), _ in staying(machine, world)
        if (name, uid) in cables.links
        and (name, uid) not in cables.opened
        and machine.workloads[name].unlinked is None
        and not _stranded(machine.workloads[name])
    ]


def judge_network_told(machine: Machine, cables: Cables, event: NetworkAttached | NetworkDrifted) -> str:
    """What is told of the network is so in that moment: who begins anew has lost his link, and of rules and bridge
    something differs from what is wanted by now. Later all may be well again."""
    if isinstance(event, NetworkAttached):
        lost = (event.name, event.uid) not in cables.opened
        return "" if lost or not event.anew else f"{event.name} is to begin anew, and has the link open that there is"
    differs = cables.rules != wanted_mappings(machine) or cables.bare
    return "" if event.name or differs else "another hand is told to have changed the rules, and they are as wanted"


def _stranded(workload: Workload) -> bool:
    """Whether its run is to be replaced and never can be: there is no image to begin the next from."""
    run, trouble = workload.run, workload.trouble
    given_up = trouble is not None and trouble.permanent and trouble.effect == "EnsureImage"
    return run is not None and run.number <= workload.superseded and given_up
