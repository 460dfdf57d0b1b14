"""Addresses and host ports that were left to the machine: chosen once, kept for life, given back at the end."""

import pytest
from msgspec.structs import replace

from journal.specs import PortMapping
from projections.admission import Admitted
from projections.intents import Apply, Declared, Delete
from projections.network import FREE_PORTS, free_address
from projections.refusals import Refusal
from tests.support.story import Story, declared

SMALL = "10.0.0.0/29"  # the machine has .1, workloads .2 to .6


def bridged(name: str, *ports: PortMapping, user: str = "") -> Declared:
    made = declared(name)
    return replace(made, spec=replace(made.spec, network="bridge", ports=ports, user=user))


def host_ports(story: Story, name: str) -> list[int]:
    return [port.host_port for port in story[name].spec.ports]


def test_addresses_are_given_in_order_and_kept_for_life() -> None:
    story = Story()
    story.apply(*(bridged(name) for name in ("a", "b", "c")), subnet=SMALL)
    assert [story[name].address for name in "abc"] == ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
    story.apply(bridged("a", user="x"), subnet=SMALL)
    assert story["a"].address == "10.0.0.2"


def test_an_address_comes_back_when_nothing_is_left_of_its_workload() -> None:
    story = Story()
    story.apply(*(bridged(name) for name in ("a", "b")), subnet=SMALL)
    story.call(Delete("a"))
    story.apply(bridged("c"), subnet=SMALL)
    assert story["c"].address == "10.0.0.4", "the link may still be there"
    story.converge()
    story.apply(bridged("d"), subnet=SMALL)
    assert story["d"].address == "10.0.0.2"


def test_a_full_subnet_is_refused_and_nothing_of_the_batch_stands() -> None:
    story = Story()
    verdict = story.call(Apply(tuple(bridged(f"w{number}") for number in range(6)), subnet=SMALL))
    assert isinstance(verdict, Refusal) and (verdict.code, verdict.reason) == ("RESOURCE_EXHAUSTED", "NO_ADDRESS")
    assert story.machine.workloads == {}
    assert isinstance(story.call(Apply(tuple(bridged(f"w{number}") for number in range(5)), subnet=SMALL)), Admitted)


def test_a_bridge_has_room_for_253_workloads_and_says_how_many_it_holds() -> None:
    story = Story()
    many = tuple(bridged(f"w{number}") for number in range(253))
    assert isinstance(story.apply(*many[:250]), Admitted) and isinstance(story.apply(*many[250:]), Admitted)
    assert len({one.address for one in story.machine.workloads.values()}) == 253
    verdict = story.apply(bridged("late"))
    assert isinstance(verdict, Refusal) and "all 253 addresses of 172.20.254.0/24 are taken" in verdict.message


def test_free_addresses_leave_out_network_machine_and_broadcast() -> None:
    taken: list[str] = []
    while (found := free_address(SMALL, taken)) is not None:
        taken.append(found)
    assert taken == [f"10.0.0.{number}" for number in range(2, 7)]


def test_a_host_port_of_zero_is_chosen_and_stays_chosen() -> None:
    story = Story()
    free = PortMapping(80, 0)
    story.apply(bridged("a", free, replace(free, container_port=81)))
    first = host_ports(story, "a")
    assert first == [FREE_PORTS.start, FREE_PORTS.start + 1]
    assert story.apply(bridged("a", free, replace(free, container_port=81))) == Admitted(())
    story.apply(bridged("a", replace(free, container_port=81), free, user="x"))
    assert host_ports(story, "a") == first[::-1], "each mapping keeps its own"
    story.apply(bridged("b", free))
    assert host_ports(story, "b") == [FREE_PORTS.start + 2]


def test_a_chosen_port_is_never_one_that_is_taken() -> None:
    story = Story()
    story.apply(bridged("a", PortMapping(80, FREE_PORTS.start)))
    story.apply(bridged("b", PortMapping(80, 0), PortMapping(81, 0, "udp")))
    assert host_ports(story, "b") == [FREE_PORTS.start + 1, FREE_PORTS.start]


@pytest.mark.parametrize("step", [1, -1], ids=["named last", "named first"])
def test_a_chosen_port_is_none_that_the_same_call_names_wherever_that_stands(step: int) -> None:
    story, first = Story(), FREE_PORTS.start
    both = (bridged("a", PortMapping(80, 0)), bridged("b", PortMapping(80, first)))
    assert isinstance(story.apply(*both[::step]), Admitted)
    assert (host_ports(story, "a"), host_ports(story, "b")) == ([first + 1], [first])
    ports = (PortMapping(80, 0), PortMapping(81, first + 2))
    assert isinstance(story.apply(bridged("c", *ports[::step])), Admitted)
    assert host_ports(story, "c") == [first + 3, first + 2][::step]


@pytest.mark.parametrize("step", [1, -1], ids=["named last", "named first"])
def test_a_chosen_port_that_its_workload_names_for_another_is_that_ones(step: int) -> None:
    story, first = Story(), FREE_PORTS.start
    story.apply(bridged("a", PortMapping(80, 0)))
    ports = (PortMapping(80, 0), PortMapping(81, first))
    assert isinstance(story.apply(bridged("a", *ports[::step])), Admitted)
    assert host_ports(story, "a") == [first + 1, first][::step]


def test_when_every_port_is_taken_the_call_is_refused() -> None:
    story = Story()
    story.apply(bridged("a", *(PortMapping(80, number) for number in FREE_PORTS)))
    verdict = story.apply(bridged("b", PortMapping(80, 0)))
    assert isinstance(verdict, Refusal) and (verdict.code, verdict.reason) == ("RESOURCE_EXHAUSTED", "NO_PORT")


def test_on_the_machines_own_network_no_port_is_chosen_and_what_get_shows_can_be_applied() -> None:
    story = Story()
    made = bridged("web", PortMapping(80, 0), PortMapping(81, 81))
    made = replace(made, spec=replace(made.spec, network="host"))
    story.apply(made)
    assert host_ports(story, "web") == [80, 81]
    assert story.apply(made) == Admitted(())
    shown = replace(made, spec=replace(made.spec, ports=story["web"].spec.ports))
    assert story.apply(shown) == Admitted(())
