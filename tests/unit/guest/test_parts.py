"""The small parts of the guest that can be judged without one."""

import ipaddress
import json
import struct
from pathlib import Path

import pytest

from effects.microvms.end_record import MOST_BYTES
from guest.cgroups import USUAL_PIDS, payload_bytes, payload_pids
from guest.ending import Sparing, record
from guest.network import address, default_route, let_all, mask
from journal.specs import Resources


def test_a_record_is_a_line_of_json_of_a_bounded_size() -> None:
    line = record({"fault": 'a "quoted"\nline with ä and \0' + "x" * 10_000, "exit": 3})
    assert line.endswith(b"\n") and line.count(b"\n") == 1 and len(line) < 4_096
    assert json.loads(line)["exit"] == 3


def test_what_is_killed_again_and_again_is_told_in_a_record_that_has_room_for_its_end() -> None:
    sparing = Sparing()
    told = [number for number in range(2_000_000) if sparing.worth(number)]
    assert told[:17] == [*range(1, 17), 32] and not sparing.worth(2**62)
    lines = b"".join(record({"oom": number}) for number in told)
    assert len(lines + record({"started": 2**63}) + record({"fault": "\U0001f4a5" * 10_000, "oom": 2**63})) < MOST_BYTES


@pytest.mark.parametrize("prefix", [0, 8, 24, 30, 32])
def test_a_mask_is_what_its_prefix_says(prefix: int) -> None:
    assert mask(prefix) == str(ipaddress.ip_network(f"0.0.0.0/{prefix}").netmask)


def test_a_route_has_the_kernels_layout() -> None:
    route = default_route("10.88.0.1")
    assert len(route) == 120, "sizeof(struct rtentry)"
    assert address("10.88.0.1") in route
    assert struct.unpack_from("H", route, 56)[0] == 3, "up, by a gateway"


def test_a_setting_that_the_kernel_has_is_made_and_one_that_it_lacks_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "ping_group_range").write_text("1\t0\n")
    let_all(str(tmp_path))
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("ping_group_range", "0 2147483647")]
    let_all("/nowhere")


def test_a_small_machine_keeps_most_of_its_memory_for_the_payload() -> None:
    assert payload_bytes("MemTotal:         65536 kB\nMemFree: 1 kB\n") == 32 << 20
    assert payload_bytes("MemTotal:       1048576 kB\n") == (1_024 - 80) << 20


@pytest.mark.parametrize(
    ("asked", "memory_mib", "given"),
    [(4_096, 176, 704), (4_096, 4_096, 4_096), (0, 176, 704), (9_000, 176, 704), (1_000, 176, 1_000), (4_096, 8, 64)],
)
def test_a_payload_has_no_more_processes_by_default_than_its_memory_carries(
    asked: int, memory_mib: int, given: int
) -> None:
    assert payload_pids(asked, memory_mib << 20) == given
    assert Resources().pids == USUAL_PIDS
