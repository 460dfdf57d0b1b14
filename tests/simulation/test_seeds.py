"""CI's share of the simulation: 700 seeds; `make sim SEEDS=100000` goes on."""

from tests.simulation.machine import Simulation
from tests.simulation.seeds import run_many

SEEDS = 700


def test_no_seed_breaks_an_invariant() -> None:
    found = run_many(0, SEEDS)
    assert found is None, f"seed {found[0]} (make sim SEED={found[0]} replays it):\n{found[1]}"


def test_a_seed_reproduces_its_run() -> None:
    traces = []
    for _ in range(2):
        simulation = Simulation(17)
        simulation.run()
        traces.append(simulation.trace.lines)
    assert traces[0] == traces[1] and len(traces[0]) > 50
