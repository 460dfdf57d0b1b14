"""What real containers use, as an operator asks for it: a loop, memory, traffic, and who is not there any more."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import SERVE, Daemon, daemon, manifest
from tests.support.site import Site, site

pytestmark = pytest.mark.real

MIB = 1 << 20
HELD = 24 * MIB
EATER = f'x=$(head -c {HELD} /dev/zero | tr "\\0" x); echo full; sleep 4711 & wait'
PAGE = 200_000


@pytest.fixture(scope="module")
def machine() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture(scope="module")
def capsule(machine: Site) -> Iterator[Daemon]:
    with daemon(inside=machine.inside) as made:
        made.push_image()
        yield made


def usage(capsule: Daemon, name: str, *options: str) -> dict[str, Any]:
    (found,) = capsule.data("stats", name, *options)["workloads"]
    return dict(found)


def process_cpu_s(pid: int) -> float:
    """What the kernel says of the process itself."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_a_loop_uses_what_its_process_does_up_to_a_core(capsule: Daemon) -> None:
    capsule.apply(manifest("loop", "while :; do :; done"), "--wait")
    pid = capsule.status("loop")["pid"]
    before, begun = process_cpu_s(pid), time.monotonic()
    found = usage(capsule, "loop", "--window", "4s")
    elsewhere = 100 * (process_cpu_s(pid) - before) / (time.monotonic() - begun)
    # The command takes a moment around its window; on a machine with a core to spare both are near 100.
    assert found["cpu"]["percent"] == pytest.approx(elsewhere, abs=30) and 2 < found["cpu"]["percent"] < 110
    assert found["cpu"]["totalNs"] / 1e9 == pytest.approx(process_cpu_s(pid), abs=2)
    capsule.good("delete", "loop", "--yes")


def test_a_limit_on_processors_is_kept_and_told(capsule: Daemon) -> None:
    capsule.apply(manifest("tamed", "while :; do :; done", resources={"cpus": 0.2}), "--wait")
    found = usage(capsule, "tamed", "--window", "3s")
    assert found["cpu"]["percent"] < 26
    capsule.until(lambda: usage(capsule, "tamed", "--window", "0")["cpu"]["throttledNs"] > 0, "it was held back")
    capsule.good("delete", "tamed", "--yes")


def test_memory_that_is_held_is_shown_beside_its_limit(capsule: Daemon) -> None:
    capsule.apply(manifest("eater", EATER, resources={"memory": "200MiB", "pids": 40}), "--wait")
    capsule.until(lambda: "full" in capsule.good("logs", "eater"), "it has eaten")
    found = usage(capsule, "eater", "--window", "0")
    assert HELD < found["memory"]["anonymousBytes"] <= found["memory"]["workingSetBytes"] < 150 * MIB
    assert found["memory"]["limitBytes"] == 200 * MIB
    assert found["pids"] == {"current": 2, "limit": 40}
    capsule.good("delete", "eater", "--yes")


def test_files_that_were_read_and_are_used_no_more_do_not_count(capsule: Daemon) -> None:
    script = f"head -c {HELD} /dev/zero > /big; sync; cat /big > /dev/null; echo read; sleep 4711"
    capsule.apply(manifest("cached", script), "--wait")
    capsule.until(lambda: "read" in capsule.good("logs", "cached"), "it has read")
    found = usage(capsule, "cached", "--window", "0", "--layers")
    assert found["memory"]["anonymousBytes"] < 2 * MIB and found["memory"]["workingSetBytes"] < HELD
    assert HELD <= found["layerBytes"] < HELD + MIB
    capsule.good("delete", "cached", "--yes")


def test_traffic_is_counted_both_ways_for_who_has_a_link_of_its_own(machine: Site, capsule: Daemon) -> None:
    script = f"head -c {PAGE} /dev/zero > /tmp/page; exec httpd -f -p 80 -h /tmp"
    capsule.apply(manifest("pages", script, networkMode="BRIDGE"), "--wait")
    capsule.apply(manifest("hosted", SERVE, networkMode="HOST"), "--wait")
    capsule.apply(manifest("alone", SERVE), "--wait")
    address = capsule.status("pages")["address"]
    program = "import sys, urllib.request; print(len(urllib.request.urlopen(sys.argv[1], timeout=3).read()))"
    before = usage(capsule, "pages", "--window", "0")["network"]

    def fetched() -> bool:
        return machine.run("/usr/bin/python3", "-c", program, f"http://{address}/page").stdout.strip() == str(PAGE)

    capsule.until(fetched, "the page is served")
    after = usage(capsule, "pages", "--window", "0")["network"]
    assert PAGE < after["sentBytes"] - before["sentBytes"] < 2 * PAGE
    assert 100 < after["receivedBytes"] - before["receivedBytes"] < PAGE
    assert after["sentPackets"] > before["sentPackets"] and after["receivedPackets"] > before["receivedPackets"]
    for name in ("hosted", "alone"):
        assert "network" not in usage(capsule, name, "--window", "0")
    # The daemon is gone for a moment; what the kernel counted meanwhile is not.
    capsule.stop()
    capsule.start()
    capsule.until(lambda: capsule.status("pages")["phase"] == "WORKLOAD_PHASE_RUNNING", "it is adopted")
    assert usage(capsule, "pages", "--window", "0")["network"]["sentBytes"] >= after["sentBytes"]
    capsule.good("delete", "pages", "hosted", "alone", "--yes")


def test_a_new_run_begins_to_count_anew_and_what_has_ended_is_not_measured(capsule: Daemon) -> None:
    script = "n=0; while [ $n -lt 300000 ]; do n=$((n+1)); done; echo counted; sleep 4711"
    capsule.apply(manifest("again", script), "--wait")
    capsule.until(lambda: "counted" in capsule.good("logs", "again"), "it has worked")
    before = usage(capsule, "again", "--window", "0")
    capsule.apply(manifest("again", SERVE), "--wait")
    after = usage(capsule, "again", "--window", "0")
    assert after["run"] == before["run"] + 1 and after["cpu"]["totalNs"] < before["cpu"]["totalNs"]
    capsule.good("stop", "again", "--wait")
    assert usage(capsule, "again", "--window", "0")["measured"] is False
    assert "again" not in capsule.good("stats", "-o", "name").split()
    capsule.good("delete", "again", "--yes")
