"""One table says who may call what; nothing that is served may be missing from it."""

from google.protobuf import descriptor_pool
from grpc_health.v1 import health

import capsule.v1 as stubs
from capsuled.reflection import V1, V1ALPHA
from capsuled.roles import INSIDE, METHODS, UNLISTED, rule_of
from tests.conformance.table import load
from tests.unit.capsuled.served import services


def served() -> set[str]:
    """Every method of every service of ours, and of those that come with gRPC."""
    pool = descriptor_pool.Default()
    found = set()
    for name in (*services(stubs), health.SERVICE_NAME, V1ALPHA, V1):
        service = pool.FindServiceByName(name)
        found |= {f"{name.removeprefix('capsule.v1.')}/{method.name}" for method in service.methods}
    return found


def test_every_method_that_is_served_has_a_rule_and_no_rule_is_left_over() -> None:
    assert served() == set(METHODS), "say in capsuled/roles.py who may call it, and whether it acts"


def test_a_method_without_a_rule_would_be_an_admins() -> None:
    assert rule_of("NewService/New") == UNLISTED and UNLISTED.role == "admin" and UNLISTED.acts


def test_only_what_the_contract_opens_is_open() -> None:
    assert {name for name, rule in METHODS.items() if rule.role == "open"} == {
        "IdentityService/Adopt",
        "InstallService/Status",
        "InstallService/Install",
        "grpc.health.v1.Health/Check",
    }


def test_a_reader_changes_nothing() -> None:
    assert not [name for name, rule in METHODS.items() if rule.role == "reader" and rule.acts]


def test_what_reaches_inside_a_workload_is_at_least_an_operators() -> None:
    contract = {f"{one.service}/{one.name}" for one in load().methods}
    assert set(INSIDE) <= contract and all(METHODS[name].role == "operator" for name in INSIDE)
