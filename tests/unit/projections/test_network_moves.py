"""The bridge gets another subnet: addresses, links and rules follow, and what runs is started anew with them."""

import pytest
from msgspec.structs import replace

from effects.goals import EnsureNetwork
from effects.planner import plan
from journal.events import (
    EffectFailed,
    NetworkAttached,
    NetworkDetached,
    NetworkDrifted,
    NetworkEnsured,
    NetworkMoved,
    Readdressed,
)
from projections.intents import Declared, Delete, Stop
from projections.network import moved_to
from projections.refusals import Refusal
from tests.support.story import Story, declared

OLD, NEW = "172.20.254.0/24", "10.9.8.0/29"


def bridged(name: str) -> Declared:
    one = declared(name)
    return replace(one, spec=replace(one.spec, network="bridge"))


def settled(*names: str) -> Story:
    story = Story()
    story.apply(*(bridged(name) for name in names), declared("alone"))
    story.converge()
    return story


def test_nothing_moves_where_the_subnet_is_what_it_was() -> None:
    assert moved_to(settled("a", "b").machine, OLD) is None
    assert moved_to(Story().machine, OLD) is None


def test_a_subnet_is_remembered_before_anybody_is_on_it() -> None:
    story = Story()
    moved = moved_to(story.machine, NEW)
    assert moved == NetworkMoved(NEW, ())
    story.tell(moved)
    assert moved_to(story.machine, NEW) is None


@pytest.mark.parametrize("subnet", ["172.20.0.0/16", "172.20.252.0/22", "172.20.254.0/29"])
def test_a_subnet_around_the_old_one_or_within_keeps_addresses_and_moves_everybody_to_its_gateway(subnet: str) -> None:
    story = settled("a", "b")
    before = {name: story[name].address for name in ("a", "b")}
    moved = moved_to(story.machine, subnet)
    assert isinstance(moved, NetworkMoved) and {one.name: one.address for one in moved.items} == before
    story.tell(moved)
    assert story.next_goal("a") == "StopRun" and not story["b"].attached
    story.converge()
    run = story["a"].run
    assert run is not None and run.number == 2 and story["a"].attached and story["a"].address == before["a"]
    assert moved_to(story.machine, subnet) is None


def test_everybody_on_the_bridge_gets_an_address_of_the_new_subnet() -> None:
    story = settled("a", "b")
    assert moved_to(story.machine, NEW) == NetworkMoved(
        NEW, (Readdressed("a", story["a"].uid, "10.9.8.2"), Readdressed("b", story["b"].uid, "10.9.8.3"))
    )


def test_who_has_an_address_that_is_good_there_too_keeps_it() -> None:
    story = settled("a", "b")
    story.tell(NetworkMoved("10.9.8.0/24", (Readdressed("b", story["b"].uid, "10.9.8.200"),)))
    moved = moved_to(story.machine, "10.9.0.0/16")
    assert isinstance(moved, NetworkMoved)
    assert [(one.name, one.address) for one in moved.items] == [("a", "10.9.0.2"), ("b", "10.9.8.200")]


def test_a_subnet_that_is_too_small_moves_nobody() -> None:
    verdict = moved_to(settled(*"abcdef").machine, NEW)
    assert isinstance(verdict, Refusal) and verdict.message == f"6 workloads need an address of {NEW}"


def test_after_a_move_each_runs_anew_at_its_new_address_and_nobody_else_does() -> None:
    story = settled("a", "still", "alone2")
    story.call(Stop("still"))
    story.converge()
    story.apply(declared("alone2"))
    moved = moved_to(story.machine, NEW)
    assert isinstance(moved, NetworkMoved)
    story.tell(moved)
    assert story.next_goal("a") == "StopRun", "it knows its old address and its old name server"
    assert story["still"].address.startswith("10.9.8.") and story.next_goal("alone") is None
    story.converge()
    run = story["a"].run
    assert run is not None and run.number == 2 and story["a"].attached and story["a"].address.startswith("10.9.8.")
    assert story["still"].desired == "stopped" and not story["still"].attached
    assert story.machine.network.ensured_seq >= story.machine.network.changed_seq
    assert moved_to(story.machine, NEW) is None


def test_what_is_on_its_way_off_the_bridge_goes_as_it_would() -> None:
    story = settled("a", "b")
    story.call(Delete("a"))
    story.apply(declared("b"))
    moved = moved_to(story.machine, NEW)
    assert isinstance(moved, NetworkMoved) and [one.name for one in moved.items] == ["a"]
    story.tell(moved)
    story.converge()
    assert "a" not in story.machine.workloads and story["b"].address == ""


def test_what_is_said_of_another_incarnation_moves_nobody() -> None:
    story = settled("a")
    before = story["a"]
    story.tell(
        NetworkMoved(NEW, (Readdressed("a", before.uid + 99, "10.9.8.2"), Readdressed("nobody", 1, "10.9.8.3"))),
        NetworkDrifted("its link is gone", "a", before.uid + 99),
    )
    assert story["a"] == before


def test_trouble_with_the_old_address_ends_with_it() -> None:
    story = settled("a")
    story.tell(EffectFailed("AttachNetwork", "a", story["a"].uid, "IN_USE", "the address is taken", retry_delay_ms=10))
    assert story["a"].trouble is not None
    moved = moved_to(story.machine, NEW)
    assert isinstance(moved, NetworkMoved)
    story.tell(moved)
    assert story["a"].trouble is None and story["a"].hold is None


def test_a_network_that_is_there_again_ends_everybodys_trouble_with_it() -> None:
    story = Story()
    story.apply(bridged("a"), bridged("b"))
    (goal, *_) = plan(story.machine)
    assert isinstance(goal, EnsureNetwork)
    for name in ("a", "b"):
        story.tell(EffectFailed("EnsureNetwork", name, story[name].uid, "NFT", "no table", retry_delay_ms=10))
    assert story["a"].trouble is not None and story["b"].trouble is not None
    story.tell(NetworkEnsured(goal.upto, 0))
    assert story["a"].trouble is None and story["b"].trouble is None and story["b"].hold is None


def test_a_link_of_another_incarnation_is_not_this_ones() -> None:
    story = settled("a")
    before = story["a"]
    story.tell(
        NetworkAttached("a", before.uid + 99, "10.9.8.7"),
        NetworkDetached("a", before.uid + 99),
        NetworkDetached("nobody", 1),
    )
    assert story["a"] == before and before.attached
