"""Another hand at a real machine: each change is listed with its label and event, mended or left as the policy says."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capsuled.layout import hosted
from containerdapi import containers_pb2
from effects.containerd.config import paths_under
from effects.containerd.connection import Connection
from tests.support.daemon import SERVE, Daemon, daemon
from tests.support.site import Site, site

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def machine() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture(scope="module")
def capsule(machine: Site) -> Iterator[Daemon]:
    with daemon(inside=machine.inside) as made:
        made.push_image()
        yield made


@pytest.fixture(autouse=True)
def nothing_is_left(capsule: Daemon) -> Iterator[None]:
    yield
    for name in capsule.good("list", "-o", "name").split():
        capsule.good("delete", name, "--yes")
    for name in capsule.good("volume", "list", "-o", "name").split():
        capsule.good("volume", "delete", name, "--yes")


def web(drift: str, name: str = "web", **fields: Any) -> str:
    container = {
        "image": "demo:1",
        "command": ["sh", "-c", SERVE],
        "networkMode": "NONE",
        "stopGraceSeconds": 1,
        "restartPolicy": {"backoffFirst": "100ms"},
        **fields,
    }
    return json.dumps({"name": name, "kind": "Container", "drift": drift, "container": container})


def address_of(capsule: Daemon) -> Path:
    layout = hosted(capsule.state)
    return paths_under(layout.containerd, layout.run).address


def ctr(capsule: Daemon, *words: str) -> str:
    """containerd's own command line, as whoever has root may use it."""
    command = [*capsule.inside, "ctr", "--address", str(address_of(capsule)), "--namespace", "capsule", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def remove_task(capsule: Daemon, container: str) -> None:
    """It is killed, waited for and deleted. The daemon, which sees the end too, may be the first to delete it: then
    containerd knows of no such task any more, or just hears that its shim has gone."""
    try:
        ctr(capsule, "task", "rm", "--force", container)
    except subprocess.CalledProcessError as error:
        if not any(gone in error.stderr for gone in (f"task {container} not found", "ttrpc: closed")):
            raise


def container_of(capsule: Daemon, name: str) -> str:
    shown = capsule.data("get", name)
    return f"{name}.{shown['uid']}.{shown['status']['run']}"


def listed(capsule: Daemon) -> list[dict[str, Any]]:
    """The differences; the exit code says whether one is there that was neither asked for nor is on its way."""
    done = capsule.ctl("drift", "-o", "json")
    found: list[dict[str, Any]] = json.loads(done.stdout)["differences"]
    assert done.returncode == any(one["label"] != "intended" for one in found), done.stderr
    return found


def until_listed(capsule: Daemon, object_: str, aspect: str) -> dict[str, Any]:
    """The foreign difference, whose event tells of just that."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [one for one in listed(capsule) if (one["object"], one["aspect"]) == (object_, aspect)]
        return bool(found)

    capsule.until(there, f"{object_} {aspect} is listed")
    assert found[0]["label"] == "foreign"
    return found[0]


def until_none(capsule: Daemon) -> None:
    capsule.until(lambda: not listed(capsule), "nothing differs any more")


def told(capsule: Daemon, object_: str, aspect: str) -> list[tuple[str, int]]:
    """What history has of the drift, oldest first: found or resolved how, and the event that it is about."""
    return [
        (body.get("how", "found"), body["observed"])
        for body in (event["body"] for event in capsule.history("--type", "drift."))
        if ("/".join(filter(None, (body["kind"], body["name"]))), body["aspect"]) == (object_, aspect)
    ]


def until_repaired(capsule: Daemon, object_: str, aspect: str) -> None:
    """Found and resolved: mended so quickly that a list hardly ever shows it, but history does."""
    capsule.until(lambda: [how for how, _ in told(capsule, object_, aspect)][-2:] == ["found", "repaired"], "mended")
    until_none(capsule)


def kind_of(capsule: Daemon, seq: int) -> str:
    (event,) = (one for one in capsule.history() if one["seq"] == seq)
    return str(event["type"])


@pytest.mark.parametrize("how", ["killed", "removed"])
def test_a_container_that_another_hand_ends_follows_its_policy(capsule: Daemon, how: str) -> None:
    for policy in ("repair", "report"):
        capsule.apply(web(policy), "--wait")
        until_none(capsule)
        run = capsule.status("web")["run"]
        if how == "killed":
            ctr(capsule, "task", "kill", "--signal", "SIGKILL", container_of(capsule, "web"))
        else:
            remove_task(capsule, container_of(capsule, "web"))
        if policy == "repair":
            until_repaired(capsule, "workload/web", "run")
            assert capsule.status("web")["run"] == run + 1
            continue
        found = until_listed(capsule, "workload/web", "run")
        assert kind_of(capsule, found["seq"]) in ("workload.exited", "workload.lost")
        assert "`capsulectl start web`" in found["then"]
        assert capsule.status("web")["phase"] == "WORKLOAD_PHASE_FAILED" and capsule.status("web")["run"] == run
        capsule.good("start", "web")
        until_none(capsule)
        assert told(capsule, "workload/web", "run")[-2:] == [("found", found["seq"]), ("repaired", found["seq"])]


def test_a_record_that_another_hand_deletes_under_its_process_leaves_no_second_one(capsule: Daemon) -> None:
    capsule.apply(web("repair"), "--wait")
    pid = capsule.status("web")["pid"]

    async def delete() -> None:
        connection = Connection(address_of(capsule))
        request = containers_pb2.DeleteContainerRequest(id=container_of(capsule, "web"))
        await connection.containers.Delete(request, metadata=connection.metadata)
        await connection.close()

    asyncio.run(delete())
    until_repaired(capsule, "workload/web", "run")
    assert capsule.status("web")["pid"] != pid
    capsule.until_gone(pid)


def test_a_programs_own_end_is_no_drift(capsule: Daemon) -> None:
    before = told(capsule, "workload/web", "run")
    capsule.apply(web("repair", command=["sh", "-c", "exit 3"], restart="NEVER"))
    capsule.until(lambda: capsule.status("web").get("exitCode") == 3, "it ends")
    until_none(capsule)
    assert told(capsule, "workload/web", "run") == before


@pytest.mark.parametrize("what", ["link", "rules"])
def test_a_link_and_rules_that_another_hand_takes(machine: Site, capsule: Daemon, what: str) -> None:
    object_ = "network" if what == "rules" else "workload/web"
    for policy in ("repair", "report"):
        capsule.apply(web(policy, networkMode="BRIDGE", ports=[{"containerPort": 80, "hostPort": 8080}]), "--wait")
        until_none(capsule)
        pid = capsule.status("web")["pid"]
        if what == "rules":
            machine.good("nft", "flush", "ruleset")
        else:
            (link,) = machine.good("ls", "/sys/class/net/br0/brif").split()
            machine.good("ip", "link", "delete", link)
        if policy == "repair":
            until_repaired(capsule, object_, what)
            continue
        found = until_listed(capsule, object_, what)
        assert kind_of(capsule, found["seq"]) == "network.drifted"
        assert not found.get("repair") and "drift: report" in found["then"]
        capsule.good("start", "web")
        until_repaired(capsule, object_, what)
        assert capsule.status("web")["pid"] == pid, "it has run on"


def with_volume(drift: str) -> str:
    volume = {"name": "data", "kind": "Volume", "size": "32MiB", "drift": drift}
    script = "trap 'exit 0' TERM; while :; do date +%s%N > /data/now; sync; sleep 0.1 & wait $!; done"
    mounts = [{"volumeName": "data", "mountPath": "/data"}]
    return f"{json.dumps(volume)}\n---\n{web('repair', command=['sh', '-c', script], mounts=mounts)}"


def test_a_volume_that_another_hand_unmounts(machine: Site, capsule: Daemon) -> None:
    for policy in ("repair", "report"):
        capsule.apply(with_volume(policy), "--wait")
        until_none(capsule)
        path, pid = capsule.data("volume", "get", "data")["hostPath"], capsule.status("web")["pid"]
        machine.good("umount", path)
        if policy == "report":
            found = until_listed(capsule, "volume/data", "mount")
            assert kind_of(capsule, found["seq"]) == "volume.drifted"
            refused = capsule.ctl("volume", "snapshot", "data", "one")
            assert refused.returncode == 1 and "another hand" in refused.stderr
            capsule.good("start", "web")
        until_repaired(capsule, "volume/data", "mount")
        now = Path(f"/proc/{machine.pid}/root{path}/now")
        written = now.read_text()
        capsule.until(lambda now=now, written=written: now.read_text() != written, "it is the file system that is used")  # type: ignore[misc]
        assert capsule.status("web")["pid"] == pid, "it has run on"


def test_an_image_that_another_hand_takes(capsule: Daemon) -> None:
    capsule.apply(web("repair"), "--wait")
    until_none(capsule)
    names = ctr(capsule, "images", "ls", "--quiet").split()
    assert len(names) == 2, "a name, and a digest that stands for itself"
    ctr(capsule, "images", "rm", *names)
    found = until_listed(capsule, "image/docker.io/library/demo:1", "image")
    assert kind_of(capsule, found["seq"]) == "image.lost" and "web" in found["then"]
    capsule.push_image()
    until_repaired(capsule, "image/docker.io/library/demo:1", "image")


def test_what_happened_while_the_daemon_was_away_is_told_by_the_next(machine: Site, capsule: Daemon) -> None:
    capsule.apply(web("report"), "--wait")
    pid = capsule.status("web")["pid"]
    capsule.kill()
    machine.good("kill", "-s", "KILL", str(pid))
    capsule.start()
    found = until_listed(capsule, "workload/web", "run")
    assert told(capsule, "workload/web", "run")[-1] == ("found", found["seq"])
