"""What holds at every moment, whatever breaks: looked at between any two things that a driver does to the world.

Of each workload one process lives at most, and has one link; an address, a host port and a volume are one's alone. (That
nothing is acknowledged before it is durable, that entries are never rewritten, and that no value stands in them, the
disk and its writer look after: store.py, disk.py.)
"""

from effects.network.twin import Cables
from effects.runs.twin import World
from effects.volumes.twin import Storage


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
    both = [key for key, one in storage.volumes.items() if one.mounted and one.attached]
    return wrong + [f"volume {key} is mounted and attached" for key in both]
