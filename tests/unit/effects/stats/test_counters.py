"""Control groups of both versions, from files as kernels write them, and links."""

from pathlib import Path

import pytest

from effects.stats.counters import Counted, Groups, links
from effects.stats.protocol import Cpu, Disk, Memory, Pids, Traffic

GROUP = "/capsule/web.7.1"

UNIFIED = {
    "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\nnr_periods 9\nnr_throttled 2\nthrottled_usec 250\n",
    "memory.current": "9000000\n",
    "memory.stat": "anon 4000000\nfile 4500000\ninactive_anon 0\nactive_anon 4000000\ninactive_file 3000000\nactive_file 1500000\n",
    "memory.max": "67108864\n",
    "pids.current": "3\n",
    "pids.max": "max\n",
    "io.stat": "8:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=7 dios=7\n259:0 rbytes=1000 wbytes=2000 rios=10 wios=20 dbytes=0 dios=0\n",
}
SPLIT = {
    "cpuacct/cpuacct.usage": "1500000000\n",
    "cpu/cpu.stat": "nr_periods 9\nnr_throttled 2\nthrottled_time 250000\n",
    "memory/memory.usage_in_bytes": "9000000\n",
    # The group's own numbers come first: what counts is what it has together with those below it.
    "memory/memory.stat": "cache 1\nrss 2\ninactive_file 3\ntotal_cache 4500000\ntotal_rss 4000000\ntotal_inactive_file 3000000\n",
    "memory/memory.limit_in_bytes": "67108864\n",
    "pids/pids.current": "3\n",
    "pids/pids.max": "max\n",
    "blkio/blkio.throttle.io_service_bytes_recursive": "8:0 Read 100\n8:0 Write 200\n8:0 Sync 300\n259:0 Read 1000\n259:0 Write 2000\nTotal 3300\n",
    "blkio/blkio.throttle.io_serviced_recursive": "8:0 Read 1\n8:0 Write 2\n259:0 Read 10\n259:0 Write 20\nTotal 33\n",
}
WHOLE = Counted(
    Cpu(1_500_000_000, 250_000),
    Memory(6_000_000, 4_000_000, 67_108_864),
    Pids(3, 0),
    Disk(1_100, 2_200, 11, 22),
)


def unified(root: Path, files: dict[str, str]) -> Groups:
    (root / "cgroup.controllers").write_text("cpu io memory pids\n")
    for name, text in files.items():
        path = root / GROUP.lstrip("/") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Groups(root)


def split(root: Path, files: dict[str, str], machine: str = "8:0 Read 1\n8:0 Write 1\nTotal 2\n") -> Groups:
    for name, text in files.items():
        controller, _, file = name.partition("/")
        path = root / controller / GROUP.lstrip("/") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "blkio").mkdir(exist_ok=True)
    (root / "blkio" / "blkio.throttle.io_service_bytes_recursive").write_text(machine)
    return Groups(root)


@pytest.mark.parametrize(("make", "files"), [(unified, UNIFIED), (split, SPLIT)], ids=["v2", "v1"])
def test_both_versions_say_the_same(tmp_path: Path, make: object, files: dict[str, str]) -> None:
    assert make(tmp_path, files).count(GROUP) == WHOLE  # type: ignore[operator]


@pytest.mark.parametrize(("make", "files"), [(unified, UNIFIED), (split, SPLIT)], ids=["v2", "v1"])
def test_a_group_that_is_not_there_is_none(tmp_path: Path, make: object, files: dict[str, str]) -> None:
    assert make(tmp_path, files).count("/capsule/other.8.1") is None  # type: ignore[operator]


@pytest.mark.parametrize(
    ("make", "files", "left_out", "lacking"),
    [
        (unified, UNIFIED, "cpu.", "cpu"),
        (unified, UNIFIED, "memory.", "memory"),
        (unified, UNIFIED, "pids.", "pids"),
        (unified, UNIFIED, "io.", "disk"),
        (split, SPLIT, "cpuacct/", "cpu"),
        (split, SPLIT, "memory/", "memory"),
        (split, SPLIT, "pids/", "pids"),
        (split, SPLIT, "blkio/", "disk"),
    ],
)
def test_a_controller_that_is_not_there_is_left_out_and_the_rest_is_told(
    tmp_path: Path, make: object, files: dict[str, str], left_out: str, lacking: str
) -> None:
    kept = {name: text for name, text in files.items() if not name.startswith(left_out)}
    found = make(tmp_path, kept).count(GROUP)  # type: ignore[operator]
    for part in ("cpu", "memory", "pids", "disk"):
        assert getattr(found, part) == (None if part == lacking else getattr(WHOLE, part))


def test_no_limit_is_none_in_both_versions(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    old = split(tmp_path / "one", SPLIT | {"memory/memory.limit_in_bytes": "9223372036854771712\n"}).count(GROUP)
    new = unified(tmp_path / "two", UNIFIED | {"memory.max": "max\n"}).count(GROUP)
    for found in (old, new):
        assert found is not None and found.memory is not None and found.memory.limit_bytes == 0


def test_pages_beyond_what_is_charged_leave_nothing_rather_than_less(tmp_path: Path) -> None:
    found = unified(tmp_path, UNIFIED | {"memory.current": "4096\n"}).count(GROUP)
    assert found is not None and found.memory is not None and found.memory.working_set_bytes == 0


def test_a_machine_that_counts_no_disk_says_nothing_instead_of_zero(tmp_path: Path) -> None:
    idle = SPLIT | {name: "Total 0\n" for name in SPLIT if name.startswith("blkio/")}
    (tmp_path / "counts").mkdir()
    (tmp_path / "not").mkdir()
    counting = split(tmp_path / "counts", idle).count(GROUP)
    assert counting is not None and counting.disk == Disk()
    silent = split(tmp_path / "not", idle, machine="Total 0\n").count(GROUP)
    assert silent is not None and silent.disk is None


def test_the_scheduler_that_counts_is_asked_before_the_throttle(tmp_path: Path) -> None:
    (tmp_path / "blkio").mkdir()
    (tmp_path / "blkio" / "blkio.bfq.io_service_bytes_recursive").write_text("8:0 Read 5\n")
    own = {
        "blkio/blkio.bfq.io_service_bytes_recursive": "8:0 Read 5\n8:0 Write 6\n",
        "blkio/blkio.bfq.io_serviced_recursive": "8:0 Read 1\n8:0 Write 2\n",
    }
    found = split(tmp_path, SPLIT | own).count(GROUP)
    assert found is not None and found.disk == Disk(5, 6, 1, 2)


def test_a_listing_longer_than_a_read_is_read_to_its_end(tmp_path: Path) -> None:
    many = "".join(f"8:{number} rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n" for number in range(4_000))
    found = unified(tmp_path, UNIFIED | {"io.stat": many}).count(GROUP)
    assert found is not None and found.disk == Disk(4_000, 8_000, 12_000, 16_000)


def test_links_are_seen_from_their_other_end(tmp_path: Path) -> None:
    file = tmp_path / "dev"
    file.write_text(
        "Inter-|   Receive  |  Transmit\n face |bytes ...\n"
        "    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n"
        "v1.ab:100 10 1 2 0 0 0 0 200 20 3 4 0 0 0 0\n"
        "broken\n"
    )
    assert links(file) == {"lo": Traffic(5, 5, 1, 1), "v1.ab": Traffic(200, 100, 20, 10, 4, 2)}
    assert links(tmp_path / "absent") == {}
