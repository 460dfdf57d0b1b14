"""What the network's effects find changed when they are done."""

from collections.abc import Callable

from effects.goals import kind_of
from effects.planner import plan
from journal.events import NetworkDetached
from journal.specs import PortMapping
from projections.intents import Delete, Stop
from tests.support.story import Story, declared


def test_a_workload_that_was_put_on_the_bridge_again_meanwhile_keeps_its_address() -> None:
    story = Story()
    story.apply(declared("web", network="bridge"))
    address = story["web"].address
    story.apply(declared("web", network="none"))
    story.apply(declared("web", network="bridge"))
    story.tell(NetworkDetached("web", story["web"].uid))
    assert address and story["web"].address == address and story.next_goal("web") != "StartRun"


def _comes_up(story: Story, name: str) -> list[str]:
    """The kinds of goals by which a workload comes to rest."""
    kinds = []
    while goals := [goal for goal in plan(story.machine) if goal.name == name]:
        kinds.append(kind_of(goals[0]))
        story.reach(goals[0])
    return kinds


def test_rules_are_made_for_the_first_on_the_bridge_and_then_only_for_host_ports_that_changed() -> None:
    story = Story()
    for name, ports, expected in (("one", (), True), ("two", (), False), ("three", (PortMapping(80, 8080),), True)):
        story.apply(declared(name, network="bridge", ports=ports))
        assert ("EnsureNetwork" in _comes_up(story, name)) == expected, name
    story.apply(declared("three", "changed", network="bridge", ports=(PortMapping(80, 8080),)))
    assert _comes_up(story, "three") == ["StopRun", "StartRun"], "its host port is where it was"
    story.call(Stop("two"))
    assert "EnsureNetwork" not in _comes_up(story, "two")
    story.call(Stop("three"))
    assert "EnsureNetwork" in _comes_up(story, "three"), "its host port is nobody's now"


def test_whoever_comes_while_the_last_one_leaves_does_not_trust_the_bridge() -> None:
    leaves: tuple[Callable[[Story], object], ...] = (
        lambda story: story.call(Delete("one")),
        lambda story: story.apply(declared("one", network="host")),
    )
    for leave in leaves:
        story = Story()
        story.apply(declared("one", network="bridge"))
        story.converge()
        leave(story)
        story.apply(declared("two", network="bridge"))
        assert "EnsureNetwork" in _comes_up(story, "two")
