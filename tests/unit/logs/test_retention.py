"""What goes first when logs outgrow their bound."""

from hypothesis import given
from hypothesis import strategies as st

from capsuled.logs.retention import RUNS_KEPT, Cut, RunSize, cuts, over

BOUND = 1 << 20


def test_nothing_goes_while_all_fits() -> None:
    sizes = [RunSize(1, 1000, 1000, 10), RunSize(2, 1000, 0, 10)]
    assert not over(BOUND, sizes) and cuts(BOUND, sizes) == []


def test_the_oldest_runs_go_whole_before_anything_is_cut() -> None:
    sizes = [RunSize(run, BOUND // 2, 0, 0) for run in (1, 2, 3, 4)]
    assert cuts(BOUND, sizes) == [Cut(1, whole=True), Cut(2, whole=True)]


def test_the_run_before_keeps_a_quarter_against_a_flood() -> None:
    before, flood = RunSize(6, BOUND // 2, 0, 0), RunSize(7, BOUND * 3, 0, 0)
    (old, new) = cuts(BOUND, [before, flood])
    assert old.run == 6 and BOUND // 5 < old.keep_out <= BOUND // 4
    assert new.run == 7 and BOUND // 2 < new.keep_out <= BOUND * 3 // 4


def test_a_flood_on_one_stream_spares_the_other() -> None:
    (cut,) = cuts(BOUND, [RunSize(1, BOUND * 2, 5_000, 100)])
    assert cut.keep_err == 5_000 and cut.keep_out > BOUND // 2
    (cut,) = cuts(BOUND, [RunSize(1, BOUND * 2, BOUND * 2, 100)])
    assert abs(cut.keep_out - cut.keep_err) <= 1


def test_a_workload_that_restarts_all_the_time_keeps_a_bounded_number_of_runs() -> None:
    planned = cuts(BOUND, [RunSize(run, 1, 0, 0) for run in range(1, RUNS_KEPT + 4)])
    assert planned == [Cut(run, whole=True) for run in (1, 2, 3)]


@given(
    bound=st.integers(64 << 10, 1 << 30),
    runs=st.lists(
        st.tuples(st.integers(0, 1 << 31), st.integers(0, 1 << 31), st.integers(0, 8 << 10)), min_size=1, max_size=60
    ),
)
def test_after_the_cuts_the_bound_holds_and_the_present_run_is_there(
    bound: int, runs: list[tuple[int, int, int]]
) -> None:
    sizes = [RunSize(number, *run) for number, run in enumerate(runs, 1)]
    planned = {cut.run: cut for cut in cuts(bound, sizes)}
    left = 0
    for size in sizes:
        cut = planned.get(size.run)
        if cut is None:
            left += size.total
        elif not cut.whole:
            assert cut.keep_out <= size.out and cut.keep_err <= size.err
            left += cut.keep_out + cut.keep_err + size.index
    assert left <= bound
    assert bool(planned) == over(bound, sizes)
    assert not planned.get(len(sizes), Cut(0)).whole
