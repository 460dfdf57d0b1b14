"""`capsule info` as an operator sees it."""

import re

import pytest

from tests.support.daemon import Daemon

pytestmark = pytest.mark.real

ORDER = [
    "Capsule", "Condition", "Version", "Not here", "Workloads", "Volumes", "Images", "Address", "TLS", "Network", "Host",
    "Kernel", "Processor", "Memory", "Disk", "MicroVMs", "State", "Up", "Boot", "Time", "Journal",
]  # fmt: skip


def page(capsule: Daemon) -> dict[str, str]:
    lines = (line.partition(":") for line in capsule.good("capsule", "info").splitlines())
    return {name: value.strip() for name, _, value in lines}


def test_the_page_has_everything_in_good_order_and_nothing_empty(capsule: Daemon) -> None:
    found = page(capsule)
    # A machine whose root is on no disk of its own has no line for one.
    assert list(found) == [name for name in ORDER if name in found or name != "Disk"]
    assert all(found.values()) and "Slot" not in found and "Metrics" not in found
    assert re.fullmatch(r"br0, 172\.20\.254\.0/24", found["Network"]) and re.search(
        r"control groups v[12]$", found["Host"]
    )
    assert re.fullmatch(r"entry \d+, head [0-9a-f]{16}, .+ MiB", found["Journal"])
    assert "slots, OS updates and reboots" in found["Not here"]


def test_documents_have_what_the_machine_is_and_leave_out_what_it_is_not(capsule: Daemon) -> None:
    found = capsule.data("capsule", "info")
    assert found["objects"]["images"] >= 1 and found["cgroupVersion"] in (1, 2) and found["bridge"] == "br0"
    assert found["startedAtUnix"] <= found["localTimeUnix"] <= found["startedAtUnix"] + 86_400
    assert found["memoryAvailableBytes"] <= found["memoryTotalBytes"]
    assert not [name for name in found if "Slot" in name or "thinpool" in name.lower() or "lastVersion" in name]
    assert capsule.good("capsule", "info", "-o", "name").strip() == found["shortId"]
