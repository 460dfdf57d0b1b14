"""By every name that admission takes for a label's a selector can choose, and what it refuses, none can say."""

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl.errors import Failure
from capsulectl.selecting import Selection
from projections.rules import LABEL_NAME


@pytest.mark.parametrize("name", ["app", "example.org/app", "größe", "a-b", "", "a b", "a,b", "a=b", "!a", "a\tb"])
def test_admission_and_selectors_agree(name: str) -> None:
    workload = pb.Workload(name="web", labels={name: "web"})
    try:
        found = Selection([f"{name}=web"]).has(workload)
    except Failure:
        found = False
    assert found == bool(LABEL_NAME.fullmatch(name))


def test_a_value_that_no_selector_can_say_is_found_by_its_name() -> None:
    assert Selection(["note"]).has(pb.Workload(name="web", labels={"note": "for people: see b=c, and d!"}))
