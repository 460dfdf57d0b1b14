"""The simulation's volumes: what operators ask of them, and what processes do with them."""

from capsuled.caller import Caller
from capsuled.engine import Engine
from effects.runs.twin import TwinContainer, World
from effects.volumes.twin import Storage
from journal.entry import LOCAL
from projections.intents import (
    Apply,
    CreateVolume,
    DeclaredVolume,
    DeleteVolume,
    ResizeVolume,
    RestoreVolume,
    TakeSnapshot,
    VolumeIntent,
)
from projections.refusals import Refusal
from tests.simulation.oracle import Oracle

MIB = 1 << 20
DISK = ".disk"
"""Behind a volume's path, what a virtual machine opens of it."""
VOLUME_VERBS = ("v-create", "v-create", "v-delete", "v-resize", "v-shrink", "v-snapshot", "v-restore", "v-declare")


async def call_on_volume(engine: Engine, oracle: Oracle, verb: str, name: str, call_id: str) -> str:
    """One call on the volume that is called like the workload; the oracle learns what was acknowledged."""
    known = oracle.disks.get(name)
    number = int(call_id.rpartition("-")[2])
    label = known.labels[-1] if known is not None and known.labels else "none"
    size = (known.size_bytes if known is not None else 0) + 16 * MIB
    declared = DeclaredVolume(name, (size - 16 * MIB) or 64 * MIB, "report" if number % 2 else "repair")
    intents: dict[str, VolumeIntent | Apply] = {
        "v-create": CreateVolume(name, 64 * MIB),
        "v-delete": DeleteVolume(name, force=True),
        "v-resize": ResizeVolume(name, size),
        "v-shrink": ResizeVolume(name, size - 32 * MIB),
        "v-snapshot": TakeSnapshot(name, f"s{number}"),
        "v-restore": RestoreVolume(name, label, f"before-{number}"),
        "v-declare": Apply((), volumes=(declared,)),
    }
    intent = intents[verb]
    outcome = await engine.call(intent, Caller(LOCAL, verb, call_id, f"{verb} {name}"))
    if isinstance(outcome, Refusal):
        return outcome.reason
    match intent:
        case Apply() if known is not None:
            pass  # of the size that it has, with this policy
        case CreateVolume() | Apply():
            oracle.disk_created(name, 64 * MIB)
        case DeleteVolume():
            oracle.disks.pop(name, None)
        case ResizeVolume():
            oracle.disks[name].sized(intent.size_bytes)
        case TakeSnapshot():
            oracle.disks[name].labels.append(intent.label)
        case RestoreVolume():
            oracle.disks[name].labels.append(intent.safety_label)
    return "ok"


def check_use(storage: Storage, world: World, container: TwinContainer) -> None:
    """A process comes to life on its volumes. Raises AssertionError when one is not mounted, or of a microVM attached, or
    used by another."""
    there = {f"/volumes/{name}.{uid}" for (name, uid), one in storage.volumes.items() if one.mounted}
    there |= {f"/volumes/{name}.{uid}{DISK}" for (name, uid), one in storage.volumes.items() if one.attached}
    for volume in container.run.volumes:
        assert volume.source in there, f"{container.run.name} started on {volume.source}, which is not there"
        assert volume.source.endswith(DISK) == (container.run.kind == "microvm"), f"{container.run.name}: {volume}"
        place = volume.source.removesuffix(DISK)
        others = [one for path in (place, place + DISK) for one in users(world, path) if one is not container]
        assert not others, f"{container.run.name} started on a volume that {others[0].run.name} uses"


def users(world: World, path: str) -> list[TwinContainer]:
    """The living processes, or virtual machines, that have the volume at `path` open."""
    alive = (one for one in world.containers.values() if one.status == "running")
    return [one for one in alive if any(volume.source == path for volume in one.run.volumes)]
