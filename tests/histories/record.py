"""Records the history of a release, from a real daemon that does everything it can do. Needs root and containerd.

    python -m tests.histories.record RELEASE[-features|-losses|-booted|-updates] [--view N] [--trial]

`--trial` lives through it all and keeps nothing: for whoever teaches the machine something new, and this script with it.
Once a release is out its history is never recorded again: an old memory that a new recording would fit better is
exactly what the tests here are to find. So a history that is there is never replaced.
"""

import argparse
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import grpc
import msgspec

from capsule.v1 import workload_pb2 as pb
from capsule.v1.workload_pb2_grpc import WorkloadServiceStub
from journal.release import RELEASE
from journal.sidelog import Emergency, SideLog
from projections.fold import replay
from projections.views import VIEW, state_hash
from tests.histories import booted, features, losses, updates
from tests.histories.recorded import Record, facts_of, folded_of, paths_of
from tests.support.daemon import BIN, SERVE, Daemon, daemon, manifest
from tests.support.site import site

STUBBORN = "trap '' TERM; while :; do sleep 1; done"
ARCHIVED = {"booted": booted.live, "updates": updates.live}
"""What writes its archive itself."""
OTHER_BOOT = "00000000-0000-4000-8000-000000000002"


def main() -> None:
    """Record, unless there is one already."""
    parser = argparse.ArgumentParser(prog="python -m tests.histories.record", description=__doc__)
    parser.add_argument(
        "name",
        help="the release, RELEASE-features, which RELEASE-cut is recorded with, RELEASE-losses, of a machine that has "
        "taken over another's memory, RELEASE-booted, of the built disk, or RELEASE-updates, simulated",
    )
    parser.add_argument("--view", type=int, default=VIEW, help="the view to hash the state in (default: the newest)")
    parser.add_argument("--trial", action="store_true", help="keep nothing")
    arguments = parser.parse_args()
    release, _, more = arguments.name.partition("-")
    names = (f"{release}-features", f"{release}-cut") if more == "features" else (arguments.name,)
    there = [path.name for name in names for path in paths_of(name) if path.exists()]
    if there and not arguments.trial:
        raise SystemExit(f"{there[0]} is there already: a recorded history is never recorded again")
    if release != RELEASE:
        raise SystemExit(f"this is release {RELEASE}: only {release} itself can record its history")
    known = ("features", "losses", *ARCHIVED)
    if more and more not in known:
        raise SystemExit(f"there is no story {more}: {', '.join(f'{release}-{one}' for one in known)}")
    if more in ARCHIVED:
        with tempfile.TemporaryDirectory() as scratch:
            ARCHIVED[more](Path(scratch) / "archive" if arguments.trial else paths_of(arguments.name)[0])
        if not arguments.trial:
            _note(arguments.name, arguments.view)
        return
    if more == "losses":
        with site() as one, site() as two, daemon(inside=one.inside) as old, daemon(inside=two.inside) as new:
            losses.live(old, new)
            assert new.stop() == 0
            if not arguments.trial:
                _keep(arguments.name, new, arguments.view)
        return
    stories = (features.live, features.forget) if more else (live,)
    with site() as machine, daemon(inside=machine.inside) as capsule:
        for name, story in zip(names, stories, strict=True):
            story(capsule)
            assert capsule.stop() == 0
            if not arguments.trial:
                _keep(name, capsule, arguments.view)
            capsule.start()


def _keep(name: str, capsule: Daemon, view: int) -> None:
    """The stopped machine's journal, and what it folds to."""
    capsule.good("journal", "export", str(paths_of(name)[0]), "--dir", str(capsule.state / "journal"))
    _note(name, view)


def _note(name: str, view: int) -> None:
    archive, record = paths_of(name)
    facts = facts_of(name)
    hashed = state_hash(replay(*folded_of(name)), view)
    made = Record(release=name, entries=len(facts), head=facts[-1].hash.hex(), view=view, state_hash=hashed)
    record.write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    print(f"{archive}: {archive.stat().st_size} bytes, {len(facts)} facts")


def live(capsule: Daemon) -> None:
    """Everything that can happen to a machine, each thing once."""
    _images(capsule)
    _declarations(capsule)
    _network(capsule)
    _volumes(capsule)
    _refusals(capsule)
    _streams(capsule)
    _switches(capsule)
    _ends(capsule)
    _crash(capsule)
    _runtime_crash(capsule)
    _halt_and_emergency(capsule)
    _power_loss(capsule)
    capsule.good("delete", "web", "--yes")
    assert "Verified" in capsule.good("replay", "--verify")


def _images(capsule: Daemon) -> None:
    capsule.push_image()
    capsule.push_image("docker.io/library/demo:2")
    junk = capsule.scratch / "junk.tar"
    junk.write_bytes(b"no archive at all")
    assert capsule.ctl("image", "push", str(junk)).returncode == 1


def _declarations(capsule: Daemon) -> None:
    web = manifest("web", SERVE, env={"SECRET": "hunter2", "MODE": "live"}, user="web", workingDir="/tmp")
    capsule.apply(web, "--wait")
    capsule.apply(web)
    ports = [{"containerPort": 18_443, "hostPort": 18_443}]
    batch = [
        manifest("clock", SERVE, networkMode="HOST", ports=ports, restart="ON_FAILURE"),
        manifest("idle", SERVE).replace('"kind"', '"labels": {"app": "site"}, "desiredState": "STOPPED", "kind"'),
    ]
    capsule.apply("\n---\n".join(batch), "--wait")
    changed = manifest("web", SERVE, env={"SECRET": "hunter3"}, privileged=True)
    capsule.ctl("apply", "-f", "-", "--dry-run", stdin=changed)
    capsule.ctl("diff", "-f", "-", stdin=changed)
    capsule.apply(changed, "--wait")
    capsule.apply(capsule.good("get", "web", "-o", "yaml"))
    for read in (["list"], ["get", "web"], ["image", "list"], ["history"], ["logs", "web"]):
        capsule.good(*read)


def _network(capsule: Daemon) -> None:
    ports = [{"containerPort": 80, "hostPort": 18_080}, {"containerPort": 81, "hostPort": 0, "protocol": "udp"}]
    capsule.apply(manifest("bridged", SERVE, networkMode="BRIDGE", ports=ports), "--wait")
    capsule.apply(manifest("bridged", SERVE, networkMode="NONE"), "--wait")
    capsule.good("delete", "bridged", "--yes")


def _volumes(capsule: Daemon) -> None:
    capsule.good("volume", "create", "data", "64MiB")
    mounts = [{"volumeName": "data", "mountPath": "/data"}]
    capsule.apply(manifest("keeper", SERVE, mounts=mounts), "--wait")
    capsule.good("volume", "snapshot", "data", "first")
    capsule.good("stop", "keeper", "--wait")
    capsule.good("volume", "resize", "data", "96MiB")
    capsule.good("start", "keeper", "--wait")
    capsule.good("volume", "restore", "data", "first", "--yes")
    capsule.good("wait", "keeper")
    assert capsule.ctl("volume", "delete", "data", "--yes").returncode == 1
    capsule.good("delete", "keeper", "--yes")
    capsule.good("volume", "delete", "data", "--yes")


def _refusals(capsule: Daemon) -> None:
    taken = [{"containerPort": 18_443, "hostPort": 18_443}]
    for refused in (
        manifest("late", SERVE, networkMode="HOST", ports=taken),
        manifest("late", SERVE, image="nowhere:1"),
        manifest("Bad Name", SERVE),
        manifest("web", SERVE, env={"SECRET": "sealed:0123456789abcdef0123456789abcdef"}),
    ):
        assert capsule.ctl("apply", "-f", "-", stdin=refused).returncode == 1
    assert capsule.ctl("apply", "-f", "-", "--expect-seq", "1", stdin=manifest("web", SERVE)).returncode == 1
    assert capsule.ctl("stop", "nobody").returncode == 1
    assert capsule.ctl("restart", "idle").returncode == 1


def _streams(capsule: Daemon) -> None:
    capsule.good("exec", "web", "--", "sh", "-c", "echo out; echo err >&2")
    assert capsule.ctl("exec", "-i", "web", "--", "sh", "-c", "cat; exit 7", stdin="through\n").returncode == 7
    assert capsule.ctl("exec", "web", "nothing-like-it").returncode == 127
    client = _sleeper(capsule, "4141")
    client.kill()
    client.wait()
    capsule.until(lambda: capsule.history("--type", "stream.closed")[-1]["body"]["outcome"] == "cancelled", "it ended")


def _sleeper(capsule: Daemon, seconds: str) -> "subprocess.Popen[bytes]":
    command: list[str | Path] = [BIN / "capsulectl", "exec", "web", "sleep", seconds]
    client = subprocess.Popen(command, env=capsule.environment, stderr=subprocess.DEVNULL)
    count = ["exec", "web", "--", "sh", "-c", f"ps | grep -c '[s]leep {seconds}'"]
    capsule.until(lambda: capsule.ctl(*count).stdout == "1\n", "it sleeps")
    return client


def _switches(capsule: Daemon) -> None:
    capsule.good("stop", "web", "--wait")
    capsule.good("start", "web", "--wait")
    capsule.good("restart", "web", "--wait")
    capsule.good("start", "idle", "--wait")
    capsule.good("stop", "idle", "--wait")
    with grpc.insecure_channel(f"unix:{capsule.state}/capsule.sock") as channel:
        stop = WorkloadServiceStub(channel).Stop
        for _ in range(2):  # the same call twice, as a client repeats it whose connection broke
            stop(pb.WorkloadStopRequest(name="clock"), metadata=(("capsule-call-id", "one-stop"),))
    capsule.good("start", "clock", "--wait")


def _ends(capsule: Daemon) -> None:
    capsule.apply(manifest("loops", "exit 3"))
    capsule.until(lambda: capsule.status("loops").get("run", 0) >= 3, "it crashed and was restarted")
    capsule.good("stop", "loops", "--wait")
    capsule.apply(manifest("job", "exit 0", restart="ON_FAILURE"))
    capsule.apply(manifest("once", "exit 5", restart="NEVER"))
    capsule.apply(manifest("typo", "", command=["/nothing/like/it"]))
    capsule.until(lambda: capsule.status("job").get("phaseDetail") == "completed", "the job is done")
    capsule.until(lambda: capsule.status("once").get("phaseDetail") == "failed", "it failed")
    capsule.until(lambda: capsule.status("typo").get("phaseDetail") == "failed", "it cannot start")
    capsule.apply(manifest("typo", SERVE), "--wait")
    capsule.apply(manifest("deaf", STUBBORN), "--wait")
    deleting = subprocess.Popen(
        [BIN / "capsulectl", "delete", "deaf", "--yes"], env=capsule.environment, stderr=subprocess.DEVNULL
    )
    capsule.until(lambda: "workload.delete_requested" in _types(capsule, "deaf"), "it is being deleted")
    capsule.ctl("apply", "-f", "-", stdin=manifest("deaf", SERVE))
    assert deleting.wait() == 0
    capsule.good("delete", "job", "once", "loops", "--yes")


def _types(capsule: Daemon, name: str) -> list[str]:
    return [event["type"] for event in capsule.history(name)]


def _crash(capsule: Daemon) -> None:
    capsule.apply(manifest("brief", "sleep 1; exit 9", restart="NEVER"), "--wait")
    client = _sleeper(capsule, "4242")
    capsule.kill()
    client.wait()
    time.sleep(1.2)  # it ends while nobody looks
    capsule.start()
    capsule.until(lambda: "workload.exited" in _types(capsule, "brief"), "the exit is known")
    capsule.good("delete", "brief", "--yes")


def _runtime_crash(capsule: Daemon) -> None:
    os.kill(capsule.containerd_pid(), signal.SIGKILL)
    capsule.until(lambda: capsule.ctl("exec", "web", "true").returncode == 0, "the runtime is back")


def _halt_and_emergency(capsule: Daemon) -> None:
    assert capsule.stop() == 0
    _halt(capsule)
    log = SideLog(capsule.state / "side.log")
    log.append(Emergency("stop", "clock", 1, time.time_ns()))  # as a daemon does whose disk is full
    log.close()
    capsule.start()
    capsule.good("wait", "web")


def _power_loss(capsule: Daemon) -> None:
    capsule.kill()
    _halt(capsule)
    (capsule.state / "side.log").unlink()  # who ends all processes notes that, and a power cut does not
    boot = capsule.scratch / "boot_id"
    boot.write_text(OTHER_BOOT + "\n")
    script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$1" --state "$2"'
    capsule.process = subprocess.Popen(
        [*capsule.inside, "unshare", "--mount", "sh", "-c", script, boot, BIN / "capsuled", capsule.state],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    capsule.until(lambda: capsule.ctl("capsule", "info").returncode == 0, "capsuled answers")
    capsule.good("wait", "web")
    previous = [event["body"]["previous"] for event in capsule.history("--type", "daemon.started")]
    assert previous == ["first", "crash", "clean", "power-lost"], previous


def _halt(capsule: Daemon) -> None:
    command: list[str | Path] = [*capsule.inside, BIN / "capsuled", "--state", capsule.state, "--halt"]
    subprocess.run(command, env=capsule.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main()
