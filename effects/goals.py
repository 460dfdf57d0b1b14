"""Effects: goals to reach in the outside world, as data. What `--dry-run` prints is what would run."""

import msgspec

from journal.specs import ContainerSpec
from projections.network import Mapping
from projections.state import Deadline


class EnsureNetwork(msgspec.Struct, frozen=True):
    """The bridge exists, and its rules hold just these mappings: what the machine wanted as of entry `upto`.

    A goal of the whole machine; it stands in the lane of the workload that needs it first.
    """

    name: str
    uid: int
    upto: int
    mappings: tuple[Mapping, ...] = ()
    not_before: Deadline | None = None
    attempt: int = 1


class AttachNetwork(msgspec.Struct, frozen=True):
    """The workload has a network namespace with a link to the bridge and this address."""

    name: str
    uid: int
    address: str
    not_before: Deadline | None = None
    attempt: int = 1


class DetachNetwork(msgspec.Struct, frozen=True):
    """Nothing is left of the workload's link and namespace."""

    name: str
    uid: int
    not_before: Deadline | None = None
    attempt: int = 1


class StartRun(msgspec.Struct, frozen=True):
    """Run `run` of this incarnation is alive, made from this spec. Not before `not_before`, if given."""

    name: str
    uid: int
    run: int
    revision: int
    spec: ContainerSpec
    labels: tuple[tuple[str, str], ...] = ()
    not_before: Deadline | None = None
    attempt: int = 1


class StopRun(msgspec.Struct, frozen=True):
    """Run `run` has ended, by its own will within the grace, and its exit is known."""

    name: str
    uid: int
    run: int
    grace_ms: int
    not_before: Deadline | None = None
    attempt: int = 1


class CleanRun(msgspec.Struct, frozen=True):
    """The runtime holds nothing of run `run`, which has ended; its writable layer and its logs stay."""

    name: str
    uid: int
    run: int
    not_before: Deadline | None = None
    attempt: int = 1


class RemoveWorkload(msgspec.Struct, frozen=True):
    """Nothing of this incarnation is left."""

    name: str
    uid: int
    not_before: Deadline | None = None
    attempt: int = 1


Effect = EnsureNetwork | AttachNetwork | DetachNetwork | StartRun | StopRun | CleanRun | RemoveWorkload


def kind_of(effect: Effect) -> str:
    """The name under which the effect stands in events and in a printed plan."""
    return type(effect).__name__


def run_of(effect: Effect) -> int:
    """The run the effect speaks of; 0 for the whole workload."""
    return effect.run if isinstance(effect, StartRun | StopRun | CleanRun) else 0


def detail_of(effect: Effect) -> str:
    """What the effect would do, in words for an operator."""
    match effect:
        case EnsureNetwork():
            count = len(effect.mappings)
            return f"the bridge with {count} port mapping{'' if count == 1 else 's'}"
        case AttachNetwork():
            return f"a link to the bridge with address {effect.address}"
        case DetachNetwork():
            return "no link to the bridge"
        case StartRun():
            return f"start run {effect.run} from {effect.spec.image.ref}"
        case StopRun():
            return f"stop run {effect.run}, within {effect.grace_ms / 1000:g} s"
        case CleanRun():
            return f"clean up after run {effect.run}"
        case RemoveWorkload():
            return "remove the container, its file system and its logs"
