"""Says what must run, from the calls that were acknowledged. Shares no code with admission, the fold or the planner."""

from collections import Counter
from dataclasses import dataclass, field, replace

from effects.network.twin import Cables
from effects.runs.twin import World
from effects.volumes.twin import Storage
from journal.entry import Header
from journal.events import (
    CallAccepted,
    DaemonStarted,
    EffectDone,
    EffectFailed,
    EffectStarted,
    Event,
    NetworkDrifted,
    NetworkEnsured,
    StreamClosed,
    StreamOpened,
    WorkloadExited,
    WorkloadLost,
    WorkloadStarted,
)
from projections.state import Machine
from tests.simulation.left import Left, what_is_left
from tests.simulation.rows import Told, by_name, ends_by_itself, is_over, judge_row
from tests.simulation.sizes import given_up, is_left_behind_its_end, judge_safety, judge_sizes

_KILLED = 137
"""What a process is answered with whose container ended."""


@dataclass
class Wish:
    """What the operator wants of a name. `program` and `image` are by what a spec is told from another."""

    program: tuple[str, ...] = ()
    image: str = ""
    wanted: str = "absent"
    policy: str = "always"
    port: int = 0
    disk: int = 0
    needs: tuple[str, ...] = ()
    secret: bool = False
    vm: bool = False
    variable: bool = True
    drift: str = "repair"

    @property
    def bridged(self) -> bool:
        """Whether it has a link and an address."""
        return bool(self.port) or self.vm


@dataclass
class DiskWish:
    """A volume as it was acknowledged. `incarnation` tells it from others of its name; it may have grown to one of the
    sizes that were `taken_back`."""

    incarnation: int
    size_bytes: int
    labels: list[str] = field(default_factory=list)
    taken_back: set[int] = field(default_factory=set)

    def sized(self, size_bytes: int) -> None:
        """Another size was acknowledged."""
        self.taken_back = {one for one in (*self.taken_back, self.size_bytes) if one > size_bytes}
        self.size_bytes = size_bytes


@dataclass
class Oracle:
    """Remembers acknowledged calls, and the truth about processes."""

    wishes: dict[str, Wish] = field(default_factory=dict)
    former: dict[str, list[tuple[int, Wish]]] = field(default_factory=dict)
    """What each was declared as, in order, with an entry after which it was so."""
    disks: dict[str, DiskWish] = field(default_factory=dict)
    disks_made: int = 0
    ended: dict[tuple[str, int, int], int] = field(default_factory=dict)
    vanished: set[tuple[str, int, int]] = field(default_factory=set)
    starved: set[tuple[str, int, int]] = field(default_factory=set)
    unwatched: set[tuple[str, int, int]] = field(default_factory=set)
    restarts: dict[str, tuple[int, int]] = field(default_factory=dict)
    open_calls: set[str] = field(default_factory=set)
    visits: list[tuple[tuple[str, ...], int]] = field(default_factory=list)
    left: Left = field(default_factory=Left)
    over: set[str] = field(default_factory=set)
    told: dict[str, list[Told]] = field(default_factory=dict)
    outage: bool = False
    """Power was lost in the quiet: what had come to its last end by then holds no volume any more."""
    calm: int = 0
    """The last entry that was written before the faults stopped."""
    quiet: int = 0
    """The last one by when all that other hands had done was told; they take a TAP then, and nothing else."""

    def asked(self, name: str) -> None:
        """A call is under way: until it is answered, either outcome is right."""
        self.open_calls.add(name)

    def answered(self, name: str) -> None:
        """The call was answered."""
        self.open_calls.discard(name)

    def applied(
        self,
        name: str,
        program: tuple[str, ...],
        policy: str,
        image: str,
        port: int = 0,
        disk: bool = False,
        needs: tuple[str, ...] = (),
        secret: bool = False,
        seq: int = 0,
        vm: bool = False,
        variable: bool = True,
        drift: str = "repair",
    ) -> None:
        """An apply was acknowledged. `disk`: with the volume of its name, as that was then; `seq`: an entry after which
        it is declared like that."""
        incarnation = self.disks[name].incarnation if disk else 0
        wish = Wish(program, image, "running", policy, port, incarnation, needs, secret, vm, variable, drift)
        self.wishes[name] = wish
        self.former.setdefault(name, []).append((seq, replace(wish)))

    def rolled_back(self, name: str, wish: Wish) -> None:
        """A rollback was acknowledged: it is declared as it was then."""
        self.wishes[name] = replace(wish)

    def disk_created(self, name: str, size_bytes: int) -> None:
        """A volume was acknowledged."""
        self.disks_made += 1
        self.disks[name] = DiskWish(self.disks_made, size_bytes)

    def known(self) -> dict[str, Wish]:
        """What workloads are declared as for sure. Another word makes another wish of it."""
        return {name: wish for name, wish in self.wishes.items() if name not in self.open_calls}

    def lacks_its_disk(self, name: str) -> bool:
        """Whether the workload waits for a volume that is not there any more."""
        wish, disk = self.wishes.get(name, Wish()), self.disks.get(name)
        return bool(wish.disk) and (disk is None or disk.incarnation != wish.disk)

    def may_wait(self, name: str) -> bool:
        """Whether something it depends on does not run, or not all the time, or may be a job that is at work still:
        then it need not run, either."""
        for other in self.wishes.get(name, Wish()).needs:
            wish = self.wishes.get(other, Wish())
            steady = wish.wanted == "running" and not ends_by_itself(wish.program)
            steady = steady and wish.policy != "never" and other not in self.left.runs | self.over
            if not steady or self.lacks_its_disk(other) or self.may_wait(other):
                return True
        return False

    def stopped(self, name: str) -> None:
        """A stop was acknowledged."""
        self.wishes[name].wanted = "stopped"

    def started(self, name: str) -> None:
        """A start was acknowledged."""
        self.wishes[name].wanted = "running"

    def restarted(self, name: str, uid: int, run: int) -> None:
        """A restart was acknowledged: this run, and those before it, must not be the last."""
        self.restarts[name] = (uid, run)

    def deleted(self, name: str) -> None:
        """A delete was acknowledged: nothing of it is left, or will be."""
        self.wishes.pop(name, None)

    def judge_memory(self, machine: Machine) -> list[str]:
        """What a daemon that starts has forgotten although it was acknowledged."""
        wrong = []
        for name in {*self.wishes, *machine.workloads} - self.open_calls:
            wish, found = self.wishes.get(name, Wish()), machine.workloads.get(name)
            remembered = "absent" if found is None or found.desired == "deleting" else found.desired
            if remembered == wish.wanted == "absent":
                continue
            program, image = ((), "") if found is None else (found.spec.args, found.spec.image.platform_digest)
            if (remembered, program, image) != (wish.wanted, wish.program, wish.image):
                wrong.append(f"{name} was acknowledged as {wish}, and is remembered as {remembered} {program} {image}")
            elif found is not None and set(found.depends_on) != set(wish.needs):
                wrong.append(f"{name} was acknowledged as {wish}, and is remembered as depending on {found.depends_on}")
            elif found is not None and found.drift != wish.drift:
                wrong.append(f"{name} was acknowledged as {wish}, and is remembered with the policy {found.drift}")
        return wrong

    def read(self, entries: list[tuple[Header, Event]]) -> None:
        """What another hand left, and what has had its only run, as the journal tells it."""
        self.left = what_is_left(entries)
        self.told = by_name(self.wishes, entries)
        self.over = {name for name, wish in self.wishes.items() if is_over(name, wish.policy, self.told[name])}

    def judge(self, world: World, entries: list[tuple[Header, Event]]) -> list[str]:
        """Everything that is not as it must be, after all faults have stopped and time has passed."""
        wrong: list[str] = []
        for name in sorted({key[0] for key in world.containers} | set(self.wishes)):
            alive = [one for key, one in world.containers.items() if key[0] == name and one.status == "running"]
            wish = self.wishes.get(name, Wish())
            if alive or name not in self.over:
                wrong += self._judge_name(name, wish, [(one.run.args, one.run.image) for one in alive])
            if any((one.run.kind == "microvm") != wish.vm for one in alive):
                wrong.append(f"{name} runs as what it was not declared as: {wish}")
            uid, run = self.restarts.get(name, (0, 0))
            if any(one.run.uid == uid and one.run.run <= run for one in alive):
                wrong.append(f"{name} still has run {run}, although it was restarted")
        for name, uid, _ in world.layers:
            if name not in self.wishes:
                wrong.append(f"a file system of {name}.{uid} is left although it was deleted")
        for name, uid in world.logs:
            if name not in self.wishes:
                wrong.append(f"logs of {name}.{uid} are left although it was deleted")
        # Of a run whose shim died in its birth nobody knows whether it lived: it may begin twice.
        wrong += [
            f"{key} was started {count} times"
            for key, count in world.starts.items()
            if count > 1 and key not in self.unwatched
        ]
        wrong += self._judge_ends(world, entries)
        running = {key[0] for key, one in world.containers.items() if one.status == "running"}
        for name, wish in self.wishes.items():
            free = not (self.lacks_its_disk(name) or self.may_wait(name) or name in self.left.runs)
            if wish.wanted == "running" and free:
                calm = entries[-1][0].seq if wish.needs else self.calm  # what it needs may have come and gone
                wrong += judge_row(name, wish.policy, wish.program, self.told[name], name in running, calm)
        calls = Counter(
            (header.actor.id, event.method, event.call_id)
            for header, event in entries
            if isinstance(event, CallAccepted) and event.call_id
        )
        wrong += [f"the call {call} was accepted twice" for call, count in calls.items() if count > 1]
        return wrong

    def judge_network(self, world: World, cables: Cables) -> list[str]:
        """Links, addresses and host ports are those of the workloads that want them, each once; and a microVM that lives
        has the link open that there is."""
        bridged = {name: wish for name, wish in self.wishes.items() if wish.bridged}
        links = {link.name: link for link in cables.links.values()}
        wrong = [f"{name} has a link to the bridge and wants none" for name in sorted(links.keys() - bridged.keys())]
        kinds = {name for name, link in links.items() if name in bridged and (link.kind == "tap") != bridged[name].vm}
        wrong += [f"{name} has a link of the other kind" for name in sorted(kinds)]
        if len(links) != len(cables.links):
            wrong.append(f"a workload has several links: {sorted(cables.links)}")
        if len({link.address for link in links.values()}) != len(links):
            wrong.append(f"an address was given twice: {links}")
        served = {one.host_port: one.address for one in cables.rules or ()}
        running = {name: wish for name, wish in bridged.items() if wish.wanted == "running"}
        for name, wish in running.items():
            if name not in links:
                if name not in self.left.links | self.left.runs:
                    wrong.append(f"{name} has no link to the bridge")
            elif wish.port and not self.left.rules and served.get(wish.port) != links[name].address:
                wrong.append(f"host port {wish.port} does not lead to {name}: {served}")
        for port in served.keys() - {wish.port for wish in running.values()}:
            wrong.append(f"host port {port} is mapped although nobody wants it")
        for key, one in world.containers.items():
            lives = one.status == "running" and one.run.kind == "microvm" and key[0] in links
            if lives and key[:2] not in cables.opened and key[0] not in self.left.links | self.left.runs:
                wrong.append(f"the microVM {key} has a link open that is gone")
        if running and cables.bare and not self.left.rules:
            wrong.append("the bridge has no address")
        if not bridged and cables.rules is not None:
            wrong.append("rules are left although nothing is on the bridge")
        return wrong

    def judge_rules(self, entries: list[tuple[Header, Event]]) -> list[str]:
        """Bridge and rules are changed by nobody else in the quiet, and nothing of that is told. Of what a daemon did that
        died over it nobody knows whose it was."""
        wrong: list[str] = []
        begun, unsure = set[tuple[str, str, int]](), False
        for header, event in entries:
            match event:
                case EffectStarted() if "Network" in event.effect:
                    begun.add((event.effect, event.name, event.uid))
                case EffectDone() | EffectFailed():
                    begun.discard((event.effect, event.name, event.uid))
                case DaemonStarted():
                    unsure, begun = bool(begun), set()
                case NetworkEnsured():
                    unsure = False
                case NetworkDrifted() if not (event.name or unsure) and header.seq > self.quiet:
                    wrong.append(f"bridge or rules are told at {header.seq} as another hand's doing, and were nobody's")
        return wrong

    def visited(self, words: tuple[str, ...], exit_code: int) -> None:
        """An exec was answered with an exit code."""
        self.visits.append((words, exit_code))

    def judge_visits(self, world: World, entries: list[tuple[Header, Event]]) -> list[str]:
        """No process of an exec is left, every stream has one end, and exit codes are the processes' own."""
        wrong = [f"{process.request.argv} is left of an exec" for process in world.processes if process.alive]
        opened = [header.seq for header, event in entries if isinstance(event, StreamOpened)]
        closed = [event.opened for _, event in entries if isinstance(event, StreamClosed)]
        if sorted(opened) != sorted(closed):
            wrong.append(f"streams {sorted(set(opened) ^ set(closed))} have not one end each")
        for words, code in self.visits:
            own = {"true": 0, "exit": int(words[-1]) if words[0] == "exit" else 0, "cat": 0}.get(words[0])
            if code not in (own, _KILLED):
                wrong.append(f"an exec of {words} was answered with {code}")
        return wrong

    def judge_storage(self, storage: Storage, entries: list[tuple[Header, Event]]) -> list[str]:
        """Volumes are those that were acknowledged, each formatted once, mounted for whom shall run on it."""
        wrong: list[str] = []
        for name in sorted({*self.disks, *(key[0] for key in storage.volumes)}):
            found = [(key, one) for key, one in storage.volumes.items() if key[0] == name]
            disk, wish = self.disks.get(name), self.wishes.get(name, Wish())
            if disk is None or len(found) != 1:
                wrong.append(f"{len(found)} volumes {name} are there, acknowledged was {disk}")
                continue
            ((key, one),) = found
            snapshots = len(disk.labels) - given_up(key, entries)
            if one.size_bytes not in {disk.size_bytes, *disk.taken_back} or len(one.snapshots) != snapshots:
                wrong.append(f"volume {name} is {one}, acknowledged was {disk}")
            wanted = wish.wanted == "running" and wish.disk == disk.incarnation
            # Who waits for another may have been stopped before, or have never begun: it need not hold its volume.
            idle = self.may_wait(name) or name in self.left.mounts | self.left.runs
            idle = idle or name in self.over or (self.outage and ends_by_itself(wish.program))
            idle = idle or is_left_behind_its_end(key, entries)
            had = one.attached if wish.vm else one.mounted
            if had != wanted and not (wanted and idle):
                wrong.append(f"volume {name} is {'' if had else 'not '}mounted or attached; the workload is {wish}")
            if one.attached if not wish.vm else one.mounted:
                wrong.append(f"volume {name} is held in another kind's way; the workload is {wish}")
        wrong += judge_sizes(entries) + judge_safety(entries)
        wrong += [f"{key} was formatted {count} times" for key, count in storage.formats.items() if count > 1]
        return wrong

    def _judge_name(self, name: str, wish: Wish, alive: list[tuple[tuple[str, ...], str]]) -> list[str]:
        if wish.wanted != "running":
            return [f"{name} runs although it is {wish.wanted}"] if alive else []
        if self.lacks_its_disk(name):
            return [f"{name} runs without its volume"] if alive else []
        if len(alive) > 1:
            return [f"{name} runs {len(alive)} times"]
        if alive and alive[0] != (wish.program, wish.image):
            return [f"{name} runs {alive[0]}, but {wish.program} of {wish.image} was declared"]
        idle = self.may_wait(name) or name in self.left.runs
        if not alive and not ends_by_itself(wish.program) and not idle:
            return [f"{name} does not run"]
        return []  # between two runs of a program that ends, or after its last: judged by its row

    def _judge_ends(self, world: World, entries: list[tuple[Header, Event]]) -> list[str]:
        """Every process that ended while power was on is journaled once, with its own exit code."""
        told: dict[tuple[str, int, int], list[int]] = {}
        known: Counter[tuple[str, int, int]] = Counter()
        lost: set[tuple[str, int, int]] = set()
        wrong: list[str] = []
        for _, event in entries:
            if isinstance(event, WorkloadExited):
                told.setdefault((event.name, event.uid, event.run), []).append(event.exit_code)
                if event.oom != ((event.name, event.uid, event.run) in self.starved):
                    wrong.append(f"{event.name} run {event.run} died of hunger: {not event.oom}, the journal denies it")
            elif isinstance(event, WorkloadStarted):
                known[event.name, event.uid, event.run] += 1
            elif isinstance(event, WorkloadLost):
                lost.add((event.name, event.uid, event.run))
        for key in lost - self.vanished - self.unwatched:
            if world.starts.get(key):
                wrong.append(f"{key} is lost by the journal, but it never vanished")
        wrong += [f"{key} came to life {count} times by the journal" for key, count in known.items() if count > 1]
        wrong += [f"{key} ended {len(codes)} times by the journal" for key, codes in told.items() if len(codes) > 1]
        for key, codes in told.items():
            if key in self.ended and self.ended[key] != codes[0]:
                wrong.append(f"{key} ended with {self.ended[key]}, the journal says {codes[0]}")
        for key in self.ended:
            if key not in told and key in known and key not in lost:
                wrong.append(f"the journal does not know that {key} ended")
        return wrong
