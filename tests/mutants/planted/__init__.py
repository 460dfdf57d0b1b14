"""The bugs: each is a piece of the house's code and what stands there instead. All of them were thinkable slips.

state    the fold, what is observed, what is admitted
work     planner, runner, actions
daemon   answers, memory, observers; the journal

A piece that is not there exactly once any more is found by test_catalogue.py: move the bug with the code.
"""

from tests.mutants.mutant import Mutant
from tests.mutants.planted import daemon, state, work

MUTANTS: tuple[Mutant, ...] = (*daemon.PLANTED, *work.PLANTED, *state.PLANTED)
