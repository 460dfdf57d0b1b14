"""Debug sessions against the daemon's own end, on machines without a busybox, and as clients in the field do it."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.v1 import debug_pb2 as pb
from capsule.v1.debug_pb2_grpc import DebugServiceStub
from projections.rights import RANK
from tests.support.adopted import Adopted
from tests.support.daemon import CTL, Daemon, daemon
from tests.support.house import IMAGE, standing
from tests.support.site import site

DEBUG = "capsule-debug"
BUSYBOXES = ("/bin/busybox", "/usr/bin/busybox", "/usr/lib/initramfs-tools/bin/busybox", "/sbin/busybox")


@contextmanager
def session(capsule: Daemon) -> Iterator["subprocess.Popen[bytes]"]:
    """A client in the middle of one."""
    command = [CTL, "capsule", "debug", "-i", "demo:1", "--", "sleep", "4711"]
    client = subprocess.Popen(command, env=capsule.environment, stderr=subprocess.PIPE)
    try:
        capsule.until(lambda: "4711" in capsule.ctl("history", DEBUG, "--type", "stream.opened").stdout, "it sleeps")
        yield client
    finally:
        client.kill()
        client.communicate()


class _Endless:
    """A caller who says what he wants, and nothing more."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __iter__(self) -> Iterator[pb.DebugRequest]:
        yield pb.DebugRequest(image=IMAGE)
        self.over.wait(60)


def names(capsule: Daemon) -> list[str]:
    return capsule.good("list", "-o", "name").split()


@pytest.mark.real
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda one: one.name)
def test_a_daemon_that_ends_under_a_session_leaves_nothing_of_it_to_the_next(number: signal.Signals) -> None:
    with daemon() as capsule:
        capsule.push_image()
        with session(capsule) as client:
            assert capsule.process is not None
            capsule.process.send_signal(number)
            capsule.process.wait(timeout=30)
            _, said = client.communicate(timeout=30)
            assert client.returncode == 125
            if number == signal.SIGKILL:
                assert b"capsule-debug is not seen to be removed" in said and b"by itself" in said
        capsule.start()
        capsule.until(lambda: names(capsule) == [], "it is gone")
        (asked,) = capsule.history(DEBUG, "--type", "workload.delete_requested")
        (opened,) = [one for one in capsule.history(DEBUG, "--type", "stream.opened") if one["seq"] == asked["cause"]]
        assert opened["body"]["method"] == "DebugService.Open"
        if number == signal.SIGKILL:
            assert asked["actor"] == "system"


@pytest.mark.real
def test_what_was_kept_outlives_the_daemon() -> None:
    with daemon() as capsule:
        capsule.push_image()
        assert capsule.ctl("capsule", "debug", "--keep", "-i", "demo:1", "--", "true").returncode == 0
        capsule.kill()
        capsule.start()
        assert names(capsule) == [DEBUG] and capsule.status(DEBUG)["phaseDetail"] == "running"
        assert not capsule.history(DEBUG, "--type", "workload.delete_requested")


@pytest.mark.real
def test_without_a_busybox_the_machines_own_shell_and_programs_do() -> None:
    with site() as place:
        for path in BUSYBOXES:
            if os.path.exists(path):
                place.run("mount", "--bind", "/dev/null", path)
        with daemon(inside=place.inside) as capsule:
            script = "echo $0; ls -l /proc/self/exe; cat /proc/1/comm; touch /usr/x 2>/dev/null || echo kept; id -un"
            done = capsule.ctl("capsule", "debug", "--", "sh", "-c", script)
            assert done.returncode == 0, done.stderr
            shell, found, first, kept, user = done.stdout.splitlines()
            assert shell == "sh" and found.endswith("/usr/bin/ls") and kept == "kept" and user == "root"
            assert first == Path("/proc/1/comm").read_text().strip()
            assert "built by the capsule from its own programs" in done.stderr
            done = capsule.ctl("capsule", "debug", "-q", "--", "chroot", "/host", "cat", "/etc/hostname")
            assert (done.returncode, done.stdout) == (0, Path("/etc/hostname").read_text())


@pytest.mark.real
def test_what_clients_in_the_field_declare_is_theirs_and_no_session_of_ours_removes_it() -> None:
    paths = [path for path in ("/sys", "/dev", "/sbin", "/usr/sbin", "/usr/bin") if os.path.exists(path)]
    fields: dict[str, Any] = {
        "image": "demo:1",
        "command": ["/bin/sh", "-c", "sleep infinity"],
        "networkMode": "NETWORK_MODE_HOST",
        "privileged": True,
        "hostPid": True,
        "hostBindPaths": paths,
        "stopGraceSeconds": 1,
    }
    declared = json.dumps({"name": DEBUG, "kind": "Container", "container": fields})
    with daemon() as capsule:
        capsule.push_image()
        with session(capsule) as client:
            capsule.apply(declared, "--wait")
            client.communicate(timeout=30)
        assert names(capsule) == [DEBUG]
        done = capsule.ctl("exec", DEBUG, "cat", "/proc/1/comm")
        assert (done.returncode, done.stdout) == (0, Path("/proc/1/comm").read_text())
        assert capsule.ctl("capsule", "debug", "--", "true").returncode == 125


def test_a_session_is_an_admins_and_others_hear_why(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        adopted = Adopted(house)
        stub: Any = DebugServiceStub(adopted.channel())
        for number, role in ((2, "operator"), (3, "reader")):
            key = adopted.add(number)
            with pytest.raises(grpc.RpcError) as caught:
                next(stub.Open(iter([pb.DebugRequest()]), metadata=adopted.metadata(key)))
            error: Any = caught.value
            assert error.code() is grpc.StatusCode.PERMISSION_DENIED and role in RANK
            assert f"your key has the role {role}, and this takes admin (DebugService/Open)" in error.details()
            assert "what it opens is root on the machine" in error.details()


def test_a_session_whose_key_is_removed_ends_and_asks_for_the_containers_removal(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        adopted = Adopted(house)
        admin = adopted.add(1)
        stub: Any = DebugServiceStub(adopted.channel())
        waiting = _Endless()
        call = stub.Open(iter(waiting), metadata=adopted.metadata(admin))
        uid = next(call).uid
        adopted.client.signed(
            adopted.key, "IdentityService/KeyRemove", adopted.client.message("KeyRemoveRequest", kid=admin.kid)
        )
        with pytest.raises(grpc.RpcError) as caught:
            list(call)
        error: Any = caught.value
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        waiting.over.set()
        workload = house.house.engine.machine.workloads[DEBUG]
        assert workload.uid == uid and workload.desired == "deleting"
