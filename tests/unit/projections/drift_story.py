"""Machines that are as they are wanted, to change something of; and what then differs."""

from msgspec.structs import replace

from journal.specs import DriftPolicy, PortMapping, VolumeMount
from projections.admission import Admitted
from projections.drift import Difference, Label, drift
from projections.intents import Declared, DeclaredVolume
from tests.support.story import Story, declared

PORT = (PortMapping(80, 8080),)


def settled(*workloads: Declared, volumes: tuple[DeclaredVolume, ...] = ()) -> Story:
    story = Story()
    assert isinstance(story.apply(*workloads, volumes=volumes), Admitted)
    story.converge()
    return story


def bridged(drift: DriftPolicy = "repair") -> Story:
    return settled(declared("web", network="bridge", ports=PORT, drift=drift))


def stored(drift: DriftPolicy = "repair") -> Story:
    """A workload on a volume."""
    web = declared("web")
    web = replace(web, spec=replace(web.spec, mounts=(VolumeMount("data", "/data"),)))
    return settled(web, volumes=(DeclaredVolume("data", 64 << 20, drift),))


def only(story: Story) -> Difference:
    (found,) = drift(story.machine)
    return found


def shown(story: Story) -> tuple[tuple[str, str, Label], ...]:
    return tuple((one.object, one.aspect, one.label) for one in drift(story.machine))
