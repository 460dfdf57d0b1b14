"""Power that goes at ten moments of an update's life, from its push to its rollback, each with a boot of what is left on
the disk. `make bench-faults` has more of them."""

from collections.abc import Iterator

import pytest

from tests.support.switching.cuts import A_BATCH
from tests.support.switching.proofs import run
from tests.support.switching.shelf import Shelf

pytestmark = pytest.mark.boot


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    made = Shelf(tmp_path_factory.mktemp("switching"))
    yield made
    made.close()


@pytest.mark.parametrize("number", range(A_BATCH))
def test_a_machine_whose_power_goes_boots_the_old_system_or_the_new_one_as_it_is_journaled(
    shelf: Shelf, number: int
) -> None:
    outcome = run(shelf, "cuts", number)
    assert not outcome.wrong, f"{outcome.about}: {outcome.wrong}"


def test_at_no_write_of_arming_it_would_the_boot_loader_choose_what_is_not_whole_or_not_announced(shelf: Shelf) -> None:
    outcome = run(shelf, "boundaries", 0)
    assert not outcome.wrong, outcome.wrong
