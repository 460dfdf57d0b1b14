"""What admission takes as a label, a selector can say, and what it refuses, none can."""

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl.errors import Failure
from capsulectl.selecting import Selection
from projections.rules import LABEL_NAME, LABEL_VALUE

NAMES = ("app", "example.org/app", "größe", "a-b", "", "a b", "a,b", "a=b", "!a", "a\tb")
VALUES = ("web", "", "web site", "1/2", "a,b", "a=b", "a!b", " b", "b ")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", VALUES)
def test_admission_and_selectors_agree(name: str, value: str) -> None:
    workload = pb.Workload(name="web", labels={name: value})
    admitted = LABEL_NAME.fullmatch(name) and LABEL_VALUE.fullmatch(value) and value == value.strip()
    try:
        found = Selection([f"{name}={value}"]).has(workload)
    except Failure:
        found = False
    assert found == bool(admitted)
