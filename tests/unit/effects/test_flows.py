"""Which of the kernel's UDP flows the rules would lead elsewhere, and a kernel that does not tell of them."""

import logging
from ipaddress import IPv4Network
from typing import Any

import pytest

from effects.network.flows import Flow, Flows, Place, astray
from projections.network import Mapping

SUBNET = "172.20.254.0/24"
OWN = frozenset({"192.0.2.1", "172.20.254.1"})
DNS = Mapping("udp", 53, "", "172.20.254.2", 5353)
LOCAL = Mapping("udp", 67, "127.0.0.1", "172.20.254.3", 67)
WEB = Mapping("tcp", 443, "", "172.20.254.2", 443)


def flow(target: str, port: int, answering: str = "", its: int = 0) -> Flow:
    return Flow(Place("192.0.2.2", 4_000), Place(target, port), Place(answering or target, its or port))


@pytest.mark.parametrize(
    ("seen", "is_astray"),
    [
        (flow("192.0.2.1", 53), True),
        (flow("127.0.0.1", 53), True),
        (flow("192.0.2.1", 53, "172.20.254.2", 5353), False),
        (flow("192.0.2.1", 53, "172.20.254.2", 53), True),
        (flow("192.0.2.1", 53, "172.20.254.9", 5353), True),
        (flow("192.0.2.1", 54, "172.20.254.2", 5353), True),
        (flow("192.0.2.1", 54), False),
        (flow("192.0.2.1", 443), False),
        (flow("192.0.2.1", 67), False),
        (flow("127.0.0.1", 67), True),
        (flow("198.51.100.7", 53), False),
        (flow("172.20.254.2", 53), False),
        (flow("192.0.2.1", 54, "198.51.100.7", 54), False),
    ],
)
def test_a_flow_is_astray_when_the_rules_would_lead_it_elsewhere(seen: Flow, is_astray: bool) -> None:
    found = astray([seen], (DNS, LOCAL, WEB), OWN, IPv4Network(SUBNET))
    assert found == ((seen,) if is_astray else ())


def test_the_kernel_is_asked_only_where_something_was_changed_for_its_flows() -> None:
    asked, answers = list[int](), True

    class Kernel:
        def __enter__(self) -> "Kernel":
            return self

        def __exit__(self, *raised: object) -> None:
            pass

        def dump(self, tuple_orig: object) -> tuple[()]:
            asked.append(1)
            if not answers:
                raise OSError(105, "No buffer space available")
            return ()

    flows = Flows(SUBNET, Kernel)

    def asks(mappings: tuple[Mapping, ...], own: frozenset[str] = OWN) -> int:
        asked.clear()
        flows.renew(mappings, own)
        return len(asked)

    assert asks(()) == 1, "what an earlier life led where is not known"
    assert asks((WEB,)) == 0
    assert asks((DNS, WEB)) == 1
    assert asks((DNS,)) == 0
    assert asks((DNS, LOCAL)) == 1
    assert asks((DNS, LOCAL), OWN | {"192.0.2.9"}) == 1, "what is sent there is sent to us from now"
    flows.doubt()
    assert asks((DNS, LOCAL), OWN | {"192.0.2.9"}) == 1
    answers = False
    assert asks((DNS,)) == 1
    assert asks((DNS,)) == 1, "the last time it did not tell"
    answers = True
    assert asks((DNS,)) == 1
    assert asks((DNS, WEB)) == 0


def test_a_kernel_that_tells_nothing_is_lived_with_and_named_once(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> Any:
        raise OSError(93, "Protocol not supported")

    flows = Flows(SUBNET, refuse)
    with caplog.at_level(logging.WARNING):
        flows.renew((DNS,), OWN)
        flows.renew((), OWN)
    assert [record.getMessage() for record in caplog.records if "Protocol not supported" in record.getMessage()]
    assert len(caplog.records) == 1
