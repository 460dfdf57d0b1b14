"""Invariant 3 to its end: the import contracts look at what a pure module imports itself, this at all that it brings
along. A clock of the journal's in the fold would be a clock all the same."""

from functools import cache
from typing import Any

import grimp
import pytest

from tests.unit.test_tree import DECLARED

LINTER = DECLARED["tool"]["importlinter"]
CONTRACTS: dict[str, dict[str, Any]] = {
    one["name"]: one for one in LINTER["contracts"] if {"time", "random", "os"} <= set(one.get("forbidden_modules", ()))
}
"""Those of purity: what they forbid is every way to a clock, to chance and to the machine."""


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*LINTER["root_packages"], include_external_packages=True, cache_dir=None)


def pure() -> list[Any]:
    """Each module of each contract; a package stands for all that is in it."""
    wholes = {(name, module) for name, one in CONTRACTS.items() for module in one["source_modules"]}
    every = {(name, part) for name, module in wholes for part in (module, *graph().find_descendants(module))}
    return [pytest.param(name, module, id=module) for name, module in sorted(every)]


def reached(module: str) -> set[str]:
    """All of the house's that an import of it executes: the packages that those are in, too."""
    ours, found, waiting = set(LINTER["root_packages"]), set[str](), [module]
    while waiting:
        one = waiting.pop()
        if one not in found and one.partition(".")[0] in ours:
            found.add(one)
            waiting += [*graph().find_modules_directly_imported_by(one), *filter(None, [one.rpartition(".")[0]])]
    return found


@pytest.mark.parametrize(("contract", "module"), pure())
def test_whatever_a_pure_module_reaches_does_no_io_and_reads_no_clock(contract: str, module: str) -> None:
    forbidden = set(CONTRACTS[contract]["forbidden_modules"])
    found = {one: graph().find_modules_directly_imported_by(one) & forbidden for one in reached(module)}
    assert not {one: used for one, used in found.items() if used}


def test_a_clock_of_the_journals_would_be_found_in_the_fold() -> None:
    assert {"projections.fold", "projections.state", "journal.events", "journal", "projections"} <= reached(
        "projections.fold"
    )
    assert "time" in graph().find_modules_directly_imported_by("journal.clock")
    assert "journal.clock" not in reached("projections.fold")
