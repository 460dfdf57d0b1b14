"""The world beside the wishes, in a quiet moment: everything that is there and must not be, or must be and is not."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.support.daemon import Daemon
from tests.support.site import Site
from tests.support.storm import illness, inside
from tests.support.storm.wishes import Wishes, WorkloadWish
from tests.support.storm.world import Observer, Unquiet, World, lines_of

GATEWAY = "172.20.254.1"


class Judge:
    """Of one capsule on a site."""

    def __init__(self, site: Site, capsule: Daemon, run: Path, observer: Observer) -> None:
        self._site, self._capsule, self._run, self._observer = site, capsule, run, observer

    def judge(self, wishes: list[Wishes]) -> list[str]:
        """What is wrong now. Volumes that were read and are right are noted as calm. Raises Unquiet."""
        world = self._observer.look()
        workloads = {name: wish for one in wishes for name, wish in one.workloads.items()}
        present = {one.partition(".")[0] for one in (*world.containers, *world.monitors)}
        ill = {
            name
            for name, wish in workloads.items()
            if name in present
            and wish.program.check
            and not wish.program.machine
            and illness.is_ill(wish.program.token, wish.program.check)
        }
        living = {
            name: wish
            for one in wishes
            for name, wish in one.workloads.items()
            if one.lives(wish) and (name in present or not one.may_wait(wish, ill))
        }
        wrong = _containers(world, workloads, living)
        wrong += _machines(world, workloads, living)
        wrong += self._storage(world, wishes, living)
        wrong += self._network(world, workloads, living)
        if not wrong:
            wrong += self._answers(living) + self._inside(wishes, living, ill)
        for one in wishes if not wrong else ():
            wrong += self._content(world, one, living)
        return wrong

    # --- what is inside, and what is told of it ------------------------------------------------------------------

    def _inside(self, wishes: list[Wishes], living: dict[str, WorkloadWish], ill: set[str]) -> list[str]:
        done = self._capsule.ctl("list", "-o", "json")
        if done.returncode:
            raise Unquiet(done.stderr)  # it was killed, and does not answer yet
        told: dict[str, Any] = {one["name"]: one["status"] for one in json.loads(done.stdout)["workloads"]}
        wrong = self._health(living, ill, told)
        for one in wishes:
            for name, wish in one.workloads.items():
                if name in living:
                    values = one.secrets.get(wish.program.secret, [])
                    inside_of = self._content_told if wish.program.machine else _content_inside
                    wrong += inside_of(name, wish, values, told[name])
        return wrong

    def _content_told(self, name: str, wish: WorkloadWish, values: list[str], status: dict[str, Any]) -> list[str]:
        """The same of a microVM, as far as its own pages tell it. What was copied to it was copied back already."""
        if not wish.program.secret:
            return []
        file, given = (self._observer.page(wish.address, 80, path) for path in ("secret", "given"))
        return _secrets(name, wish, values, status, file, given)

    def _health(self, living: dict[str, WorkloadWish], ill: set[str], status: dict[str, Any]) -> list[str]:
        """What is ill is ended, or told of where it is to run on; of all others it is told that they are well."""
        checked = {name: wish for name, wish in living.items() if wish.program.check}
        wrong = [
            f"{name} is ill, and runs on" for name in sorted(ill & checked.keys()) if not checked[name].program.told
        ]
        told = {name: status[name].get("health", "") for name in checked}
        wanted = {name: "unhealthy" if name in ill else "healthy" for name in checked}
        return wrong + _differ("health", told, wanted)

    # --- mounts, loops, files ------------------------------------------------------------------------------------

    def _storage(self, world: World, wishes: list[Wishes], living: dict[str, WorkloadWish]) -> list[str]:
        disks = {name: disk for one in wishes for name, disk in one.disks.items()}
        wrong = _differ("volumes", Counter(image.partition(".")[0] for image in world.images), Counter(disks.keys()))
        snapshots = {name: len(disk.snapshots) for name, disk in disks.items() if disk.snapshots}
        wrong += _differ("snapshots", world.snapshots, Counter(snapshots))
        used = {wish.program.disk for wish in living.values() if wish.program.disk and not wish.program.machine}
        attached = {wish.program.disk for wish in living.values() if wish.program.disk and wish.program.machine}
        wrong += _differ("attached volumes", {image.partition(".")[0] for image in world.attached}, attached)
        # Who waits for another, or for a word, before a further run may still hold what the run before it held.
        waiting = {
            wish.program.disk
            for one in wishes
            for name, wish in one.workloads.items()
            if wish.left == "run" or (one.lives(wish) and name not in living)
        }
        files = [
            image
            for image in world.images
            if (disk := image.partition(".")[0]) in used or (disk in waiting and self._loop(image) in world.loops)
        ]
        wrong += _differ("loops", world.loops, [self._loop(image) for image in files])
        unmounted = {wish.program.disk for wish in living.values() if wish.left == "mount"}
        held = [image for image in files if image.partition(".")[0] not in unmounted]
        mounts = [f"{self._run}/memory", *(f"{self._run}/volumes/{image.removesuffix('.img')}" for image in held)]
        mounts += [f"{self._run}/netns/{name}" for name in world.addresses]
        task = self._run / "state" / "io.containerd.runtime.v2.task" / "capsule"
        mounts += [f"{task}/{one}/rootfs" for one in world.containers]
        return wrong + _differ("mounts", world.mounts, mounts) + self._memory(world, wishes, living)

    def _memory(self, world: World, wishes: list[Wishes], living: dict[str, WorkloadWish]) -> list[str]:
        """Files of secrets are in memory for whom runs; for whom is between two runs they may be."""
        users = {name for one in wishes for name, wish in one.workloads.items() if wish.running and wish.program.secret}
        must = {name for name in users if name in living}
        wrong = [f"secrets of {name} are in memory" for name in sorted(world.secrets.keys() - users)]
        wrong += [f"secrets of {name} are not in memory" for name in sorted(must - world.secrets.keys())]
        return wrong + [f"{name} has {count} places for secrets" for name, count in world.secrets.items() if count > 1]

    def _loop(self, image: str) -> str:
        return f"{self._capsule.state}/volumes/{image}"

    def _content(self, world: World, one: Wishes, living: dict[str, WorkloadWish]) -> list[str]:
        wrong = []
        for name, disk in one.disks.items():
            holder = one.holder(name, living)
            if holder is None or holder.left == "mount":
                continue
            (image,) = (image for image in world.images if image.partition(".")[0] == name)
            if holder.program.machine:
                lines = tuple((self._observer.page(holder.address, 80, "lines") or "").split())
            else:
                lines = lines_of(self._run, self._site.pid, image)
            if lines[: len(disk.lines)] != disk.lines:
                wrong.append(f"{name} held {disk.lines}, and holds {lines}")
            if foreign := set(lines) - disk.written:
                wrong.append(f"{name} holds {foreign}, which was never written to it")
            if lines[-1:] != (holder.program.token,):
                wrong.append(f"{name} ends with {lines[-1:]}, and {holder.program.token} runs on it")
            if not wrong:
                disk.lines = lines
        one.calm = not wrong
        return wrong

    # --- links, addresses, rules ---------------------------------------------------------------------------------

    def _network(self, world: World, workloads: dict[str, WorkloadWish], living: dict[str, WorkloadWish]) -> list[str]:
        bridged = {name: wish for name, wish in workloads.items() if wish.program.bridged}
        wrong = _differ("bridge", world.bridge, [f"{GATEWAY}/24"] if bridged else [])
        wrong += [] if world.table == bool(bridged) else [f"the table is {'there' if world.table else 'not there'}"]
        wrong += _differ("links", len(world.veths), sum(map(bool, world.addresses.values())))
        cut = {name for name, wish in bridged.items() if wish.left == "link"}
        linked = {space.partition(".")[0]: addresses for space, addresses in world.addresses.items()}
        # What is stopped keeps its address; whether it has its link meanwhile does not matter.
        wanted = {
            name: [] if name in cut or (name not in living and not linked[name]) else [f"{wish.address}/24"]
            for name, wish in bridged.items()
            if (name in living or name in linked) and not wish.program.machine
        }
        wrong += _differ("addresses", linked, wanted)
        wrong += _differ("links a workload", len(linked), len(world.addresses))
        machines = [name for name, wish in bridged.items() if wish.program.machine]
        least = len([name for name in machines if name in living])
        wrong += [] if least <= len(world.taps) <= len(machines) else [f"{machines} have the TAPs {world.taps}"]
        elements = {
            (port.protocol, port.host_port): (wish.address, port.container_port)
            for wish in bridged.values()
            for port in wish.program.ports
            if wish.running
        }
        return wrong + _differ("rules", world.elements, elements)

    def _answers(self, living: dict[str, WorkloadWish]) -> list[str]:
        """Each is reached at its own address, and on its host ports from the machine itself."""
        wrong = []
        for name, wish in living.items():
            if wish.left == "link":
                continue
            doors = [(wish.address, 80)] if wish.program.bridged else []
            doors += [("127.0.0.1", port.host_port) for port in wish.program.ports if port.protocol == "tcp"]
            for address, port in doors:
                page = self._observer.page(address, port)
                if page != wish.program.token:
                    wrong.append(f"{name} at {address}:{port} says {page!r}, not {wish.program.token}")
        return wrong


def _content_inside(name: str, wish: WorkloadWish, values: list[str], status: dict[str, Any]) -> list[str]:
    """What was copied to it is there, whole; its secret's file has the present value, its environment one since it was
    declared, and when that is a former one, it is told so. Raises Unquiet."""
    pid = illness.program(wish.program.token)
    try:
        there, given = inside.copied(pid), inside.secret_variable(pid)
        file = inside.secret_file(pid, wish.program.secret) if wish.program.secret else None
    except OSError as gone:
        raise Unquiet(f"the program of {name} has just ended: {gone}") from gone
    if not pid or illness.program(wish.program.token) != pid:
        raise Unquiet(f"the program of {name} has just ended")
    wrong = [] if there in wish.copied else [f"{name} was copied one of {wish.copied}, and has {there}"]
    return wrong + (_secrets(name, wish, values, status, file, given) if wish.program.secret else [])


def _secrets(
    name: str, wish: WorkloadWish, values: list[str], status: dict[str, Any], file: str | None, given: str | None
) -> list[str]:
    wrong = _differ(f"the secret's file of {name}", file, values[-1])
    if given not in values[wish.value_since :]:
        wrong.append(f"{name} was given {given}, of {values} since number {wish.value_since}")
    (current,) = (one for one in status["conditions"] if one["type"] == "SecretsCurrent")
    return wrong + _differ(f"{name} is told as current", current.get("met", False), given == values[-1])


def _containers(world: World, workloads: dict[str, WorkloadWish], living: dict[str, WorkloadWish]) -> list[str]:
    living = {name: wish for name, wish in living.items() if not wish.program.machine}
    names = Counter(one.partition(".")[0] for one in world.containers)
    wrong = _differ("containers", names, Counter(living.keys()))
    wrong += [f"container {one} is {status}" for one, status in world.containers.items() if status != "RUNNING"]
    ids = set(world.containers)
    wrong += _differ("shims", world.shims, Counter(ids))
    wrong += _differ("bundles", world.bundles, ids)
    for controller, groups in world.cgroups.items():
        wrong += _differ(f"cgroups of {controller}", groups - world.monitors.keys(), ids)
    wrong += _differ("programs", world.programs, Counter(wish.program.token for wish in living.values()))
    layers = Counter(key.partition(".")[0] for key in world.layers)
    wrong += [f"{name} has {count} layers" for name, count in layers.items() if name not in workloads or count > 1]
    wrong += [f"{name} has no layer" for name in living.keys() - layers.keys()]
    wrong += [f"files of {name} are left" for name in world.directories - workloads.keys()]
    return wrong


def _machines(world: World, workloads: dict[str, WorkloadWish], living: dict[str, WorkloadWish]) -> list[str]:
    """MicroVMs, and what there is of each: a process, a run's directory, a socket, one layer, a group that holds it."""
    living = {name: wish for name, wish in living.items() if wish.program.machine}
    machines = {name for name, wish in workloads.items() if wish.program.machine}
    ids, names = world.monitors.keys(), Counter(one.partition(".")[0] for one in world.monitors)
    wrong = _differ("microVMs", names, Counter(living.keys()))
    runs = {one: count for one, count in world.machine_files.items() if "." in one}
    wrong += _differ("runs of microVMs", runs, dict.fromkeys(ids, 1))
    layers = {one: count for one, count in world.machine_files.items() if "." not in one}
    wrong += [f"{name} has {count} layers" for name, count in layers.items() if name not in machines or count > 1]
    wrong += [f"{name} has no layer" for name in living.keys() - layers.keys()]
    wrong += _differ("agents' sockets", world.sockets, len(living))
    wrong += [f"{one} has no cgroup" for one in ids - set().union(*world.cgroups.values())]
    # The image's disk goes with the last microVM that is declared, a moment later.
    wrong += [] if world.payloads <= bool(machines) or living else [f"{world.payloads} disks of images are left"]
    return wrong + ([f"there are {world.payloads} disks of one image"] if world.payloads > 1 else [])


def _differ(what: str, found: object, wanted: object) -> list[str]:
    if isinstance(found, list) and isinstance(wanted, list):
        found, wanted = sorted(found), sorted(wanted)
    return [] if found == wanted else [f"{what}: there are {found}, and there should be {wanted}"]
