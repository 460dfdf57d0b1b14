"""Copies with a real daemon and real containers: as clients in the field make them, against a workload that will not
hold still, on full and read-only file systems, and what is remembered of them."""

import io
import os
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from capsule.v1 import workload_pb2 as pb
from capsule.v1.workload_pb2_grpc import WorkloadServiceStub
from copies.inside import Request
from tests.support.daemon import CTL, SERVE, Daemon, daemon, manifest
from tests.support.programs import running
from tests.support.trees import member, tar

pytestmark = pytest.mark.real

Code = grpc.StatusCode
FILE = tar(member("one", content=b"1" * 100_000))


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        made.apply(manifest("web", SERVE, tmpfs=[{"mountPath": "/small", "sizeBytes": 1 << 20}]), "--wait")
        yield made


@pytest.fixture(scope="module")
def stub(capsule: Daemon) -> Iterator[WorkloadServiceStub]:
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(f"unix:{capsule.state}/capsule.sock", options) as channel:
        yield WorkloadServiceStub(channel)


def into(stub: WorkloadServiceStub, path: str, archive: bytes, name: str = "web", size: int = 32 << 10) -> int:
    """As the field does it: small chunks. How many bytes were received."""

    def messages() -> Iterator[pb.WorkloadCopyToRequest]:
        yield pb.WorkloadCopyToRequest(metadata=pb.WorkloadCopyToMetadata(name=name, dest_path=path))
        for start in range(0, len(archive), size):
            yield pb.WorkloadCopyToRequest(chunk=archive[start : start + size])

    return int(stub.CopyTo(messages(), timeout=60).bytes_received)


def out_of(stub: WorkloadServiceStub, path: str, name: str = "web") -> bytes:
    chunks = stub.CopyFrom(pb.WorkloadCopyFromRequest(name=name, src_path=path), timeout=60)
    return b"".join(chunk.data for chunk in chunks)


def listed(capsule: Daemon, path: str) -> list[str]:
    return capsule.good("exec", "web", "--", "ls", "-a", path).split()


def copies_into(capsule: Daemon) -> list[int]:
    """Where the history tells of the beginning of each."""
    opened = capsule.history("--type", "stream.opened")
    return [event["seq"] for event in opened if event["body"]["method"] == "WorkloadService.CopyTo"]


def test_the_fields_copies_arrive_and_come_back(capsule: Daemon, stub: WorkloadServiceStub) -> None:
    assert into(stub, "/field/", FILE, size=512) == len(FILE)
    found = out_of(stub, "/field/../field/./one")
    with tarfile.open(fileobj=io.BytesIO(found)) as archive:
        assert archive.getnames() == ["one"]
    assert found.endswith(bytes(1024))


def test_a_copy_that_fails_says_why_before_its_first_byte(stub: WorkloadServiceStub) -> None:
    cases = {
        ("web", "/none"): Code.NOT_FOUND,
        ("none", "/etc"): Code.NOT_FOUND,
        ("web", ""): Code.INVALID_ARGUMENT,
        ("web", "/etc/.."): Code.INVALID_ARGUMENT,
        ("web", "/dev/null"): Code.FAILED_PRECONDITION,
        ("web", "/proc"): Code.FAILED_PRECONDITION,
    }
    for (name, path), code in cases.items():
        call = stub.CopyFrom(pb.WorkloadCopyFromRequest(name=name, src_path=path))
        with pytest.raises(grpc.RpcError) as raised:
            next(call)
        assert raised.value.code() is code, path


@pytest.mark.parametrize(
    ("path", "archive", "code"),
    [
        ("/new", FILE[:-1024], Code.INVALID_ARGUMENT),
        ("/new", FILE[:50_000], Code.INVALID_ARGUMENT),
        ("/new", tar(member("../x", content=b"x")), Code.INVALID_ARGUMENT),
        ("/new", tar(member("a"), member("b")), Code.INVALID_ARGUMENT),
        ("/etc/passwd/", FILE, Code.FAILED_PRECONDITION),
        ("/etc/hosts", FILE, Code.FAILED_PRECONDITION),
        ("/proc/", FILE, Code.FAILED_PRECONDITION),
        ("/small/", tar(member("big", content=os.urandom(2 << 20))), Code.RESOURCE_EXHAUSTED),
        ("", FILE, Code.INVALID_ARGUMENT),
    ],
)
def test_what_is_refused_changes_nothing(
    capsule: Daemon, stub: WorkloadServiceStub, path: str, archive: bytes, code: grpc.StatusCode
) -> None:
    before = [listed(capsule, where) for where in ("/", "/etc", "/small")]
    with pytest.raises(grpc.RpcError) as raised:
        into(stub, path, archive)
    assert raised.value.code() is code and raised.value.details()
    assert [listed(capsule, where) for where in ("/", "/etc", "/small")] == before


def test_what_is_mounted_read_only_stays_as_it_is(capsule: Daemon, stub: WorkloadServiceStub) -> None:
    capsule.apply(manifest("still", SERVE, readOnlyRoot=True), "--wait")
    with pytest.raises(grpc.RpcError) as raised:
        into(stub, "/etc/", FILE, "still")
    assert raised.value.code() is Code.FAILED_PRECONDITION and "mounted read only" in str(raised.value.details())
    into(stub, "/tmp/", FILE, "still")
    assert len(out_of(stub, "/tmp/one", "still")) > 100_000


def test_a_workload_that_does_not_hold_still_gives_and_gets_nothing_of_the_machines(
    capsule: Daemon, stub: WorkloadServiceStub
) -> None:
    outside = capsule.scratch / "outside"
    outside.mkdir()
    (outside / "secret").write_text("of the machine")
    swap = (
        f"mkdir -p /race/kept; ln -s {outside} /race/abs; ln -s ../../../../../../../..{outside} /race/rel; "
        "while :; do for l in abs rel; do mv /race/kept /race/a; mv /race/a /race/kept; "
        "mv /race/$l /race/a; mv /race/a /race/$l; done; done"
    )
    capsule.apply(manifest("race", swap), "--wait")
    done = 0
    for _ in range(40):
        for step in (lambda: into(stub, "/race/a/new", FILE, "race"), lambda: out_of(stub, "/race/a/", "race")):
            try:
                found = step()
                done += 1
                assert not isinstance(found, bytes) or b"of the machine" not in found
            except grpc.RpcError as error:
                assert error.code() is not Code.INTERNAL, error.details()
        assert b"of the machine" not in out_of(stub, "/race", "race")
    assert done
    assert os.listdir(outside) == ["secret"]
    capsule.good("delete", "race", "--yes")


def test_a_process_that_ends_before_its_files_are_entered_is_told_as_one_that_does_not_run() -> None:
    gone = subprocess.Popen(["sleep", "60"])
    pidfd = os.pidfd_open(gone.pid)
    gone.kill()
    gone.wait()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", "from copies.inside import main; main()", str(theirs.fileno()), str(pidfd)]
        ours.sendall(Request("to", "web", "/field/").packed())
        done = subprocess.run(command, pass_fds=(theirs.fileno(), pidfd), stdin=subprocess.DEVNULL, check=False)
        os.close(pidfd)
        assert done.returncode == 1
        said = ours.recv(1 << 16).decode().split("\0")
    assert said == ["refused", "NOT_RUNNING", "web has just ended: copy again when it runs", "0\n"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_a_client_that_is_interrupted_leaves_nothing_and_says_so(capsule: Daemon, number: signal.Signals) -> None:
    before = listed(capsule, "/")
    reading, writing = os.pipe()
    command = [CTL, "cp", "-", "web:/"]
    with running(command, stdin=reading, stderr=subprocess.PIPE, text=True, env=capsule.environment) as client:
        os.close(reading)
        os.write(writing, FILE[:50_000])
        capsule.until(lambda: len(listed(capsule, "/")) > len(before), "it has begun")
        client.send_signal(number)
        assert client.stderr is not None
        said = client.stderr.read()
        assert client.wait() == 128 + number and "nothing is changed in web" in said
    os.close(writing)
    capsule.until(lambda: listed(capsule, "/") == before, "nothing is left")


def test_a_daemon_that_is_killed_leaves_nothing(capsule: Daemon, stub: WorkloadServiceStub) -> None:
    before = listed(capsule, "/")
    reading, writing = os.pipe()
    command = [CTL, "cp", "-", "web:/"]
    with running(command, stdin=reading, stderr=subprocess.DEVNULL, env=capsule.environment) as client:
        os.close(reading)
        os.write(writing, FILE[:50_000])
        capsule.until(lambda: len(listed(capsule, "/")) > len(before), "it has begun")
        *_, copied = copies_into(capsule)
        capsule.kill()
        assert client.wait() == 1
    os.close(writing)
    capsule.start()
    capsule.until(lambda: capsule.status("web")["phase"] == "WORKLOAD_PHASE_RUNNING", "it is adopted")
    capsule.until(lambda: listed(capsule, "/") == before, "nothing is left")
    *_, listing = [event["seq"] for event in capsule.history("--type", "stream.opened")]
    assert capsule.closed(copied)["outcome"] == "lost" and capsule.closed(listing)["outcome"] == "ok"


def test_that_it_was_made_is_remembered_and_nothing_of_what_was_in_it(capsule: Daemon, tmp_path: Path) -> None:
    (tmp_path / "tell").mkdir()
    (tmp_path / "tell" / "nobody-name").write_text("nobody-content")
    capsule.good("cp", str(tmp_path / "tell"), "web:/told")
    capsule.good("cp", "web:/told", str(tmp_path / "back"))
    opened = {event["body"]["method"]: event for event in capsule.history("--type", "stream.opened")[-2:]}
    assert {event["body"]["path"] for event in opened.values()} == {"/told"}
    closed = {event["body"]["opened"]: event["body"] for event in capsule.history("--type", "stream.closed")}
    assert closed[opened["WorkloadService.CopyTo"]["seq"]]["bytes_in"] == 2560
    assert closed[opened["WorkloadService.CopyFrom"]["seq"]]["bytes_out"] == 2560
    capsule.stop()
    for path in (*(capsule.state / "journal").rglob("*"), *(capsule.state / "logs").rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        assert b"nobody-name" not in content and b"nobody-content" not in content, path
    capsule.start()
