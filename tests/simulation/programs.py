"""What the processes of a simulated machine do by themselves: they end, in their own ways, and are well or not."""

from typing import TYPE_CHECKING

from effects.runs.twin import Key, TwinContainer, World
from journal.events import WorkloadStarted
from journal.specs import Fault
from tests.simulation.asks import FAULTS, GENTLE, NAMES, QUIET
from tests.simulation.storage import check_use

if TYPE_CHECKING:
    from tests.simulation.machine import Simulation

_KILLED, _ASKED = 137, 143


class Processes(World):
    """Some end well when they are asked to, which says nothing of how they were."""

    def end(
        self, key: Key, exit_code: int, *, oom: bool = False, unexecutable: str = "", fault: Fault | None = None
    ) -> None:
        """See World."""
        container = self.containers.get(key)
        if container is not None and GENTLE in container.run.args and exit_code == _ASKED:
            exit_code = 0
        super().end(key, exit_code, oom=oom, unexecutable=unexecutable, fault=fault)


class Programs:
    """Of one simulation."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._flickers: set[tuple[str, int, int]] = set()

    def begin(self, container: TwinContainer) -> None:
        """What the process does by itself."""
        simulation = self._simulation
        key = (container.run.name, container.run.uid, container.run.run)
        simulation.trace.note(f"world: {key} starts {container.run.args}")
        if container.run.kind == "microvm":
            simulation.cables.open(key[:2])
        if key in simulation.hands.taken and not self._told_of(key):
            # Another hand took it before anybody knew that it lived. It begins a second time, with an end of its own.
            simulation.hands.ended.discard(key)
            simulation.oracle.ended.pop(key, None)
        try:
            check_use(simulation.storage, simulation.world, container)
            if simulation.life is not None:
                simulation.life.log.judge_durable("StartRun", *key)
        except AssertionError as wrong:
            simulation.fail(str(wrong))
        code = {"end-ok": 0, "end-bad": 3, "end-late": 3, "hog": 137, "foreign": 1, "fatal": 134}.get(
            container.run.args[0]
        )
        if code is not None:
            late = container.run.args[0] == "end-late"
            after_s = simulation.random.uniform(160.0, 200.0) if late else simulation.random.expovariate(0.5)
            simulation.loop.call_later(after_s, self._end, key, code, container.run.args[0])

    def _told_of(self, key: tuple[str, int, int]) -> bool:
        _, entries = self._simulation.disk.replay()
        started = (event for _, event in entries if isinstance(event, WorkloadStarted))
        return any((event.name, event.uid, event.run) == key for event in started)

    def _end(self, key: tuple[str, int, int], code: int, program: str) -> None:
        simulation = self._simulation
        container = simulation.world.containers.get(key)
        if container is None or container.status != "running":
            return
        if program == "fatal" and container.run.kind == "microvm":
            simulation.world.fail(key, simulation.random.choice(FAULTS))
            return
        if program == "hog":
            simulation.oracle.starved.add(key)
        unexecutable = "it was built for another machine" if program == "foreign" else ""
        simulation.world.end(key, code, oom=program == "hog", unexecutable=unexecutable)

    def is_well(self, key: tuple[str, int, int]) -> bool:
        """Whether a look finds it well. One that is may fail once, but never twice in a row."""
        simulation = self._simulation
        if "sick" in simulation.world.containers[key].run.args:
            return False
        if key in self._flickers or simulation.random.random() < 0.8:
            self._flickers.discard(key)
            return True
        self._flickers.add(key)
        return False

    def ended(self, key: tuple[str, int, int], code: int) -> None:
        """A process ended: none that ends when it is asked to may have been killed by the daemon."""
        simulation = self._simulation
        simulation.trace.note(f"world: {key} ends with {code}")
        simulation.cables.opened.discard(key[:2])
        container = simulation.world.containers.get(key)
        ours = container is not None and container.fault is None and key[0] in (*NAMES, QUIET)
        serves = container is not None and container.run.args[0] == "serve"
        if ours and serves and code == _KILLED and key not in simulation.hands.ended:
            simulation.fail(f"{key} ends when it is asked to, and was killed")
        simulation.oracle.ended[key] = code
