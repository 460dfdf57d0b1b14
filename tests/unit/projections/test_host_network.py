"""Host ports beside the machine's own: what is listened on, and on addresses that it does not have."""

import pytest
from msgspec.structs import replace

from journal.specs import Network, PortMapping
from projections.admission import Admitted
from projections.host_network import HostNetwork, Listener
from projections.intents import Apply, Declared
from projections.network import FREE_PORTS
from projections.refusals import Refusal
from tests.support.story import Story, declared

HOST = HostNetwork(
    ("192.0.2.7", "127.0.0.1", "172.20.254.1"),
    (
        Listener("tcp", 22),
        Listener("tcp", 50_000, "", "capsuled's API"),
        Listener("udp", 53, "172.20.254.1", "the workloads' name server"),
        Listener("tcp", 8_080, "127.0.0.1"),
    ),
)


def mapped(*ports: PortMapping, name: str = "web", network: Network = "bridge", user: str = "") -> Declared:
    one = declared(name)
    return replace(one, spec=replace(one.spec, network=network, ports=ports, user=user))


def tried(story: Story, *workloads: Declared, host: HostNetwork = HOST) -> Admitted | Refusal:
    return story.call(Apply(workloads, host=host))


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (PortMapping(80, 22), "a program of the machine itself has"),
        (PortMapping(80, 22, "tcp", "192.0.2.7"), "a program of the machine itself has"),
        (PortMapping(80, 50_000), "capsuled's API has"),
        (PortMapping(53, 53, "udp"), "the workloads' name server has at 172.20.254.1"),
        (PortMapping(80, 8_080), "or a hostAddress on which nothing listens there"),
        (PortMapping(80, 8_080, "tcp", "127.0.0.1"), "8080/tcp"),
    ],
)
def test_what_the_machine_listens_on_is_not_taken_from_it(port: PortMapping, words: str) -> None:
    verdict = tried(Story(), mapped(port))
    assert isinstance(verdict, Refusal) and (verdict.code, verdict.reason) == ("FAILED_PRECONDITION", "PORT_IN_USE")
    assert words in verdict.message and verdict.fields == ("container.ports.hostPort",)


@pytest.mark.parametrize(
    "port",
    [
        PortMapping(22, 22, "udp"),
        PortMapping(53, 53, "udp", "192.0.2.7"),
        PortMapping(80, 8_080, "tcp", "192.0.2.7"),
        PortMapping(80, 8_081, "tcp", "127.0.0.53"),
    ],
)
def test_beside_it_there_is_room(port: PortMapping) -> None:
    assert isinstance(tried(Story(), mapped(port)), Admitted)


def test_what_a_workload_has_already_stays_its_own_whoever_listens_there_by_now() -> None:
    story = Story()
    tried(story, mapped(PortMapping(80, 22)), host=HostNetwork(()))
    assert tried(story, mapped(PortMapping(80, 22))) == Admitted(())
    assert isinstance(tried(story, mapped(PortMapping(81, 22), user="x")), Admitted)
    assert isinstance(tried(story, mapped(PortMapping(81, 22), PortMapping(80, 8_080))), Refusal)


def test_a_workload_that_leaves_the_machines_network_takes_its_own_port_along() -> None:
    story = Story()
    tried(story, mapped(PortMapping(22, 22), network="host"))
    assert isinstance(tried(story, mapped(PortMapping(22, 22), network="bridge")), Admitted)


def test_of_a_port_that_a_workload_on_the_machines_network_has_its_name_is_told() -> None:
    story = Story()
    tried(story, mapped(PortMapping(22, 22), name="ssh", network="host"))
    verdict = tried(story, mapped(PortMapping(80, 22)))
    assert isinstance(verdict, Refusal) and verdict.reason == "PORT_TAKEN" and "ssh has" in verdict.message


def test_on_the_machines_own_network_nothing_is_taken_from_anybody() -> None:
    assert isinstance(tried(Story(), mapped(PortMapping(22, 22), network="host")), Admitted)


def test_the_machines_choice_goes_around_what_is_listened_on() -> None:
    first = FREE_PORTS.start
    host = HostNetwork(None, (Listener("tcp", first), Listener("tcp", first + 1, "127.0.0.1")))
    story = Story()
    tried(
        story, mapped(PortMapping(80, 0), PortMapping(81, 0, "udp"), PortMapping(82, 0, "tcp", "192.0.2.7")), host=host
    )
    assert [port.host_port for port in story["web"].spec.ports] == [first + 2, first, first + 1]


def test_an_address_that_the_machine_lacks_is_refused_and_one_that_stands_is_not_asked_about_again() -> None:
    away = PortMapping(80, 8_082, "tcp", "192.0.2.99")
    verdict = tried(Story(), mapped(away))
    assert isinstance(verdict, Refusal) and verdict.reason == "NO_SUCH_ADDRESS"
    assert "192.0.2.7, 127.0.0.1" in verdict.message and verdict.fields == ("container.ports.hostAddress",)
    assert isinstance(tried(Story(), mapped(replace(away, host_port=0))), Refusal)
    story = Story()
    tried(story, mapped(away), host=HostNetwork())
    assert isinstance(tried(story, mapped(away, user="x")), Admitted)
