"""A scrape of a real daemon: real figures, nothing secret, and nothing served that nobody asked for."""

import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.support.daemon import Daemon, daemon, manifest

pytestmark = pytest.mark.real

SECRET = "hunter2-" * 3


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon(start=False) as made:
        made.start("--metrics", "127.0.0.1:0")
        made.push_image()
        made.apply('{"name": "kept", "kind": "Volume", "size": "64MiB"}')
        mounts = [{"volumeName": "kept", "mountPath": "/kept"}]
        script = "head -c 5000000 /dev/zero > /kept/x; while :; do :; done"
        made.apply(manifest("works", script, mounts=mounts, env={"PASSWORD": SECRET}), "--wait")
        made.apply(manifest("fails", "exit 3", restart="NEVER"))
        made.good("wait", "fails", "--for", "failed")
        yield made


def address(capsule: Daemon) -> str:
    found = re.search(r"figures for Prometheus at (\S+)", capsule.output())
    assert found is not None
    return found[1]


def scraped(capsule: Daemon) -> dict[str, Metric]:
    with urllib.request.urlopen(address(capsule), timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        text = answer.read().decode()
    assert SECRET not in text
    return {one.name: one for one in text_string_to_metric_families(text)}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    (found,) = [one.value for one in families[name].samples if labels.items() <= one.labels.items()]
    return found


def restarts(families: dict[str, Metric]) -> dict[str, float]:
    return {one.labels["workload"]: one.value for one in families["capsule_workload_restarts"].samples}


def test_figures_are_those_of_what_runs(capsule: Daemon) -> None:
    capsule.until(
        lambda: value(scraped(capsule), "capsule_volume_filesystem_used_bytes", volume="kept") > 5e6, "it wrote"
    )
    first = scraped(capsule)
    assert value(first, "capsule_workload_phase", workload="works", phase="running") == 1
    assert value(first, "capsule_workload_phase", workload="fails", phase="failed") == 1
    assert value(first, "capsule_workload_last_exit_code", workload="fails") == 3
    assert value(first, "capsule_volume_mounted", volume="kept", workload="works") == 1
    assert value(first, "capsule_volume_size_bytes", volume="kept") == 64 << 20
    assert value(first, "capsule_images") == 1
    assert not [one for one in first["capsule_workload_cpu_seconds"].samples if one.labels["workload"] == "fails"]
    used = value(first, "capsule_workload_cpu_seconds", workload="works")
    capsule.until(
        lambda: value(scraped(capsule), "capsule_workload_cpu_seconds", workload="works") > used + 0.05, "it works"
    )
    entries = len(capsule.history())
    capsule.until(lambda: value(scraped(capsule), "capsule_journal_entries") >= entries, "the page is made anew")
    assert value(first, "process_resident_memory_bytes") > 1e7


def test_restarts_failures_and_a_death_of_the_runtime_are_seen(capsule: Daemon) -> None:
    capsule.apply(manifest("loops", "exit 1", restart="ALWAYS"))
    # A page may be a second old, from before there was such a workload.
    capsule.until(lambda: restarts(scraped(capsule)).get("loops", 0) >= 1, "it is started again")
    capsule.good("delete", "loops", "--yes")
    capsule.until(lambda: "loops" not in str(scraped(capsule)), "nothing is told of what is gone")
    subprocess.run(["kill", "-9", str(capsule.containerd_pid())], check=True)
    assert value(scraped(capsule), "capsule_collector_success", collector="usage") == 1


def test_it_is_shown_to_the_operator(capsule: Daemon) -> None:
    assert capsule.data("capsule", "info")["metrics"] == address(capsule)
    assert address(capsule) in capsule.good("capsule", "info")


def test_only_loopback_is_reached(capsule: Daemon) -> None:
    port = int(address(capsule).rpartition(":")[2].partition("/")[0])
    others = [one for one in socket.gethostbyname_ex(socket.gethostname())[2] if not one.startswith("127.")]
    listening = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True).stdout
    assert listening.split()[3] == f"127.0.0.1:{port}" and len(listening.splitlines()) == 1
    for one in others:
        with pytest.raises(OSError):
            socket.create_connection((one, port), timeout=1)


def test_nothing_is_served_that_nobody_asked_for() -> None:
    with daemon() as made:
        assert "Prometheus" not in made.output() and "metrics" not in made.data("capsule", "info")
        assert made.process is not None
        listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
        assert f"pid={made.process.pid}," not in listening


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("9100", "'9100' is no ADDRESS:PORT"),
        ("127.0.0.1:99999", "is no ADDRESS:PORT"),
        (
            "192.0.2.99:9100",
            "192.0.2.99:9100: cannot be listened on for metrics: it is none of this machine's addresses",
        ),
    ],
)
def test_an_address_that_is_none_ends_the_start_with_what_helps(given: str, words: str) -> None:
    with daemon(start=False) as made:
        made.start("--metrics", given, wait=False)
        assert made.process is not None and made.process.wait(30) != 0
        assert words in made.output()


def test_a_wider_address_is_served_and_warned_of() -> None:
    with daemon(start=False) as made:
        made.start("--metrics", "0.0.0.0:0")
        made.until(lambda: "asks nobody for a key" in made.output(), "it is said")
        port = address(made).rpartition(":")[2]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10) as answer:
            assert answer.status == 200
        assert made.stop() == 0
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=10)
