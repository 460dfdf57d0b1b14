"""Other hands: who changes the simulated world behind the daemon's back."""

from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from effects.images.twin import CacheWorld
from effects.network.twin import Cables
from effects.runs.protocol import RunSpec
from effects.runs.twin import TwinContainer, World
from effects.volumes.twin import Storage
from tests.simulation.storage import users

Key = tuple[str, int, int]
"""(name, uid, run)"""

_KILL = 137
HANDS = (
    "other kill",
    "other kill",
    "other rm",
    "other run",
    "other link",
    "other address",
    *("other umount",) * 3,
    "other image",
)


@dataclass
class Hands:
    """What they can reach, and which runs they ended."""

    world: World
    cables: Cables
    storage: Storage
    cache: CacheWorld
    random: Random
    ended: set[Key] = field(default_factory=set)
    taken: set[Key] = field(default_factory=set)
    strays: int = 0

    def act(self, how: str) -> str:
        """One change, in words; empty when there is nothing to change."""
        match how:
            case "other kill" | "other rm":
                alive = [key for key, one in self.world.containers.items() if one.status == "running"]
                return self._end(self.random.choice(alive), how) if alive else ""
            case "other run":
                runs = [one.run for one in self.world.containers.values()]
                return self._leave(self.random.choice(runs)) if runs else ""
            case "other link":
                if not self.cables.links:
                    return ""
                link = self.random.choice(list(self.cables.links))
                self.cables.cut(link)
                return f"deletes the link of {link}"
            case "other port":
                taps = [key for key, link in self.cables.links.items() if link.kind == "tap"]
                if not taps:
                    return ""
                link = self.random.choice(taps)
                del self.cables.links[link]  # whoever has it open still has it
                self.cables.changed()
                return f"takes the TAP of {link} from the bridge"
            case "other address":
                self.cables.strip()
                return "takes the bridge's address"
            case "other umount":
                mounted = [key for key, one in self.storage.volumes.items() if one.mounted]
                held = [key for key in mounted if users(self.world, f"/volumes/{key[0]}.{key[1]}")]
                if not held:
                    return ""
                volume = self.random.choice(held)
                self.storage.unmount(volume)
                return f"unmounts {volume}"
            case _:
                image = self.random.choice(list(self.cache.records.values())) if self.cache.records else None
                if image is None:
                    return ""
                refs = [ref for ref, one in self.cache.records.items() if one.index_digest == image.index_digest]
                self.cache.take(*refs)
                return f"takes {refs} out of the image cache"

    def _leave(self, like: RunSpec) -> str:
        """A run of a workload that there never was: as those that an older journal's machine has left behind."""
        self.strays += 1
        run = replace(like, name=f"stray-{self.strays}", uid=1, run=1, env=(), volumes=(), secrets=())
        self.world.containers[run.name, run.uid, run.run] = TwinContainer(run, status="running")
        return f"leaves {run.kind} {run.name} behind"

    def _end(self, key: Key, how: str) -> str:
        self.ended.add(key)
        if how == "other kill":
            if self.world.containers[key].run.kind == "microvm":
                self.world.fail(key, "killed")
            else:
                self.world.end(key, _KILL)
            return f"kills {key}"
        self.taken.add(key)
        self.world.take(key)
        return f"removes {key}"
