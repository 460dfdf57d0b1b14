"""Each bug can still be planted: its place in the code is there, once."""

from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.planted import MUTANTS
from tests.mutants.table import PAGE, drawn

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_its_place_is_there_once(mutant: Mutant) -> None:
    for file, old, new in mutant.edits:
        assert (ROOT / file).read_text().count(old) == 1 and old != new, mutant.what


def test_the_page_shows_what_was_found() -> None:
    assert PAGE.read_text() == drawn(), "python -m tests.mutants --new draws it"


def test_each_has_a_name_of_its_own() -> None:
    assert len({one.name for one in MUTANTS}) == len(MUTANTS)
